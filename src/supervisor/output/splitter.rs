//! Cuts a worker's output into messages: at newlines, and at the mark that a worker writes after each request. The mark
//! is a separator and nothing more (CVE-2024-9026): an incomplete mark is text.

use crate::ipc::MARK;

/// What has been found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// More of the present message.
    Text(&'a [u8]),
    /// It ends at a newline.
    Line,
    /// It ends with its request.
    Mark,
}

/// Remembers how much of a mark the bytes so far end in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Splitter {
    held: usize,
}

impl Splitter {
    /// Looks at what comes next.
    pub(crate) fn feed(&mut self, bytes: &[u8], mut piece: impl FnMut(Piece<'_>)) {
        let mut start = 0;
        for (at, &byte) in bytes.iter().enumerate() {
            if self.held > 0 {
                start = at;
                if byte == MARK[self.held] {
                    self.held += 1;
                    start = at + 1;
                    if self.held == MARK.len() {
                        self.held = 0;
                        piece(Piece::Mark);
                    }
                    continue;
                }
                piece(Piece::Text(&MARK[..std::mem::take(&mut self.held)]));
            }
            if byte == b'\n' || byte == MARK[0] {
                text(&bytes[start..at], &mut piece);
                start = at + 1;
                if byte == b'\n' {
                    piece(Piece::Line);
                } else {
                    self.held = 1;
                }
            }
        }
        text(bytes.get(start..).unwrap_or_default(), &mut piece);
    }

    /// The stream has ended: the beginning of a mark that is left was text.
    pub(crate) fn end(&mut self, mut piece: impl FnMut(Piece<'_>)) {
        text(&MARK[..std::mem::take(&mut self.held)], &mut piece);
    }
}

fn text(bytes: &[u8], piece: &mut impl FnMut(Piece<'_>)) {
    if !bytes.is_empty() {
        piece(Piece::Text(bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_newlines_end_a_message() {
        let mut pieces = Vec::new();
        Splitter::default().feed(b"x\0fscf\0\0f\n", |piece| pieces.push(format!("{piece:?}")));
        let told = ["Text([120])", "Mark", "Text([0, 102])", "Line"];
        assert_eq!(pieces, told);
    }
}

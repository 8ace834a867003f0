//! Cuts a worker's output into messages: at newlines, and at the mark that a worker writes behind each request. The mark
//! is a separator and nothing more (CVE-2024-9026): whatever part of it comes alone is text.

use crate::ipc::MARK;

/// What has been found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// More of the present message.
    Text(&'a [u8]),
    /// It ends at a newline.
    Line,
    /// It ends with its request.
    Mark,
}

/// Remembers how much of a mark the bytes so far end in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Splitter {
    held: usize,
}

impl Splitter {
    /// Looks at what comes next.
    pub fn feed(&mut self, bytes: &[u8], mut piece: impl FnMut(Piece<'_>)) {
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

    /// Nothing comes any more: what looked like the beginning of a mark was text.
    pub fn end(&mut self, mut piece: impl FnMut(Piece<'_>)) {
        text(&MARK[..std::mem::take(&mut self.held)], &mut piece);
    }
}

fn text(bytes: &[u8], piece: &mut impl FnMut(Piece<'_>)) {
    if !bytes.is_empty() {
        piece(Piece::Text(bytes));
    }
}

/// Splits `chunks` one after another and says what is wrong with the result: the messages must be those of the whole,
/// however it is cut, and no byte but newlines and marks may get lost. For the property test and the fuzz target.
///
/// # Errors
/// What is wrong.
pub fn check(chunks: &[&[u8]]) -> Result<(), String> {
    let messages = |chunks: &[&[u8]]| {
        let (mut splitter, mut found) = (Splitter::default(), vec![Vec::new()]);
        let mut take = |piece: Piece<'_>| match piece {
            Piece::Text(bytes) => found.last_mut().into_iter().for_each(|last| last.extend_from_slice(bytes)),
            Piece::Line | Piece::Mark => found.push(Vec::new()),
        };
        chunks.iter().for_each(|chunk| splitter.feed(chunk, &mut take));
        splitter.end(&mut take);
        found
    };
    let whole = chunks.concat();
    let found = messages(chunks);
    if found != messages(&[&whole]) {
        return Err("another cut gives other messages".to_owned());
    }
    if found.iter().any(|message| message.contains(&b'\n') || message.windows(MARK.len()).any(|w| w == MARK)) {
        return Err("a message holds a separator".to_owned());
    }
    let kept: usize = found.iter().map(Vec::len).sum();
    let lines = whole.iter().filter(|byte| **byte == b'\n').count();
    let marks = found.len() - 1 - lines;
    if kept + lines + marks * MARK.len() == whole.len() { Ok(()) } else { Err("bytes were lost or made up".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_newlines_end_a_message() {
        for cut in 0..=17 {
            let text = b"a\nb\0fscf\0c\0fscd\0\0fscf\0";
            assert_eq!(check(&[&text[..cut], &text[cut..]]), Ok(()), "{cut}");
        }
        let mut pieces = Vec::new();
        Splitter::default().feed(b"x\0fscf\0\0f\n", |piece| pieces.push(format!("{piece:?}")));
        let told = ["Text([120])", "Mark", "Text([0, 102])", "Line"];
        assert_eq!(pieces, told);
    }

    proptest::proptest! {
        #[test]
        fn any_cut_gives_the_same_messages(chunks in proptest::collection::vec("[\u{0}fscf\na]{0,9}", 0..9)) {
            let chunks: Vec<&[u8]> = chunks.iter().map(String::as_bytes).collect();
            proptest::prop_assert_eq!(check(&chunks), Ok(()));
        }
    }
}

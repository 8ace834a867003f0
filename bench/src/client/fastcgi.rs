//! Answers of FastCGI 1.0 (section 3.3: records), without a copy of what is not content.

use testkit::fastcgi::kind;
use testkit::{Outcome, ensure};

/// The length of a record's header.
const HEAD: usize = 8;

/// The records of one answer.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    head: [u8; HEAD],
    /// Bytes of the header that have arrived.
    filled: usize,
    /// Bytes of content and of padding that are still to come.
    content_left: usize,
    padding_left: usize,
    stdout: Vec<u8>,
    ended: bool,
}

impl Reader {
    pub(crate) fn content(&self) -> &[u8] {
        &self.stdout
    }

    pub(crate) fn clear(&mut self) {
        self.stdout.clear();
        self.ended = false;
    }

    pub(crate) fn take(&mut self, mut bytes: &[u8]) -> Outcome<bool> {
        while !bytes.is_empty() {
            ensure!(!self.ended, "{} bytes after the end of the answer", bytes.len());
            bytes = if self.filled < HEAD { self.take_head(bytes)? } else { self.take_content(bytes)? };
        }
        Ok(self.ended)
    }

    fn take_head<'a>(&mut self, bytes: &'a [u8]) -> Outcome<&'a [u8]> {
        let (now, rest) = bytes.split_at(bytes.len().min(HEAD - self.filled));
        self.head[self.filled..self.filled + now.len()].copy_from_slice(now);
        self.filled += now.len();
        if self.filled == HEAD {
            ensure!(self.head[0] == 1, "version {} in a record", self.head[0]);
            self.content_left = usize::from(u16::from_be_bytes([self.head[4], self.head[5]]));
            self.padding_left = usize::from(self.head[6]);
            self.end_record();
        }
        Ok(rest)
    }

    fn take_content<'a>(&mut self, bytes: &'a [u8]) -> Outcome<&'a [u8]> {
        let (content, rest) = bytes.split_at(bytes.len().min(self.content_left));
        match self.head[1] {
            kind::STDOUT => self.stdout.extend_from_slice(content),
            kind::END_REQUEST => {}
            kind::STDERR if content.is_empty() => {}
            kind::STDERR => return Err(format!("on stderr: {}", String::from_utf8_lossy(content)).into()),
            other => return Err(format!("a record of type {other} in an answer").into()),
        }
        self.content_left -= content.len();
        let padding = rest.len().min(self.padding_left);
        self.padding_left -= padding;
        self.end_record();
        Ok(&rest[padding..])
    }

    fn end_record(&mut self) {
        if self.content_left + self.padding_left == 0 {
            self.filled = 0;
            self.ended = self.head[1] == kind::END_REQUEST;
        }
    }
}

#[cfg(test)]
mod tests {
    use testkit::fastcgi::{record, stream};

    use super::*;

    fn answer() -> Vec<u8> {
        let mut bytes = record(kind::STDOUT, 1, b"Type: text\r\n\r\nhel");
        // With padding.
        bytes.extend([1, kind::STDOUT, 0, 1, 0, 2, 6, 0]);
        bytes.extend(b"lo......");
        bytes.extend(stream(kind::STDOUT, 1, b"", 1));
        bytes.extend(record(kind::END_REQUEST, 1, &[0; 8]));
        bytes
    }

    #[test]
    fn reads_an_answer_in_pieces_of_any_size() -> Outcome {
        for size in 1..answer().len() + 1 {
            let mut reader = Reader::default();
            for _ in 0..2 {
                let ends: Vec<bool> = answer().chunks(size).map(|piece| reader.take(piece)).collect::<Outcome<_>>()?;
                assert_eq!(ends.iter().filter(|ended| **ended).count(), 1, "pieces of {size}");
                assert_eq!(ends.last(), Some(&true));
                assert_eq!(reader.content(), b"Type: text\r\n\r\nhello");
                reader.clear();
            }
        }
        Ok(())
    }

    #[test]
    fn refuses_what_is_no_answer() {
        assert!(Reader::default().take(b"HTTP/1.1 502 Bad Gateway\r\n").is_err());
        assert!(Reader::default().take(&record(kind::STDERR, 1, b"PHP Warning")).is_err());
        let twice = [answer(), answer()].concat();
        assert!(Reader::default().take(&twice).is_err());
    }
}

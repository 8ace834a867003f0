//! A message on its way to the log: collected until it ends, wrapped where `log_limit` is reached; in the JSON form
//! kept whole up to a bound of its own.

use crate::escape::{self, Place};
use crate::log::BOUND;

/// How the messages of a process are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Form {
    /// In front of each line; `None`: lines are written as they came.
    pub(super) prefix: Option<String>,
    /// Most bytes of a line with its newline, without what the log puts in front.
    pub(super) limit: usize,
    /// Each character stays in one line.
    pub(super) characters: bool,
}

/// The end of a written line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Its own fullness: the message goes on.
    Full,
    /// The message.
    Message,
    /// The message and its stream. Only for messages that aren't decorated.
    Stream,
}

/// The present message, as far as it isn't written yet.
#[derive(Debug, Default)]
pub(super) struct Message {
    text: Vec<u8>,
    /// The first bytes of a character that must be escaped as a whole, or not at all.
    begun: Vec<u8>,
}

impl Form {
    /// For the JSON form, which decorates by fields and escapes by itself.
    pub(super) fn whole() -> Self {
        Self { prefix: None, limit: BOUND + 1, characters: true }
    }

    /// How many bytes of a message fit into a line, between two quotes where there is a prefix.
    fn room(&self) -> usize {
        let quoted = self.prefix.as_ref().map_or(0, |prefix| prefix.len() + 2);
        self.limit.saturating_sub(quoted + 1).max(1)
    }

    fn line(&self, text: &[u8], suffix: &str) -> Vec<u8> {
        match &self.prefix {
            Some(prefix) => [prefix.as_bytes(), b"\"", text, b"\"", suffix.as_bytes()].concat(),
            None => text.to_vec(),
        }
    }
}

impl Message {
    /// Nothing of it waits to be written.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty() && self.begun.is_empty()
    }

    /// The message is dropped; its number of bytes.
    pub(super) fn forget(&mut self) -> u64 {
        let Self { text, begun } = std::mem::take(self);
        (text.len() + begun.len()) as u64
    }

    /// Adds to it; lines that are full go to `write`.
    pub(super) fn add(&mut self, bytes: &[u8], form: &Form, write: &mut impl FnMut(&[u8], End)) {
        if form.prefix.is_none() {
            return bytes.iter().for_each(|byte| self.put(std::slice::from_ref(byte), form, write));
        }
        // A character may come in two pieces.
        let joined = (!self.begun.is_empty()).then(|| [&self.begun, bytes].concat());
        let bytes = joined.as_deref().unwrap_or(bytes);
        let (whole, begun) = bytes.split_at(bytes.len() - escape::begun(bytes));
        self.begun = begun.to_vec();
        escape::units(whole, Place::Line, |unit| self.put(unit, form, write));
    }

    /// Adds what must not be cut.
    fn put(&mut self, unit: &[u8], form: &Form, write: &mut impl FnMut(&[u8], End)) {
        if self.text.len() + unit.len() > form.room() && !self.text.is_empty() {
            let begun = if form.characters { escape::begun(&self.text) } else { 0 };
            // A line of nothing but that would be none.
            let end = Some(self.text.len() - begun).filter(|end| *end > 0).unwrap_or(self.text.len());
            let rest = self.text.split_off(end);
            write(&form.line(&std::mem::replace(&mut self.text, rest), ""), End::Full);
        }
        self.text.extend_from_slice(unit);
    }

    /// It is complete. An empty one is none. `closed`: its writer has closed the pipe, too.
    pub(super) fn end(&mut self, form: &Form, closed: bool, write: &mut impl FnMut(&[u8], End)) {
        const CLOSED: &str = ", pipe is closed";
        let begun = std::mem::take(&mut self.begun);
        escape::units(&begun, Place::Line, |unit| self.put(unit, form, write));
        if self.text.is_empty() {
            return;
        }
        let text = std::mem::take(&mut self.text);
        let Some(prefix) = form.prefix.as_ref().filter(|_| closed) else {
            return write(&form.line(&text, ""), if closed { End::Stream } else { End::Message });
        };
        // The note about the end may not fit after the quotes: what is left gets a line of its own.
        let free = form.room().saturating_sub(text.len()).min(CLOSED.len());
        let (here, rest) = CLOSED.split_at(free);
        write(&form.line(&text, here), End::Message);
        if !rest.is_empty() {
            write(format!("{prefix}{rest}").as_bytes(), End::Message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(form: &Form, parts: &[&str], closed: bool) -> Vec<String> {
        let (mut message, mut lines) = (Message::default(), Vec::new());
        let mut write = |line: &[u8], _| lines.push(String::from_utf8_lossy(line).into_owned());
        parts.iter().for_each(|part| message.add(part.as_bytes(), form, &mut write));
        message.end(form, closed, &mut write);
        assert!(message.text.is_empty());
        lines
    }

    fn form(prefix: Option<&str>, limit: usize) -> Form {
        Form { prefix: prefix.map(str::to_owned), limit, characters: false }
    }

    #[test]
    fn a_character_is_not_cut_where_that_matters() {
        let form = Form { characters: true, ..form(None, 6) };
        assert_eq!(lines(&form, &["aääbc\u{20ac}"], false), ["aää", "bc\u{20ac}"]);
        let (mut message, mut ends) = (Message::default(), Vec::new());
        let mut write = |line: &[u8], end| ends.push((line.to_vec(), end));
        message.add(b"\xff\xff\xff\xff\xff\xc3", &form, &mut write);
        message.end(&form, true, &mut write);
        assert_eq!(ends, [(vec![0xff; 5], End::Full), (vec![0xc3], End::Stream)]);
    }

    #[test]
    fn a_line_has_at_most_the_limit_with_its_newline() {
        assert_eq!(lines(&form(None, 5), &["abcd"], false), ["abcd"]);
        assert_eq!(lines(&form(None, 5), &["abc", "de"], false), ["abcd", "e"]);
        assert_eq!(lines(&form(Some("p: "), 10), &["abcdef"], false), ["p: \"abcd\"", "p: \"ef\""]);
        assert_eq!(lines(&form(Some("p: "), 10), &["", ""], false), [""; 0]);
    }

    #[test]
    fn the_end_of_the_pipe_is_told_behind_the_last_words() {
        assert_eq!(lines(&form(Some("p: "), 100), &["a"], true), ["p: \"a\", pipe is closed"]);
        assert_eq!(lines(&form(None, 100), &["a"], true), ["a"]);
        assert_eq!(lines(&form(Some("p: "), 12), &["abcd"], true), ["p: \"abcd\", ", "p: pipe is closed"]);
    }

    #[test]
    fn decorated_lines_are_lines() {
        assert_eq!(lines(&form(Some(""), 100), &["a\r\x1b[2J\tb\0"], false), ["\"a\\x0D\\x1B[2J\tb\\x00\""]);
        assert_eq!(lines(&form(None, 100), &["a\r\0"], false), ["a\r\0"]);
    }

    #[test]
    fn characters_stay_and_lone_bytes_do_not() {
        let said = |parts: &[&[u8]], limit| {
            let (mut message, mut lines, form) = (Message::default(), Vec::new(), form(Some(""), limit));
            let mut write = |line: &[u8], _| lines.push(String::from_utf8(line.to_vec()).unwrap());
            parts.iter().for_each(|part| message.add(part, &form, &mut write));
            message.end(&form, false, &mut write);
            lines
        };
        assert_eq!(said(&[b"\xc5", b"\x9b \xc2\x9b2J \x9b \xc5"], 100), ["\"\u{15b} \\xC2\\x9B2J \\x9B \\xC5\""]);
        // The second byte alone would be a control character.
        assert_eq!(said(&["abc\u{15b}".as_bytes()], 7), ["\"abc\"", "\"\u{15b}\""]);
    }
}

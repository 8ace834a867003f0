//! The one rule for untrusted text (from clients, scripts, workers, configurations) wherever people read it in lines: logs,
//! status page, process titles, output of the control script. The text cannot start another line or control a terminal;
//! readable characters are unchanged.
//!
//! Control characters (C0, DEL and C1, which is U+0080 to U+009F), line separators, and bytes that are not UTF-8 become `\x`
//! and two digits, byte by byte, as in nginx's log. Single bytes from 0x80 to 0x9f are among them, because some terminals
//! take them for C1. The result is UTF-8.
#![forbid(unsafe_code)]

/// Where a text is inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a line for people. Tabs are unchanged.
    Line,
    /// In a field, maybe between quotes, of a line that programs parse: `"`, `\` and tabs are escaped, too.
    Field,
}

/// Whether a character starts a new line for some reader or controls a terminal.
#[must_use]
pub fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// The text without characters that change the direction of the text after them: they could make a URI look like another one.
#[must_use]
pub fn without_directions(text: &str) -> String {
    let turns =
        |c| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.replace(turns, "\u{fffd}")
}

impl Place {
    fn escapes(self, c: char) -> bool {
        match self {
            Self::Line => steers(c) && c != '\t',
            Self::Field => steers(c) || matches!(c, '"' | '\\'),
        }
    }
}

/// A part of an escaped text.
enum Part<'a> {
    Plain(&'a str),
    Escaped(&'a [u8]),
}

fn parts<'a>(text: &'a [u8], place: Place, mut take: impl FnMut(Part<'a>)) {
    for chunk in text.utf8_chunks() {
        let mut plain = chunk.valid();
        while let Some((at, found)) = plain.char_indices().find(|(_, c)| place.escapes(*c)) {
            let (before, rest) = plain.split_at(at);
            let (escaped, after) = rest.split_at(found.len_utf8());
            take(Part::Plain(before));
            take(Part::Escaped(escaped.as_bytes()));
            plain = after;
        }
        take(Part::Plain(plain));
        take(Part::Escaped(chunk.invalid()));
    }
}

fn hex(byte: u8) -> [u8; 4] {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let [high, low] = [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]);
    [b'\\', b'x', high, low]
}

/// Appends a text.
pub fn push(out: &mut Vec<u8>, text: &[u8], place: Place) {
    parts(text, place, |part| match part {
        Part::Plain(plain) => out.extend_from_slice(plain.as_bytes()),
        Part::Escaped(bytes) => bytes.iter().for_each(|byte| out.extend_from_slice(&hex(*byte))),
    });
}

/// Passes a text on in units that must not be cut: characters and escapes.
pub fn units(text: &[u8], place: Place, mut take: impl FnMut(&[u8])) {
    parts(text, place, |part| match part {
        Part::Plain(plain) => plain.chars().for_each(|c| take(c.encode_utf8(&mut [0; 4]).as_bytes())),
        Part::Escaped(bytes) => bytes.iter().for_each(|byte| take(&hex(*byte))),
    });
}

/// A text, escaped for a line.
#[must_use]
pub fn line(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    parts(text, Place::Line, |part| match part {
        Part::Plain(plain) => out.push_str(plain),
        Part::Escaped(bytes) => bytes.iter().for_each(|byte| out.extend(hex(*byte).map(char::from))),
    });
    out
}

/// A text of several lines, escaped line by line.
#[must_use]
pub fn lines(text: &[u8]) -> String {
    text.split(|byte| *byte == b'\n').map(line).collect::<Vec<_>>().join("\n")
}

/// How many bytes at the end of a text are the start of an incomplete character, of which more may follow.
#[must_use]
pub fn begun(text: &[u8]) -> usize {
    let begins = |at: &usize| {
        let end = text.get(*at..).map(std::str::from_utf8);
        matches!(end, Some(Err(e)) if e.error_len().is_none() && e.valid_up_to() == 0)
    };
    (text.len().saturating_sub(3)..text.len()).find(begins).map_or(0, |at| text.len() - at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn field(text: &[u8]) -> String {
        let mut out = Vec::new();
        push(&mut out, text, Place::Field);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_readable_stays() {
        let text = "/ä/日本?a=b%20c' \u{a0}\u{1f600}";
        assert_eq!((line(text.as_bytes()), field(text.as_bytes())), (text.to_owned(), text.to_owned()));
        assert_eq!(line(b"a\tb\"c\\d"), "a\tb\"c\\d");
        assert_eq!(lines(b"a\nb\r\n"), "a\nb\\x0D\n");
    }

    #[test]
    fn what_forges_or_steers_does_not() {
        assert_eq!(field(b"a\nb\"c\\d\x1b\x7f\t"), r"a\x0Ab\x22c\x5Cd\x1B\x7F\x09");
        assert_eq!(line(b"a\nb\x1b[2J\x7f\0"), r"a\x0Ab\x1B[2J\x7F\x00");
        for place in [line as fn(&[u8]) -> String, field] {
            assert_eq!(place("\u{9b}2Jx\u{2028}".as_bytes()), r"\xC2\x9B2Jx\xE2\x80\xA8");
            // Alone, a byte of a character is a control character to a terminal that isn't in UTF-8 mode.
            assert_eq!(place(b"\x9b2J\xff\xc3(\xc5"), r"\x9B2J\xFF\xC3(\xC5");
            assert_eq!(place("ś".as_bytes()), "ś");
        }
    }

    #[test]
    fn the_beginning_of_a_character_is_known() {
        for (text, length) in [
            (&b""[..], 0),
            (b"abc", 0),
            (b"a\xc3", 1),
            (b"\xe2\x82", 2),
            (b"x\xf0\x9f\x98", 3),
            (b"\xe2\x82\xac", 0),
            (b"\xe2\x82\xe2", 1),
            (b"\x82\x82\x82", 0),
            (b"\xff", 0),
            (b"\xf0\x9f\x98\x80\xc3", 1),
        ] {
            assert_eq!(begun(text), length, "{text:?}");
        }
    }

    /// What was escaped, read again.
    fn read(text: &str) -> Vec<u8> {
        crate::json::bytes_of(text, true)
    }

    proptest! {
        #[test]
        fn no_text_steers(text: Vec<u8>, more in "[\\PC\u{80}-\u{9f}\u{2028}\t\"\\\\]{0,12}") {
            let text = [text, more.into_bytes()].concat();
            let (of_line, of_field, of_lines) = (line(&text), field(&text), lines(&text));
            prop_assert!(!of_line.chars().any(|c| steers(c) && c != '\t'));
            prop_assert!(!of_field.chars().any(|c| steers(c) || c == '"'));
            prop_assert!(!of_lines.chars().any(|c| steers(c) && c != '\t' && c != '\n'));
            // No byte is lost, where backslashes tell which is which.
            prop_assert_eq!(read(&of_field), &text[..]);
            // Once is enough.
            prop_assert_eq!(line(of_line.as_bytes()), of_line.clone());
            // All ways to it are one.
            let (mut pushed, mut joined) = (Vec::new(), Vec::new());
            push(&mut pushed, &text, Place::Line);
            units(&text, Place::Line, |unit| joined.extend_from_slice(unit));
            prop_assert_eq!(&pushed, of_line.as_bytes());
            prop_assert_eq!(&joined, of_line.as_bytes());
        }

        #[test]
        fn text_without_such_characters_stays(text in "[\\PC]{0,40}") {
            prop_assume!(!text.contains(steers));
            prop_assert_eq!(line(text.as_bytes()), text);
        }

        #[test]
        fn a_cut_anywhere_can_be_mended(text in "\\PC{0,20}", at: prop::sample::Index) {
            let bytes = text.as_bytes();
            let cut = at.index(bytes.len() + 1);
            let whole = &bytes[..cut - begun(&bytes[..cut])];
            prop_assert!(std::str::from_utf8(whole).is_ok());
        }
    }
}

//! JSON lines for the error log and the access log: one object a line, with any bytes in its texts.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use time::OffsetDateTime;

use crate::escape;

/// Appends an object to a line; no character in it ends the line or controls a terminal.
pub fn push(line: &mut Vec<u8>, object: &impl Serialize) {
    let start = line.len();
    // Writing to memory cannot fail. An object that cannot be serialized, such as a map with keys that are no texts, would be a
    // bug; it is left out.
    if object.serialize(&mut Serializer::with_formatter(&mut *line, Plain)).is_err() {
        line.truncate(start);
    }
}

/// Bytes as text. If they are not all UTF-8, each invalid byte becomes `\x` and two digits and each `\` is doubled, so that no
/// information is lost; the flag is then true.
#[must_use]
pub fn text(bytes: &[u8]) -> (Cow<'_, str>, bool) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return (text.into(), false);
    }
    let mut escaped = String::with_capacity(bytes.len() + 8);
    for chunk in bytes.utf8_chunks() {
        escaped.push_str(&chunk.valid().replace('\\', r"\\"));
        for byte in chunk.invalid() {
            let _ = write!(escaped, "\\x{byte:02X}");
        }
    }
    (escaped.into(), true)
}

/// The reverse of `text`. Text that `text` cannot have made is taken literally.
#[must_use]
pub fn bytes_of(text: &str, escaped: bool) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = rest.split_once('\\').filter(|_| escaped) {
        bytes.extend_from_slice(before.as_bytes());
        let byte = after.strip_prefix('x').and_then(|hex| u8::from_str_radix(hex.get(..2)?, 16).ok());
        bytes.push(byte.unwrap_or(b'\\'));
        rest = after.get(if byte.is_some() { 3 } else { 1 }..).unwrap_or_default();
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// Whether a line is a JSON object for a reader of the log.
#[must_use]
pub fn is_object(line: &[u8]) -> bool {
    let parsed = |text| serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).ok();
    line.starts_with(b"{") && std::str::from_utf8(line).ok().and_then(parsed).is_some()
}

/// A point in time (microseconds since 1970) by RFC 3339, in UTC with microseconds: `2026-11-23T10:00:00.000001Z`.
#[must_use]
pub fn utc(micros: u64) -> String {
    let seconds = i64::try_from(micros / 1_000_000).unwrap_or(0);
    let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (date, clock) = ((at.year(), u8::from(at.month()), at.day()), at.to_hms());
    let ((year, month, day), (hour, minute, second)) = (date, clock);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}Z", micros % 1_000_000)
}

/// serde_json's compact form, with all characters escaped that control a terminal or end a line for some reader.
struct Plain;

impl Formatter for Plain {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, found)) = rest.char_indices().find(|(_, c)| is_escaped(*c)) {
            let (before, after) = rest.split_at(at);
            writer.write_all(before.as_bytes())?;
            write!(writer, "\\u{:04x}", u32::from(found))?;
            rest = after.get(found.len_utf8()..).unwrap_or_default();
        }
        writer.write_all(rest.as_bytes())
    }
}

/// serde_json itself escapes the characters below the space.
fn is_escaped(c: char) -> bool {
    escape::steers(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn moments() {
        assert_eq!(utc(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(utc(951_782_400_000_001), "2000-02-29T00:00:00.000001Z");
        assert_eq!(utc(1_764_000_000_120_000), "2025-11-24T16:00:00.120000Z");
        assert_eq!(utc(u64::MAX), "1970-01-01T00:00:00.551615Z");
    }

    #[test]
    fn valid_text_stays_and_other_bytes_are_told() {
        assert_eq!(text(br"C:\x41 \"), (r"C:\x41 \".into(), false));
        assert_eq!(text(b"a\\x\xff\xc3("), (r"a\\x\xFF\xC3(".into(), true));
    }

    #[test]
    fn nothing_in_a_line_steers_a_terminal() {
        let mut line = b"> ".to_vec();
        push(&mut line, &["a\n\u{1b}[2J\u{7f}\u{9b}\u{2028}ä\"\\"]);
        assert_eq!(String::from_utf8(line).unwrap(), r#"> ["a\n\u001b[2J\u007f\u009b\u2028ä\"\\"]"#);
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..64), plain in r"[\\xA-F0-9]{0,9}") {
            let bytes = [plain.as_bytes(), &bytes].concat();
            let (shown, escaped) = text(&bytes);
            let mut line = Vec::new();
            push(&mut line, &shown);
            prop_assert!(!String::from_utf8_lossy(&line).contains(is_escaped));
            let Ok(Value::String(read)) = serde_json::from_slice(&line) else { panic!("{line:?}") };
            prop_assert_eq!(bytes_of(&read, escaped), bytes);
        }
    }
}

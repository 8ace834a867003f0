//! Texts that clients have a say in, so that none of them can begin a line, end a quoted field or steer a terminal.

/// Adds a text. Control characters, line separators, `"`, `\` and bytes that aren't UTF-8 become `\x` and two digits,
/// byte by byte, as in nginx's log.
pub(super) fn push(line: &mut Vec<u8>, text: &[u8]) {
    for chunk in text.utf8_chunks() {
        let mut plain = chunk.valid();
        while let Some((at, found)) = plain.char_indices().find(|(_, c)| is_escaped(*c)) {
            let (before, rest) = plain.split_at(at);
            let (escaped, after) = rest.split_at(found.len_utf8());
            line.extend_from_slice(before.as_bytes());
            push_hex(line, escaped.as_bytes());
            plain = after;
        }
        line.extend_from_slice(plain.as_bytes());
        push_hex(line, chunk.invalid());
    }
}

fn is_escaped(c: char) -> bool {
    matches!(c, '"' | '\\' | '\u{2028}' | '\u{2029}') || c.is_control()
}

fn push_hex(line: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in bytes {
        let [high, low] = [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]);
        line.extend_from_slice(&[b'\\', b'x', high, low]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &[u8]) -> String {
        let mut line = Vec::new();
        push(&mut line, text);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn what_is_harmless_stays() {
        assert_eq!(escaped("/ä/日本?a=b%20c'".as_bytes()), "/ä/日本?a=b%20c'");
    }

    #[test]
    fn what_forges_is_escaped() {
        assert_eq!(escaped(b"a\nb\"c\\d\x1b\x7f"), r"a\x0Ab\x22c\x5Cd\x1B\x7F");
        assert_eq!(escaped("\u{9b}x\u{2028}".as_bytes()), r"\xC2\x9Bx\xE2\x80\xA8");
        assert_eq!(escaped(b"\xff\xc3("), r"\xFF\xC3(");
    }
}

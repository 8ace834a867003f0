//! Escapes untrusted bytes for markup and JSON. `crate::escape` does it for text.

use std::fmt::Write;

/// For HTML and XML: escapes the characters of markup. Characters that XML 1.0 does not allow become U+FFFD.
pub(crate) fn markup(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for c in String::from_utf8_lossy(bytes).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => out.push(c),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ if c < ' ' || ('\u{7f}'..='\u{9f}').contains(&c) => out.push('\u{fffd}'),
            _ => out.push(c),
        }
    }
    out
}

/// For JSON, without the quotes, as PHP's encoder writes it: ASCII only, without invalid bytes. `slashes`: escape them.
pub(super) fn json(bytes: &[u8], slashes: bool) -> String {
    let mut out = String::with_capacity(bytes.len());
    for c in bytes.utf8_chunks().flat_map(|chunk| chunk.valid().chars()) {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '/' if slashes => out.push_str("\\/"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ' '..='\u{7f}' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_its_place() {
        let hostile = b"a\n</td>\"\\\x1b\xff/\xf0\x9f\x98\x80";
        assert_eq!(markup(hostile), "a\n&lt;/td&gt;&quot;\\\u{fffd}\u{fffd}/\u{1f600}");
        assert_eq!(json(hostile, true), "a\\n<\\/td>\\\"\\\\\\u001b\\/\\ud83d\\ude00");
        assert_eq!(json(b"/a", false), "/a");
    }

    proptest::proptest! {
        #[test]
        fn json_can_always_be_read(bytes: Vec<u8>, slashes: bool) {
            let read: String = serde_json::from_str(&format!("\"{}\"", json(&bytes, slashes))).unwrap();
            let valid: String = bytes.utf8_chunks().map(|chunk| chunk.valid()).collect();
            proptest::prop_assert_eq!(read, valid);
        }

        #[test]
        fn markup_stays_what_it_is(bytes: Vec<u8>) {
            let markup = markup(&bytes);
            let allowed = |c: char| matches!(c, '\t' | '\n' | '\r');
            proptest::prop_assert!(!markup.contains(['<', '>', '"']));
            proptest::prop_assert!(!markup.chars().any(|c| c.is_control() && !allowed(c)));
        }
    }
}

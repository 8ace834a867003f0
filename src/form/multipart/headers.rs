//! The headers of a part: `multipart_buffer_headers`, `php_mime_get_hdr_value`, `php_ap_getword` and `php_ap_getword_conf`.

use memchr::memchr;

use super::strings::{c_part, is_space, without_leading_spaces};
use super::window::{Connection, Window};

/// The headers of a part, by name.
#[derive(Debug, Default)]
pub struct Headers(Vec<(Vec<u8>, Vec<u8>)>);

/// What the header `Content-Disposition` says. The texts have no NUL bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Disposition {
    /// The name of the field.
    pub name: Option<Vec<u8>>,
    /// The name of the file.
    pub file: Option<Vec<u8>>,
}

impl Headers {
    /// Skips to the next boundary and reads the headers after it. `None`: there is no boundary.
    pub fn read(window: &mut Window, connection: &mut dyn Connection) -> Option<Self> {
        if !window.skip_to_boundary(connection) {
            return None;
        }
        let mut headers: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        while let Some(line @ [first, ..]) = window.line(connection) {
            // A line that begins with a space continues the one before it.
            let colon = if is_space(*first) { None } else { memchr(b':', line) };
            match (colon, headers.last_mut()) {
                (Some(colon), _) => {
                    let (name, value) = line.split_at(colon);
                    let value = without_leading_spaces(value.get(1..).unwrap_or_default());
                    headers.push((name.to_vec(), value.to_vec()));
                }
                (None, Some((_, value))) => value.extend_from_slice(line),
                (None, None) => {}
            }
        }
        Some(Self(headers))
    }

    /// The value of the first header of that name.
    fn value(&self, name: &[u8]) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_slice())
    }

    /// What `Content-Disposition` says. `None`: there is no such header.
    #[must_use]
    pub fn disposition(&self) -> Option<Disposition> {
        self.value(b"Content-Disposition").map(Disposition::of)
    }

    /// `Content-Type` up to its first semicolon; empty if it is missing.
    #[must_use]
    pub fn content_type(&self) -> &[u8] {
        let value = self.value(b"Content-Type").unwrap_or_default();
        value.get(..memchr(b';', value).unwrap_or(value.len())).unwrap_or(value)
    }
}

impl Disposition {
    fn of(header: &[u8]) -> Self {
        let mut found = Self::default();
        let mut rest = without_leading_spaces(c_part(header));
        while !rest.is_empty() {
            let mut pair = word(&mut rest, b';');
            rest = without_leading_spaces(rest);
            if memchr(b'=', pair).is_none() {
                continue;
            }
            let key = word(&mut pair, b'=');
            if key.eq_ignore_ascii_case(b"name") {
                found.name = Some(value(pair));
            } else if key.eq_ignore_ascii_case(b"filename") {
                found.file = Some(value(pair));
            }
        }
        found
    }
}

/// `php_ap_getword`: takes what comes before `stop`, which does not count within quotes.
fn word<'a>(text: &mut &'a [u8], stop: u8) -> &'a [u8] {
    let whole = *text;
    let at = |at: usize| whole.get(at).copied();
    let mut end = 0;
    while let Some(byte) = at(end).filter(|&byte| byte != stop) {
        end += 1;
        if !matches!(byte, b'"' | b'\'') {
            continue;
        }
        while let Some(inner) = at(end).filter(|&inner| inner != byte) {
            end += if inner == b'\\' && at(end + 1) == Some(byte) { 2 } else { 1 };
        }
        end = whole.len().min(end + 1);
    }
    let (word, rest) = whole.split_at(end.min(whole.len()));
    let stops = rest.iter().take_while(|&&byte| byte == stop).count();
    *text = rest.get(stops..).unwrap_or_default();
    word
}

/// `php_ap_getword_conf`: a value, with or without quotes.
fn value(text: &[u8]) -> Vec<u8> {
    match without_leading_spaces(text) {
        [quote @ (b'"' | b'\''), quoted @ ..] => unescaped(quoted, Some(*quote)),
        plain => {
            let end = plain.iter().position(|&byte| is_space(byte)).unwrap_or(plain.len());
            unescaped(plain.get(..end).unwrap_or(plain), None)
        }
    }
}

/// `substring_conf`: the text up to the quote. A backslash stands before another, or before the quote.
fn unescaped(text: &[u8], quote: Option<u8>) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, more @ ..] = rest {
        if Some(*first) == quote {
            break;
        }
        match more {
            [second, after @ ..] if *first == b'\\' && (*second == b'\\' || Some(*second) == quote) => {
                out.push(*second);
                rest = after;
            }
            _ => {
                out.push(*first);
                rest = more;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::Disposition;

    #[test]
    fn names_and_files() {
        let cases: [(&str, Option<&str>, Option<&str>); 12] = [
            ("form-data; name=\"a\"", Some("a"), None),
            ("form-data; name=a; filename=b c", Some("a"), Some("b")),
            ("form-data; name='a\"b'; FileName=\"c\\\"d\"", Some("a\"b"), Some("c\"d")),
            ("form-data; name=\"a;b\"; filename=\"\"", Some("a;b"), Some("")),
            ("form-data; name=a; name=b", Some("b"), None),
            ("form-data", None, None),
            ("form-data; name", None, None),
            ("form-data; name=", Some(""), None),
            ("form-data;;; name = x", None, None),
            ("name=x;filename=\"C:\\\\dir\\file\"", Some("x"), Some("C:\\dir\\file")),
            ("form-data; name=\"a", Some("a"), None),
            ("form-data; name=a\\\\b", Some("a\\b"), None),
        ];
        for (header, name, file) in cases {
            let bytes = |text: Option<&str>| text.map(|text| text.as_bytes().to_vec());
            let expected = Disposition { name: bytes(name), file: bytes(file) };
            assert_eq!(Disposition::of(header.as_bytes()), expected, "{header}");
        }
    }
}

//! The boundary between the parts of a body, from its content type.

use super::strings::find_ignoring_case;

/// The longest boundary that PHP accepts: `FILLUNIT - strlen("\r\n--")`.
const LONGEST: usize = 5 * 1024 - 4;

/// The boundary. `None`: there is none, or one that PHP refuses.
#[must_use]
pub fn of_type(content_type: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"boundary";
    let exact = memchr::memmem::find(content_type, NAME);
    let at = exact.or_else(|| find_ignoring_case(content_type, NAME))?;
    let rest = content_type.get(at..)?;
    let value = rest.get(memchr::memchr(b'=', rest)? + 1..)?;
    let boundary = match value {
        [b'"', quoted @ ..] => quoted.get(..memchr::memchr(b'"', quoted)?)?,
        _ => value.get(..memchr::memchr2(b',', b';', value).unwrap_or(value.len()))?,
    };
    (boundary.len() <= LONGEST).then_some(boundary)
}

#[cfg(test)]
mod tests {
    use super::of_type;

    #[test]
    fn quoted_or_up_to_a_comma_or_semicolon() {
        let cases: [(&[u8], Option<&[u8]>); 9] = [
            (b"multipart/form-data; boundary=abc", Some(b"abc")),
            (b"multipart/form-data; boundary=abc; x=y", Some(b"abc")),
            (b"multipart/form-data; boundary=a b,c", Some(b"a b")),
            (b"multipart/form-data; boundary=\"a;b\" c", Some(b"a;b")),
            (b"multipart/form-data; boundary=\"a", None),
            (b"multipart/form-data; BOUNDARY = abc", Some(b" abc")),
            (b"multipart/form-data; Boundary=x; boundary=y", Some(b"y")),
            (b"multipart/form-data; boundary", None),
            (b"multipart/form-data; boundary=", Some(b"")),
        ];
        for (content_type, boundary) in cases {
            assert_eq!(of_type(content_type), boundary);
        }
        let long = [b"boundary=".to_vec(), vec![b'x'; 5117]].concat();
        assert_eq!(of_type(&long), None);
    }
}

//! The header section of an answer: a Status line by php-fpm's rules, then PHP's headers in their order.

use std::io::Write;

use super::ffi::{sapi_header_struct, zend_llist_element};
use super::text::bytes_at;

/// php-fpm truncates a Status line to this length.
const LONGEST: usize = 1023;

/// The headers that the script and PHP have set.
#[derive(Clone, Copy)]
pub(super) struct Headers(*mut zend_llist_element);

impl Headers {
    /// The headers of PHP's list.
    ///
    /// # Safety
    /// `first` must be null or the first element of a list of `sapi_header_struct` that does not change while the result is used.
    pub(super) unsafe fn new(first: *mut zend_llist_element) -> Self {
        Self(first)
    }
}

impl Headers {
    /// The value of the first header of that name, compared without case.
    pub(super) fn value(self, name: &[u8]) -> Option<&'static [u8]> {
        self.into_iter().find_map(|header| {
            let (head, value) = header.split_at_checked(name.len())?;
            let value = value.strip_prefix(b": ")?;
            (head.eq_ignore_ascii_case(name) && !value.is_empty()).then_some(value)
        })
    }
}

impl Iterator for Headers {
    type Item = &'static [u8];

    fn next(&mut self) -> Option<Self::Item> {
        // SAFETY: null or an element of the list (contract of `new`).
        let element = unsafe { self.0.as_ref() }?;
        self.0 = element.next;
        let header = element.data.as_ptr().cast::<sapi_header_struct>();
        // SAFETY: the list holds headers, stored in the elements.
        let header = unsafe { header.read_unaligned() };
        // SAFETY: a header is that many bytes long.
        Some(unsafe { bytes_at(header.header, header.header_len) })
    }
}

/// The status of an answer, and the settings that decide how it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Status<'a> {
    /// The response code.
    pub(super) code: i32,
    /// The status line of the script, such as `HTTP/1.1 404 Gone fishing`, if it gave one.
    pub(super) line: Option<&'a [u8]>,
    /// `cgi.nph`: write the status even if it is 200.
    pub(super) always: bool,
    /// `cgi.rfc2616_headers`: write the script's line unchanged.
    pub(super) as_given: bool,
}

/// Writes the header section through `out`, and stops at the first failure.
pub(super) fn write_head<'h, E>(
    status: Status<'_>,
    headers: impl Iterator<Item = &'h [u8]> + Clone,
    mut out: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    // Without a line there is no need for a buffer.
    let mut told = status.always || status.code != 200;
    let mut code = status.code;
    if told {
        let mut buffer = [0; LONGEST];
        let line;
        (line, code) = status.line(&mut buffer, headers.clone().any(is_status));
        told = line.is_some();
        if let Some(line) = line {
            out(line)?;
            out(b"\r\n")?;
        }
    }
    for header in headers.filter(|header| !header.is_empty()) {
        let skip = if is_status(header) {
            std::mem::replace(&mut told, true)
        } else {
            code == 304 && is_named(header, b"Content-Type:")
        };
        if !skip {
            out(header)?;
            out(b"\r\n")?;
        }
    }
    out(b"\r\n")
}

impl<'a> Status<'a> {
    /// The first line of the section, if there is one, and the code that it stands for.
    fn line(self, buffer: &'a mut [u8; LONGEST], by_header: bool) -> (Option<&'a [u8]>, i32) {
        let space = self.line.and_then(|line| line.iter().position(|&byte| byte == b' '));
        let rest = self.line.zip(space).and_then(|(line, space)| line.get(space..));
        if self.as_given
            && let Some(line) = self.line
        {
            return (Some(line.get(..LONGEST).unwrap_or(line)), rest.map_or(self.code, number));
        }
        let is_http = self.line.is_some_and(|line| is_named(line, b"HTTP/"));
        if let Some(rest) = rest
            && is_http
            && space >= Some(5)
        {
            return (Some(printed(buffer, &[b"Status:", rest])), number(rest));
        }
        if by_header {
            return (None, self.code);
        }
        let mut digits = [0; 16];
        let code = decimal(&mut digits, self.code);
        let line = match reason(self.code) {
            Some(reason) => printed(buffer, &[b"Status: ", code, b" ", reason.as_bytes()]),
            None => printed(buffer, &[b"Status: ", code]),
        };
        (Some(line), self.code)
    }
}

fn decimal(buffer: &mut [u8; 16], number: i32) -> &[u8] {
    let mut rest = buffer.as_mut_slice();
    let _ = write!(rest, "{number}");
    let left = rest.len();
    buffer.get(..16 - left).unwrap_or_default()
}

fn printed<'b>(buffer: &'b mut [u8; LONGEST], parts: &[&[u8]]) -> &'b [u8] {
    let mut rest = buffer.as_mut_slice();
    for part in parts {
        // A full buffer truncates the line, as in php-fpm.
        let _ = rest.write(part);
    }
    let left = rest.len();
    buffer.get(..LONGEST - left).unwrap_or_default()
}

/// Whether it is a Status header with a value.
fn is_status(header: &[u8]) -> bool {
    header.len() > b"Status:".len() && is_named(header, b"Status:")
}

fn is_named(header: &[u8], name: &[u8]) -> bool {
    header.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name))
}

/// The number at the start of a text, after spaces, as C's `atoi` reads it.
fn number(text: &[u8]) -> i32 {
    let digits = text.trim_ascii_start();
    digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0, |number: i32, byte| number.saturating_mul(10).saturating_add(i32::from(byte - b'0')))
}

/// The reason phrase of a status code, from PHP's table.
fn reason(code: i32) -> Option<&'static str> {
    REASONS
        .binary_search_by_key(&code, |&(code, _)| code)
        .ok()
        .and_then(|at| REASONS.get(at))
        .map(|&(_, reason)| reason)
}

#[rustfmt::skip]
static REASONS: [(i32, &str); 48] = [
    (100, "Continue"), (101, "Switching Protocols"),
    (200, "OK"), (201, "Created"), (202, "Accepted"), (203, "Non-Authoritative Information"), (204, "No Content"),
    (205, "Reset Content"), (206, "Partial Content"),
    (300, "Multiple Choices"), (301, "Moved Permanently"), (302, "Found"), (303, "See Other"), (304, "Not Modified"),
    (305, "Use Proxy"), (307, "Temporary Redirect"), (308, "Permanent Redirect"),
    (400, "Bad Request"), (401, "Unauthorized"), (402, "Payment Required"), (403, "Forbidden"), (404, "Not Found"),
    (405, "Method Not Allowed"), (406, "Not Acceptable"), (407, "Proxy Authentication Required"),
    (408, "Request Timeout"), (409, "Conflict"), (410, "Gone"), (411, "Length Required"), (412, "Precondition Failed"),
    (413, "Request Entity Too Large"), (414, "Request-URI Too Long"), (415, "Unsupported Media Type"),
    (416, "Requested Range Not Satisfiable"), (417, "Expectation Failed"), (426, "Upgrade Required"),
    (428, "Precondition Required"), (429, "Too Many Requests"), (431, "Request Header Fields Too Large"),
    (451, "Unavailable For Legal Reasons"),
    (500, "Internal Server Error"), (501, "Not Implemented"), (502, "Bad Gateway"), (503, "Service Unavailable"),
    (504, "Gateway Timeout"), (505, "HTTP Version Not Supported"), (506, "Variant Also Negotiates"),
    (511, "Network Authentication Required"),
];

#[cfg(test)]
mod tests {
    use super::{Status, write_head};

    fn head(status: Status<'_>, headers: &[&'static str]) -> String {
        let mut head = Vec::new();
        let headers = headers.iter().map(|header| header.as_bytes());
        let _ = write_head(status, headers, |bytes| {
            head.extend_from_slice(bytes);
            Ok::<_, ()>(())
        });
        String::from_utf8_lossy(&head).replace("\r\n", "|")
    }

    const OK: Status<'_> = Status { code: 200, line: None, always: false, as_given: false };

    #[test]
    fn status_lines() {
        assert_eq!(head(OK, &["A: b", "Status: 201 Made"]), "A: b|Status: 201 Made||");
        assert_eq!(head(Status { always: true, ..OK }, &[]), "Status: 200 OK||");
        assert_eq!(head(Status { code: 404, ..OK }, &["A: b"]), "Status: 404 Not Found|A: b||");
        assert_eq!(head(Status { code: 799, ..OK }, &[]), "Status: 799||");
        assert_eq!(head(Status { code: 404, ..OK }, &["status: 201 Made"]), "status: 201 Made||");
        let line = Some(&b"HTTP/1.0 550 Server Made Big Boo"[..]);
        let boo = Status { code: 550, line, ..OK };
        assert_eq!(head(boo, &["Status: 1"]), "Status: 550 Server Made Big Boo||");
        assert_eq!(head(Status { as_given: true, ..boo }, &[]), "HTTP/1.0 550 Server Made Big Boo||");
    }

    #[test]
    fn not_modified_has_no_content_type() {
        let status = Status { code: 304, line: Some(b"HTTP/1.1 304 x"), ..OK };
        assert_eq!(head(status, &["content-type: text/html", "", "B: c"]), "Status: 304 x|B: c||");
    }
}

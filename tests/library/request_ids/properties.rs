//! Properties of ids that clients send. The property tests and the fuzz target share them.

use cgi_fpm::escape;
use cgi_fpm::request_ids::{LONGEST, RequestId, RequestIds, TraceContext, tag};

/// Reads the header in another way, and compares: fields between dashes.
pub(super) fn a_header_is_read_as_by_the_standard(header: &[u8]) {
    let read = TraceContext::parse(header).map(|context| (context.trace.to_string(), context.span.to_string()));
    assert_eq!(read, plain(header), "{:?}", String::from_utf8_lossy(header));
}

fn plain(header: &[u8]) -> Option<(String, String)> {
    // Fields that a later version adds may be any bytes.
    let text = String::from_utf8_lossy(header);
    let mut fields = text.splitn(5, '-');
    let mut hex = |digits: usize| {
        let field = fields.next()?;
        let is_hex = field.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
        (field.len() == digits && is_hex).then_some(field)
    };
    let (version, trace, span, _flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
    let further = fields.next();
    let is_zero = |id: &str| id.bytes().all(|digit| digit == b'0');
    let is_valid = version != "ff" && (version != "00" || further.is_none()) && !is_zero(trace) && !is_zero(span);
    is_valid.then(|| (trace.to_owned(), span.to_owned()))
}

/// An id is either refused or unchanged, short, and of characters that mean nothing in any log.
pub(super) fn an_accepted_id_is_harmless(sent: &[u8]) {
    let Some(request) = RequestId::accept(sent) else { return };
    assert!(request.as_bytes() == sent && (1..=LONGEST).contains(&sent.len()));
    let shown = tag(&RequestIds { request, trace: None });
    assert_eq!(shown.matches([' ', '[', ']', '"', '\\', '\'']).count(), 3, "{shown}");
    assert_eq!(escape::line(shown.as_bytes()), shown);
}

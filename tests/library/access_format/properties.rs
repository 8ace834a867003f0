//! Properties of every `access.format` with every client. The property test and the fuzz target share them.

use cgi_fpm::access_log::{Facts, Format};
use cgi_fpm::json;
use cgi_fpm::request::Description;
use cgi_fpm::request_ids::{RequestId, RequestIds, TraceContext};

/// A format is either refused or produces lines. Whatever a client sends, a line has the same control characters and
/// quotation marks as for a harmless client, and is UTF-8. A JSON line is an object without control characters.
pub(super) fn no_client_forges_a_line(format: &str, text: &[u8]) {
    let Ok(format) = Format::compile(format) else { return };
    if format.is_json() {
        let line = rendered(&format, text);
        assert!(json::is_object(&line));
        return assert_eq!(marks(&line), marks(&line).iter().copied().filter(|&mark| mark == '"').collect::<Vec<_>>());
    }
    let (hostile, harmless) = (rendered(&format, text), rendered(&format, b"x"));
    assert_eq!(marks(&hostile), marks(&harmless), "{:?}", String::from_utf8_lossy(&hostile));
    assert!(std::str::from_utf8(&hostile).is_ok());
}

fn marks(line: &[u8]) -> Vec<char> {
    let marks = |c: &char| c.is_control() || matches!(c, '"' | '\u{2028}' | '\u{2029}');
    String::from_utf8_lossy(line).chars().filter(marks).collect()
}

/// The text as a request's id, or an id that was made instead.
fn accepted(text: &[u8]) -> Option<RequestIds> {
    let request = RequestId::accept(text).unwrap_or_else(|| RequestId::of_number(1));
    Some(RequestIds { request, trace: TraceContext::parse(text) })
}

/// The line of a request in which every text is `text`.
fn rendered(format: &Format, text: &[u8]) -> Vec<u8> {
    let value = |_: &[u8]| Some(text);
    let facts = Facts {
        pool: "www",
        pid: 7,
        supervisor: 6,
        remote: Some([192, 0, 2, 1].into()),
        request: Description { method: text, uri: text, query: text, user: text, script: text, content_length: 3 },
        accepted: 1,
        written: 2,
        written_micros: 2_000_000,
        duration: 3,
        cpu: (4, 5),
        memory: 6,
        status: 200,
        ids: accepted(text),
        header: &value,
        variable: &value,
        date: &|_, _, line| line.extend_from_slice(b"date"),
    };
    let mut line = Vec::new();
    format.render(&facts, &mut line);
    line
}

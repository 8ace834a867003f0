//! The ids at the end of a line of text: ` [request_id=… trace_id=… span_id=…]`.

use super::RequestIds;

/// What is added to a line.
#[must_use]
pub fn tag(ids: &RequestIds) -> String {
    match ids.trace {
        Some(context) => {
            format!(" [request_id={} trace_id={} span_id={}]", ids.request, context.trace, context.span)
        }
        None => format!(" [request_id={}]", ids.request),
    }
}

/// A text with the tag at the end of each of its lines, because each becomes a line of the log. Empty lines stay empty.
#[must_use]
pub fn each_line(text: &[u8], ids: &RequestIds) -> Vec<u8> {
    let tag = tag(ids);
    let lines = text.split(|byte| *byte == b'\n');
    let tagged = lines.map(|line| if line.is_empty() { Vec::new() } else { [line, tag.as_bytes()].concat() });
    tagged.collect::<Vec<_>>().join(&b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request_ids::{RequestId, TraceContext};

    #[test]
    fn each_line_that_is_not_empty_has_the_ids() {
        let mut ids = RequestIds { request: RequestId::accept(b"abc").unwrap(), trace: None };
        assert_eq!(each_line(b"a\n\nb\n", &ids), b"a [request_id=abc]\n\nb [request_id=abc]\n");
        assert_eq!(each_line(b"", &ids), b"");
        ids.trace = TraceContext::of_numbers((0x1f, 2));
        let expected = " [request_id=abc trace_id=0000000000000000000000000000001f span_id=0000000000000002]";
        assert_eq!(tag(&ids), expected);
    }
}

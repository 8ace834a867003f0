//! The ids of a request, by which lines of different logs are found to be about the same request: its own id, and those of
//! W3C Trace Context. They come from clients, so only what is safe in every log is accepted.
#![forbid(unsafe_code)]

mod request_id;
mod tag;
mod trace_context;

pub use request_id::{LONGEST, RequestId};
pub use tag::{each_line, tag};
pub use trace_context::{SpanId, TraceContext, TraceId};

/// The ids of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestIds {
    /// Its own id: from the web server, or made here.
    pub request: RequestId,
    /// The trace that it belongs to, if the web server passed a valid `traceparent`.
    pub trace: Option<TraceContext>,
}

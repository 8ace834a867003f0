//! Texts for Prometheus: the text format 0.0.4, and OpenMetrics 1.0. No I/O.
#![forbid(unsafe_code)]

mod accept;
mod exposition;

pub(crate) use accept::accepted;
pub(crate) use exposition::{Exposition, Kind, Label};

/// The format of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// `text/plain; version=0.0.4`.
    Text,
    /// `application/openmetrics-text; version=1.0.0`.
    OpenMetrics,
}

impl Format {
    /// The value of `Content-Type`.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

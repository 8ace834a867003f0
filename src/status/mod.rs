//! The status page: the state of a pool in five formats. No I/O; `worker/pages.rs` serves it.
#![forbid(unsafe_code)]

mod escape;
mod fields;
mod openmetrics;
mod render;
mod snapshot;

use crate::text::url_decoded;

pub(crate) use escape::markup;
pub use fields::{Field, Value, of_pool, of_process};
pub use snapshot::{Group, Process, Snapshot, state};

/// The format of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Format {
    Text,
    Html,
    Xml,
    Json,
    OpenMetrics,
}

/// The page that a query string asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageOptions {
    /// The first of html, xml, json, openmetrics that is named, in this order; else text.
    pub format: Format,
    /// With each worker. OpenMetrics has no workers.
    pub full: bool,
}

impl PageOptions {
    /// By the names in a query string; their values play no part.
    #[must_use]
    pub fn of(query: &[u8]) -> Self {
        let names: Vec<Vec<u8>> = query.split(|byte| *byte == b'&').map(name_of).collect();
        let named = |name: &[u8]| names.iter().any(|known| known == name);
        let format = match () {
            () if named(b"html") => Format::Html,
            () if named(b"xml") => Format::Xml,
            () if named(b"json") => Format::Json,
            () if named(b"openmetrics") => Format::OpenMetrics,
            () => Format::Text,
        };
        Self { format, full: named(b"full") }
    }
}

/// The name in a part of a query string, as PHP reads it: decoded, without leading blanks, and without the brackets of an
/// array.
fn name_of(part: &[u8]) -> Vec<u8> {
    let coded = part.split(|byte| *byte == b'=').next().unwrap_or_default();
    let coded: Vec<u8> = coded.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let mut name: Vec<u8> = url_decoded(&coded).into_iter().skip_while(|byte| *byte == b' ').collect();
    if let Some(end) = name.iter().skip(1).position(|byte| *byte == b'[') {
        name.truncate(end + 1);
    }
    name
}

impl Format {
    /// The value of `Content-type`, with the charset that PHP adds.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain;charset=UTF-8",
            Self::Html => "text/html;charset=UTF-8",
            Self::Xml => "text/xml;charset=UTF-8",
            Self::Json => "application/json",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Renders the page. `date` formats seconds since 1970 as `24/Nov/2026:10:00:00 +0000`.
#[must_use]
pub fn render(snapshot: &Snapshot, options: PageOptions, date: &dyn Fn(u64) -> String) -> Vec<u8> {
    match options.format {
        Format::Text => render::text(snapshot, options.full, date),
        Format::Html => render::html(snapshot, options.full, date),
        Format::Xml => render::xml(snapshot, options.full),
        Format::Json => render::json(snapshot, options.full),
        Format::OpenMetrics => openmetrics::render(snapshot),
    }
}

#[cfg(test)]
mod tests;

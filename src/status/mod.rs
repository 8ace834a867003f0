//! The status page: what a pool looks like at a moment, and its five renderings. Pure; `worker/pages.rs` serves it.
#![forbid(unsafe_code)]

mod escape;
mod fields;
mod openmetrics;
mod render;

use crate::request::Stage;
use crate::text::url_decoded;

pub use fields::{Field, Value, of_pool, of_process};

/// A pool at a moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// The pool's name.
    pub pool: String,
    /// `static`, `dynamic` or `ondemand`.
    pub manager: &'static str,
    /// This moment, in seconds since 1970.
    pub now: u64,
    /// When the pool first started, in seconds since 1970. Reloads don't change it.
    pub started: u64,
    /// Requests since then.
    pub requests: u64,
    /// Connections that wait to be accepted.
    pub queue: u64,
    /// The most that ever waited.
    pub queue_max: u64,
    /// How many may wait.
    pub queue_limit: u64,
    /// Workers that wait for a request.
    pub idle: u64,
    /// Workers that don't.
    pub active: u64,
    /// The most that were ever active at once.
    pub active_max: u64,
    /// How often `pm.max_children` kept the pool from growing.
    pub limit_reached: u64,
    /// Requests that took longer than `request_slowlog_timeout`.
    pub slow: u64,
    /// Forms that were cut off, so that their scripts didn't run. Ours: told only once there has been one.
    pub incomplete: u64,
    /// Requests that `request_drop_abandoned` has dropped. Ours, as above.
    pub abandoned: u64,
    /// The most memory that a request ever took, in bytes; only told where this PHP's php-fpm does (8.4).
    pub memory_peak: Option<u64>,
    /// The workers, in the order of their slots.
    pub processes: Vec<Process>,
}

/// A worker at a moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Process {
    /// Its pid, as it says itself.
    pub pid: u64,
    /// What it does.
    pub stage: Stage,
    /// When it started, in seconds since 1970.
    pub started: u64,
    /// Requests it has begun.
    pub requests: u64,
    /// Of the present request until now, or of the last one; in microseconds.
    pub duration: u64,
    /// `REQUEST_METHOD`, cut at 16 bytes.
    pub method: Vec<u8>,
    /// Cut at 128 bytes.
    pub uri: Vec<u8>,
    /// Cut at 512 bytes.
    pub query: Vec<u8>,
    /// Cut at 32 bytes.
    pub user: Vec<u8>,
    /// Cut at 256 bytes.
    pub script: Vec<u8>,
    /// `CONTENT_LENGTH`.
    pub content_length: u64,
    /// CPU time in percent of the last request's time; 0 while one runs.
    pub cpu: f64,
    /// The last request's peak in bytes; 0 while one runs.
    pub memory: u64,
}

/// How the page is to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Format {
    Text,
    Html,
    Xml,
    Json,
    OpenMetrics,
}

/// What a query string asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// The first of html, xml, json, openmetrics that is named, in this order; else text.
    pub format: Format,
    /// With a row for each worker. OpenMetrics has none.
    pub full: bool,
}

impl Wish {
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

/// The name in a part of a query string, as PHP reads it: decoded, without blanks in front, and without the brackets of an array.
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
    /// The value of `Content-type`, as PHP completes it.
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

/// The page's body. `date` writes seconds since 1970 as `24/Nov/2026:10:00:00 +0000`.
#[must_use]
pub fn render(snapshot: &Snapshot, wish: Wish, date: &dyn Fn(u64) -> String) -> Vec<u8> {
    match wish.format {
        Format::Text => render::text(snapshot, wish.full, date),
        Format::Html => render::html(snapshot, wish.full, date),
        Format::Xml => render::xml(snapshot, wish.full),
        Format::Json => render::json(snapshot, wish.full),
        Format::OpenMetrics => openmetrics::render(snapshot),
    }
}

/// php-fpm's name of a stage.
#[must_use]
pub fn state(stage: Stage) -> &'static str {
    match stage {
        Stage::Creating => "Creating",
        Stage::Idle => "Idle",
        Stage::Reading => "Reading headers",
        Stage::Info => "Getting request information",
        Stage::Running => "Running",
        Stage::Ending | Stage::Answered => "Ending",
        Stage::Finishing => "Finishing",
    }
}

#[cfg(test)]
mod tests;

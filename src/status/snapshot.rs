//! A pool and its workers at a moment, as the status page shows them.

use crate::request::Stage;

/// A pool at a moment. `Scoreboard::snapshot` fills it in; `scoreboard::totals::Counter` says what raises a counter.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// The pool's name.
    pub pool: String,
    /// `static`, `dynamic` or `ondemand`.
    pub manager: &'static str,
    /// The current time, in seconds since 1970.
    pub now: u64,
    /// When the pool first started, in seconds since 1970. Reloads do not change it.
    pub started: u64,
    /// Requests since then.
    pub requests: u64,
    /// Connections that wait to be accepted.
    pub queue: u64,
    /// The maximum of `queue`.
    pub queue_max: u64,
    /// How many may wait.
    pub queue_limit: u64,
    /// Workers that wait for a request.
    pub idle: u64,
    /// Workers that serve a request.
    pub active: u64,
    /// The most that were ever active at once.
    pub active_max: u64,
    /// How often `pm.max_children` kept the pool from growing.
    pub limit_reached: u64,
    /// Requests that took longer than `request_slowlog_timeout`.
    pub slow: u64,
    /// Forms that were incomplete, so that their scripts did not run. php-fpm has no such field; it is shown once there was one.
    pub incomplete: u64,
    /// Requests that `request_drop_abandoned` has dropped. Shown once there was one, as `incomplete` is.
    pub abandoned: u64,
    /// The most memory that a request has used, in bytes. Shown with PHP 8.4 and later, as in php-fpm.
    pub memory_peak: Option<u64>,
    /// The workers, in the order of their slots.
    pub processes: Vec<Process>,
    /// The group that the pool belongs to; only in the format for Prometheus.
    pub group: Option<Group>,
}

/// The group of a pool, as the worker that renders the page knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// The version of its PHP.
    pub php: String,
    /// The number of its generation.
    pub generation: u32,
    /// The last reload could not change it: it keeps its former configuration.
    pub outdated: bool,
}

/// A worker at a moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Process {
    /// Its pid, as it reports it.
    pub pid: u64,
    /// What it is doing.
    pub stage: Stage,
    /// When it started, in seconds since 1970.
    pub started: u64,
    /// Requests that it has started.
    pub requests: u64,
    /// Duration of the current request so far, or of the last one, in microseconds.
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
    /// CPU time in percent of the last request's duration; 0 while a request runs.
    pub cpu: f64,
    /// Peak of the last request's memory in bytes; 0 while a request runs.
    pub memory: u64,
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

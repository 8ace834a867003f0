//! What the monitor tells about all pools at a moment: for its page, for `/api/v1/` and for `php-fpm top`. Plain data that becomes JSON.
//! A reader ignores fields that it does not know, and has defaults for missing ones, so that versions may differ.
#![forbid(unsafe_code)]

mod detail;
mod diagnosis;
mod event;
mod pool;

pub(crate) use detail::{PoolDetail, Running, Slot, SlotState};
pub(crate) use event::{Event, EventKind};
pub(crate) use pool::{Durations, Pool, PoolPhase, Queue, Recent, Requests, Workers};

use serde::{Deserialize, Serialize};

/// All pools at a moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Overview {
    /// What php-fpm does.
    pub(crate) state: State,
    /// Why it hangs, or why the last reload has failed.
    pub(crate) reason: Option<String>,
    /// How bad the worst of it is.
    pub(crate) severity: Severity,
    /// One sentence about what matters most.
    pub(crate) diagnosis: String,
    /// When this was true, in seconds since 1970.
    pub(crate) now: f64,
    /// When php-fpm has started, in seconds since 1970.
    pub(crate) started: u64,
    /// The version of cgi-fpm.
    pub(crate) version: String,
    /// That of PHP.
    pub(crate) php: String,
    /// Processors that php-fpm may use.
    pub(crate) cores: u32,
    /// The time that rates and percentiles are about. The time since the start, if nobody has asked shortly before.
    pub(crate) window_seconds: f64,
    /// The reloads since the start.
    pub(crate) reloads: Reloads,
    /// What was not logged.
    pub(crate) dropped: Dropped,
    /// Running requests are told with their URIs.
    pub(crate) shows_requests: bool,
    /// The pools, the worst first.
    pub(crate) pools: Vec<Pool>,
    /// What has happened, the newest first.
    pub(crate) events: Vec<Event>,
}

/// What php-fpm does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Not all groups have started yet.
    #[default]
    Starting,
    /// It serves.
    Serving,
    /// New generations start while former ones serve.
    Reloading,
    /// It is about to stop.
    Leaving,
    /// The supervisor's event loop does not turn.
    Hanging,
}

/// How bad something is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// As it should be.
    #[default]
    Ok,
    /// Somebody should look at it.
    Warning,
    /// Clients notice it.
    Critical,
}

/// The reloads since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Reloads {
    /// After which all groups had their new configuration.
    pub(crate) success: u64,
    /// That some groups could not follow.
    pub(crate) partial: u64,
    /// That were refused, or that no group could follow.
    pub(crate) failure: u64,
    /// When the last one has ended, in seconds since 1970.
    pub(crate) last: Option<u64>,
    /// All groups have followed it.
    pub(crate) last_successful: bool,
}

/// What was not logged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Dropped {
    /// Log lines since the start.
    pub(crate) log_lines: u64,
    /// Bytes of workers' output since the start.
    pub(crate) output_bytes: u64,
    /// Log lines within the last minute.
    pub(crate) recent_lines: u64,
}

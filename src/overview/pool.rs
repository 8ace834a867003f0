//! A pool in the overview.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Severity;

/// A pool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Pool {
    /// Its name.
    pub(crate) name: String,
    /// That of its group.
    pub(crate) group: String,
    /// The first address that it listens on.
    pub(crate) address: String,
    /// `pm`.
    pub(crate) manager: String,
    /// The number of the start or reload that began what is shown.
    pub(crate) generation: u32,
    /// How far that has come.
    pub(crate) phase: PoolPhase,
    /// How bad its state is.
    pub(crate) severity: Severity,
    /// What is bad about it, if anything is.
    pub(crate) diagnosis: Option<String>,
    /// Its workers.
    pub(crate) workers: Workers,
    /// Connections that no worker has taken.
    pub(crate) queue: Queue,
    /// Requests that have ended.
    pub(crate) requests: Requests,
    /// How long requests took, within the window. `None`: there was none.
    pub(crate) duration: Option<Durations>,
    /// How long they have waited for a worker. `None`: it is not known of any.
    pub(crate) wait: Option<Durations>,
    /// Processors in use, within the window.
    pub(crate) cpu: f64,
    /// Which part of the requests' time was CPU time, within the window. `None`: no request has ended.
    pub(crate) cpu_share: Option<f64>,
    /// Slow requests since the start.
    pub(crate) slow: u64,
    /// Requests inside workers that ended before they had answered, since the start.
    pub(crate) lost: u64,
    /// How many times `pm.max_children` kept the pool from growing, since the start.
    pub(crate) limit_reached: u64,
    /// Workers that have ended since the start, by reason.
    pub(crate) exits: BTreeMap<String, u64>,
    /// The most memory that PHP has taken for a request, in bytes.
    pub(crate) memory_peak: u64,
    /// What went wrong within the last minute.
    pub(crate) recent: Recent,
    /// Requests per second, the oldest value first, one for each second that was looked at.
    pub(crate) history: Vec<f64>,
}

/// How far a pool has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PoolPhase {
    /// No generation serves yet.
    #[default]
    Starting,
    /// One serves.
    Serving,
    /// A reload has removed the pool; it finishes its requests.
    Draining,
}

/// Workers by what they do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Workers {
    /// Inside a request.
    pub(crate) busy: u64,
    /// Waiting for a request.
    pub(crate) idle: u64,
    /// Being set up.
    pub(crate) starting: u64,
    /// Of a former generation, finishing requests.
    pub(crate) draining: u64,
    /// `pm.max_children`.
    pub(crate) limit: u64,
    /// How many the pool is to have now.
    pub(crate) wanted: u64,
}

/// Connections that no worker has taken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Queue {
    /// How many wait.
    pub(crate) waiting: u64,
    /// How many may.
    pub(crate) limit: u64,
}

/// Requests that have ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Requests {
    /// Since the start.
    pub(crate) total: u64,
    /// Within the window.
    pub(crate) in_window: u64,
    /// Per second, within the window.
    pub(crate) per_second: f64,
    /// Since the start, by the class of their status.
    pub(crate) by_class: BTreeMap<String, u64>,
    /// The part of them with a status 5xx, within the window.
    pub(crate) error_share: f64,
}

/// Percentiles of times, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Durations {
    /// Half of the requests took no longer.
    pub(crate) p50: f64,
    /// 95 % of them.
    pub(crate) p95: f64,
    /// 99 % of them.
    pub(crate) p99: f64,
}

/// What went wrong within the last minute.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Recent {
    /// The time that these numbers are about: less than a minute if nobody has asked for so long.
    pub(crate) seconds: f64,
    /// Requests that were lost.
    pub(crate) lost: u64,
    /// Workers that crashed.
    pub(crate) crashes: u64,
    /// Workers that took longer than `request_terminate_timeout`.
    pub(crate) timeouts: u64,
    /// Workers that the kernel has killed for want of memory.
    pub(crate) out_of_memory: u64,
    /// How many times `pm.max_children` kept the pool from growing.
    pub(crate) limit_reached: u64,
}

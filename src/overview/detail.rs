//! A pool with its workers and its running requests.

use serde::{Deserialize, Serialize};

use super::Pool;

/// A pool with its workers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct PoolDetail {
    /// The pool as in the overview.
    #[serde(flatten)]
    pub(crate) pool: Pool,
    /// Its workers, by slot; first those of the generation that serves.
    pub(crate) slots: Vec<Slot>,
    /// Workers that are not among them, because there are too many.
    pub(crate) slots_left_out: u64,
    /// The requests that run, the longest first. `None`: they are not shown (`monitor.show_requests`).
    pub(crate) running: Option<Vec<Running>>,
}

/// A worker.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Slot {
    /// The number of its slot.
    pub(crate) slot: u32,
    /// The generation that it belongs to.
    pub(crate) generation: u32,
    /// Its process id, as it says itself.
    pub(crate) pid: u64,
    /// What it does.
    pub(crate) state: SlotState,
    /// For so long it is idle, or inside its request, in seconds.
    pub(crate) since: f64,
    /// How many requests it has begun.
    pub(crate) requests: u64,
}

/// What a worker does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SlotState {
    /// It is being set up.
    #[default]
    Starting,
    /// It waits for a request.
    Idle,
    /// The request's parameters arrive, and its script is found.
    Reading,
    /// The script runs.
    Running,
    /// The answer is being completed.
    Ending,
    /// It goes on after `fastcgi_finish_request()`.
    Finishing,
}

/// A request that runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Running {
    /// The slot of its worker.
    pub(crate) slot: u32,
    /// The generation of its worker.
    pub(crate) generation: u32,
    /// The process id of its worker.
    pub(crate) pid: u64,
    /// For how long, in seconds.
    pub(crate) seconds: f64,
    /// Its method.
    pub(crate) method: String,
    /// Its URI with the query, cut.
    pub(crate) uri: String,
    /// Its script, cut.
    pub(crate) script: String,
    /// Its id, if it has one.
    pub(crate) id: Option<String>,
}

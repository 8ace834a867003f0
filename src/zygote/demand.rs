//! The state with which a zygote watches for demand in a pool whose number of workers changes.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::config::ProcessManager;
use crate::scoreboard::Readiness;
use crate::sys::clock::Moment;

/// The time between two checks while connections wait. It doubles from `SOONEST` to `LATEST`.
pub(super) const SOONEST: Duration = Duration::from_millis(5);
pub(super) const LATEST: Duration = Duration::from_millis(100);
/// The most checks in a row, 50 ms, that leave waiting connections to workers which send the end of an answer. On a
/// busy machine such a worker is free in a moment, and its client may have come back before. But a client that reads
/// slowly may delay its worker.
pub(super) const DEFERRALS: u32 = 10;

/// The state of one pool.
#[derive(Debug)]
pub(super) struct Demand {
    /// The pool's sockets are in the epoll set.
    pub(super) watched: bool,
    /// A first check is not reported: with `pm = dynamic`, a connection that waits for a moment is no reason to add a
    /// worker that stays.
    pub(super) patient: bool,
    /// How many checks in a row have left connections to workers that will be free in a moment.
    pub(super) deferred: u32,
    /// When the pool is watched again.
    pub(super) again: Option<Moment>,
    pub(super) pause: Duration,
    pub(super) last: Moment,
}

impl Demand {
    pub(super) fn of(manager: ProcessManager) -> Option<Self> {
        let patient = manager == ProcessManager::Dynamic;
        let idle = Self { watched: false, patient, deferred: 0, again: None, pause: SOONEST, last: Moment::default() };
        (manager != ProcessManager::Static).then_some(idle)
    }
}

/// The best readiness of a worker in two checks, each with the start of its last request. If the request is another
/// one, the worker was free in between.
pub(super) fn nearest((before, request): (Readiness, u64), (after, later): (Readiness, u64)) -> Readiness {
    if request == later { before.max(after) } else { Readiness::Free }
}

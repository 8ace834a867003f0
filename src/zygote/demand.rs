//! How a zygote watches the demand for workers of a pool that scales.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::config::ProcessManager;
use crate::scoreboard::Readiness;
use crate::sys::clock::Moment;

/// From one look to the next, while connections wait: doubling.
pub(super) const SOONEST: Duration = Duration::from_millis(5);
pub(super) const LATEST: Duration = Duration::from_millis(100);
/// That many looks, 50 ms, are granted to workers that send the end of an answer: on a busy machine the client that has it is sooner
/// back than its worker, but one that reads slowly may hold its worker up.
pub(super) const DEFERRALS: u32 = 10;

/// The watch of a pool that scales.
#[derive(Debug)]
pub(super) struct Demand {
    /// In the epoll set.
    pub(super) watched: bool,
    /// What waits for a moment only is no reason for a worker that stays.
    pub(super) patient: bool,
    /// Looks in a row that have left connections to workers about to be free.
    pub(super) deferred: u32,
    /// When to watch again.
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

/// A worker between two looks, each with its last request: if that is another one, it was free in between.
pub(super) fn nearest((before, request): (Readiness, u64), (after, later): (Readiness, u64)) -> Readiness {
    if request == later { before.max(after) } else { Readiness::Free }
}

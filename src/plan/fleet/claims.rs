//! Checks a zygote's reports about its workers. Code of the pools' users may run in a zygote, so a report counts only if
//! the kernel confirms it.

use crate::log::Message;
use crate::log::messages::zygotes;

/// The kernel's information about a pid that a zygote reports as a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is a child of the zygote, known as no other worker; with its start time.
    Proved(u64),
    /// There is no such process, or no longer.
    Gone,
    /// It is another process.
    False,
}

/// The error in a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Violation {
    /// The process is no new child of the zygote.
    NotItsChild,
    /// The zygote was not told to fork that worker.
    NotAskedFor,
    /// The process has not ended.
    StillRuns,
}

impl Violation {
    /// The line for the log.
    #[must_use]
    pub(crate) fn message(self, pool: &str, pid: i32) -> Message {
        match self {
            Self::NotItsChild => zygotes::worker_is_not_its_child(pool, pid),
            Self::NotAskedFor => zygotes::worker_was_not_asked_for(pool, pid),
            Self::StillRuns => zygotes::worker_still_runs(pool, pid),
        }
    }
}

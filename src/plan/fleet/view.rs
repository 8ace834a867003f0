//! A fleet's view of workers and of the machine.

use crate::plan::fleet::keys::{GenerationId, WorkerKey};
use crate::plan::watch::Seen;
use crate::sys::clock::Moment;

/// Facts that only the outside knows. Those about workers come from their scoreboard slots, which workers can write to: they are
/// believed for the worker's own pool only.
pub(crate) trait View {
    /// Whether a worker is inside a request.
    fn is_busy(&self, worker: WorkerKey) -> bool;

    /// When a worker that is not became idle; its start at the earliest.
    fn idle_since(&self, worker: WorkerKey) -> Moment;

    /// Whether the process with that pid and start time is stopped (SIGSTOP).
    fn is_stopped(&self, _pid: i32, _born: u64) -> bool {
        false
    }

    /// Whether others listen in place of TCP sockets of that generation. These are shut down when it is replaced, and clients that still
    /// wait there are reset.
    fn has_replaced_sockets(&self, _generation: GenerationId) -> bool {
        false
    }

    /// How many requests a worker has begun.
    fn requests(&self, worker: WorkerKey) -> u64;

    /// The request that a worker is inside of.
    fn request(&self, worker: WorkerKey) -> Option<Seen>;

    /// Whether the machine is short of memory.
    fn memory_is_short(&self) -> bool;
}

/// Sees no worker busy: a stop does not depend on that.
pub(super) struct Blind;

impl View for Blind {
    fn is_busy(&self, _worker: WorkerKey) -> bool {
        false
    }

    fn idle_since(&self, _worker: WorkerKey) -> Moment {
        Moment::default()
    }

    fn requests(&self, _worker: WorkerKey) -> u64 {
        0
    }

    fn request(&self, _worker: WorkerKey) -> Option<Seen> {
        None
    }

    fn memory_is_short(&self) -> bool {
        false
    }
}

//! The fleet's view of workers and of the machine.

use nix::unistd::Pid;

use crate::plan::fleet::{GenerationId, View, WorkerKey};
use crate::plan::watch::Seen;
use crate::supervisor::generation::Runtimes;
use crate::supervisor::sockets::Sockets;
use crate::sys::clock::Moment;
use crate::sys::{pressure, proc_stat};

/// Reads scoreboards, the list of sockets, and the memory pressure of the machine.
pub(super) struct FleetView<'a>(pub(super) &'a Runtimes, pub(super) &'a Sockets);

impl View for FleetView<'_> {
    fn is_busy(&self, worker: WorkerKey) -> bool {
        self.0.scoreboard(worker).is_some_and(|board| board.is_busy(worker.slot))
    }

    fn idle_since(&self, worker: WorkerKey) -> Moment {
        self.0.scoreboard(worker).map_or(Moment::default(), |board| board.since(worker.slot))
    }

    fn is_stopped(&self, pid: i32, born: u64) -> bool {
        proc_stat::is_stopped(Pid::from_raw(pid), born)
    }

    fn has_replaced_sockets(&self, generation: GenerationId) -> bool {
        self.1.has_replaced(generation)
    }

    fn requests(&self, worker: WorkerKey) -> u64 {
        self.0.scoreboard(worker).map_or(0, |board| board.requests(worker.slot))
    }

    fn request(&self, worker: WorkerKey) -> Option<Seen> {
        self.0.scoreboard(worker)?.request(worker.slot)
    }

    fn memory_is_short(&self) -> bool {
        pressure::memory_is_short()
    }
}

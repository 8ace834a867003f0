//! Counts starts and ends of workers, and requests that ended with them.

use nix::sys::signal::Signal;

use crate::plan::events::{Happening, Owner};
use crate::plan::exit_reason::{self, ExitReason, Life};
use crate::plan::fleet::{Goal, Phase, WorkerKey, ZygoteKey};
use crate::plan::watch;
use crate::scoreboard::Counter;
use crate::supervisor::core::Supervisor;
use crate::sys::oom_kills;
use crate::sys::process::Exit;

impl Supervisor {
    /// A worker was forked.
    pub(super) fn worker_started(&mut self, key: WorkerKey, pid: i32, replaces: bool) {
        self.outputs.set_pid(key, pid);
        self.log_start(key, pid, replaces);
        if let Some(totals) = self.totals_of(key.of_pool()) {
            totals.add(Counter::Starts, 1);
        }
    }

    /// A zygote serves.
    pub(super) fn zygote_started(&self, key: ZygoteKey) {
        let pools = self.runtimes.group(key).into_iter().flat_map(|group| &group.spec.pools);
        for totals in pools.filter_map(|pool| self.totals.get(pool.totals_fd)) {
            totals.add(Counter::ZygoteStarts, 1);
        }
    }

    /// A worker has ended. Its slot still has what it was doing.
    pub(super) fn count_end(&mut self, key: WorkerKey, exit: Exit) {
        let memory_ran_out = matches!(exit, Exit::Signal(number, _) if number == Signal::SIGKILL as i32)
            && self.oom_kills.take(oom_kills::so_far());
        let (Some(worker), Some(board)) = (self.fleet.worker(key), self.runtimes.scoreboard(key)) else { return };
        let (Some(pool), Some(totals)) = (self.runtimes.pool(key.of_pool()), self.totals_of(key.of_pool())) else {
            return;
        };
        let draining = self.fleet.generation(key.generation).is_none_or(|g| g.phase == Phase::Draining);
        let request = board.request(key.slot);
        let reason = exit_reason::of(
            exit,
            &Life {
                retired: worker.retired.is_some(),
                drained: draining || worker.orphan || self.fleet.goal() != Goal::Serve,
                timed_out: worker.has_timed_out(),
                memory_ran_out,
                reached: board.reached(key.slot),
            },
        );
        totals.add(Counter::of_exit(reason as usize), 1);
        let (name, shown) = (pool.name.clone(), pool.status_of.is_none());
        // After its script has ended, only shutdown functions are left.
        if request.is_some_and(|request| request.phase != watch::Phase::Finished) {
            totals.add(Counter::Lost, 1);
        }
        let happening = match reason {
            ExitReason::Crash => Happening::Crashed,
            ExitReason::Timeout => Happening::TimedOut,
            ExitReason::Oom => Happening::OutOfMemory,
            ExitReason::Other => Happening::Ended,
            ExitReason::MaxRequests | ExitReason::MaxMemory | ExitReason::Idle | ExitReason::Reload => return,
        };
        if shown {
            self.note_event(Owner::Pool(&name), happening, 1);
        }
    }
}

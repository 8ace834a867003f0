//! Pools that follow the load: what the fleet sees of workers and machine, and the effects of what it decides.

use std::os::fd::AsRawFd;

use crate::config::ProcessManager;
use crate::ipc::ToZygote;
use crate::log;
use crate::plan::crashes;
use crate::plan::fleet::{PoolKey, Remark, View, WorkerKey, ZygoteKey};
use crate::plan::watch::Seen;
use crate::scoreboard::Counter;
use crate::supervisor::Supervisor;
use crate::supervisor::generation::runtime::{self, Runtimes};
use crate::sys::clock::Millis;
use crate::sys::pressure;

/// The fleet's eyes: scoreboards, and the machine.
pub(super) struct Eyes<'a>(pub(super) &'a Runtimes);

impl View for Eyes<'_> {
    fn is_busy(&self, worker: WorkerKey) -> bool {
        runtime::board(self.0, worker).is_some_and(|board| board.is_busy(worker.slot))
    }

    fn idle_since(&self, worker: WorkerKey) -> Millis {
        runtime::board(self.0, worker).map_or(Millis(0), |board| board.since(worker.slot))
    }

    fn requests(&self, worker: WorkerKey) -> u64 {
        runtime::board(self.0, worker).map_or(0, |board| board.requests(worker.slot))
    }

    fn request(&self, worker: WorkerKey) -> Option<Seen> {
        runtime::board(self.0, worker)?.request(worker.slot)
    }

    fn memory_is_short(&self) -> bool {
        pressure::memory_is_short()
    }
}

impl Supervisor {
    pub(super) fn retire(&mut self, key: WorkerKey) {
        if let Some(board) = runtime::board(&self.runtimes, key) {
            board.ask_to_drain(key.slot);
        }
        self.send(key.zygote(), &ToZygote::Retire { pool: key.pool, slot: key.slot }, Vec::new());
    }

    pub(super) fn watch_doors(&mut self, key: ZygoteKey) {
        let doors = self.doors(key);
        for listener in self.sockets.all.iter().filter(|l| doors.contains(&l.fd.as_raw_fd())) {
            if let Err(e) = self.poller.add_door(&listener.fd, key) {
                log::error(format!("unable to watch {}: {e}", listener.name));
            }
        }
    }

    pub(super) fn unwatch_doors(&mut self, key: ZygoteKey) {
        let doors = self.doors(key);
        let listeners = self.sockets.all.iter().filter(|l| doors.contains(&l.fd.as_raw_fd()));
        self.poller.remove_doors(listeners.map(|l| &l.fd), key);
    }

    fn doors(&self, key: ZygoteKey) -> Vec<i32> {
        let group = runtime::group(&self.runtimes, key);
        group.map(|g| g.spec.pools.iter().flat_map(|p| p.listen_fds.clone()).collect()).unwrap_or_default()
    }

    /// php-fpm's lines. A pool that shows another's status is small on purpose, and says nothing.
    pub(super) fn remark(&self, key: PoolKey, remark: Remark) {
        let Some(pool) = runtime::pool(&self.runtimes, key) else { return };
        if pool.status_of.is_some() {
            return;
        }
        let name = &pool.name;
        match remark {
            Remark::Full => {
                if let Some(totals) = self.totals_of(key) {
                    totals.add(Counter::LimitReached, 1);
                }
                let directive = if pool.pm == ProcessManager::Ondemand { "max_children" } else { "pm.max_children" };
                let most = pool.pm_max_children;
                log::warning(format!("[pool {name}] server reached {directive} setting ({most}), consider raising it"));
            }
            Remark::CrashLoop => log::warning(format!(
                "[pool {name}] its workers crash at their first request, one after the other: \
                 they are replaced after a pause from now on, {} ms at most, until one outlives its first request",
                crashes::LONGEST_PAUSE
            )),
            Remark::Busy { rate, idle, total } => log::warning(format!(
                "[pool {name}] seems busy (you may need to increase pm.start_servers, or pm.min/max_spare_servers), \
                 spawning {rate} children, there are {idle} idle, and {total} total children"
            )),
        }
    }
}

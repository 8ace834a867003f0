//! Pools and groups by their keys: counters, sockets, and lines about them.

use std::collections::BTreeSet;

use crate::config::ProcessManager;
use crate::ipc::ToZygote;
use crate::log::{self, messages::pools};
use crate::plan::crashes;
use crate::plan::events::{Happening, Owner};
use crate::plan::fleet::{PoolKey, Remark, WorkerKey, ZygoteKey};
use crate::scoreboard::{Counter, Totals};
use crate::supervisor::core::Supervisor;

impl Supervisor {
    /// The pool's counters.
    pub(super) fn totals_of(&self, key: PoolKey) -> Option<&Totals> {
        let pool = self.runtimes.group(key.zygote)?.spec.pools.get(key.pool)?;
        self.totals.get(pool.totals_fd)
    }

    /// Drops counters that no generation's pool uses.
    pub(super) fn forget_totals(&mut self) {
        let pools = self.runtimes.groups().flat_map(|group| &group.spec.pools);
        let used: BTreeSet<i32> = pools.map(|pool| pool.totals_fd).collect();
        self.totals.retain(|fd| used.contains(&fd));
    }

    /// Notes how many connections wait at each pool's sockets, for status pages; once a second, as php-fpm does. Returns the names of
    /// the pools where some wait.
    pub(super) fn note_queues(&mut self) -> BTreeSet<String> {
        let notable = self.sockets.look_at_queues();
        let (mut noted, mut waiting) = (BTreeSet::new(), BTreeSet::new());
        if notable.is_empty() {
            return waiting;
        }
        // The newest generation of a pool knows its sockets.
        for pool in self.runtimes.groups().rev().flat_map(|group| &group.spec.pools) {
            let is_newest = noted.insert(pool.config.name.as_str());
            if !is_newest || !pool.listen_fds.iter().any(|fd| notable.contains(fd)) {
                continue;
            }
            let queue = self.sockets.queue(&pool.listen_fds);
            if queue.waiting > 0 {
                waiting.insert(pool.config.name.clone());
            }
            if let Some(totals) = self.totals.get(pool.totals_fd) {
                totals.note_queue(queue.waiting, queue.limit);
            }
        }
        waiting
    }

    /// Clears the slot of a worker that has ended.
    pub(super) fn clear_slot(&self, key: WorkerKey) {
        let Some(scoreboard) = self.runtimes.scoreboard(key) else { return };
        if let Some(totals) = self.totals_of(key.of_pool()).filter(|_| scoreboard.is_busy(key.slot)) {
            totals.leave();
        }
        scoreboard.reset(key.slot);
    }

    /// Tells one worker to take no further request.
    pub(super) fn retire(&mut self, key: WorkerKey) {
        if let Some(scoreboard) = self.runtimes.scoreboard(key) {
            scoreboard.ask_to_drain(key.slot);
        }
        self.send(key.zygote(), &ToZygote::Retire { pool: key.pool, slot: key.slot }, Vec::new());
    }

    /// Waits for connections to a group without a zygote.
    pub(super) fn watch_sockets(&mut self, key: ZygoteKey) {
        for listener in self.sockets.of_mut(&self.listen_fds(key)) {
            match self.poller.add_listener(&listener.fd, key) {
                Ok(()) => listener.watch(true),
                Err(e) => log::say(&pools::socket_not_watched(&listener.name, e)),
            }
        }
    }

    /// Ends that.
    pub(super) fn unwatch_sockets(&mut self, key: ZygoteKey) {
        let fds = self.listen_fds(key);
        self.sockets.of_mut(&fds).for_each(|listener| listener.watch(false));
        self.poller.remove_listeners(self.sockets.of(&fds).map(|listener| &listener.fd), key);
    }

    fn listen_fds(&self, key: ZygoteKey) -> Vec<i32> {
        let group = self.runtimes.group(key);
        group.map(|g| g.spec.pools.iter().flat_map(|p| p.listen_fds.clone()).collect()).unwrap_or_default()
    }

    /// Logs php-fpm's lines about a pool. The hidden pool of `pm.status_listen` is small on purpose, so it gets none.
    pub(super) fn remark(&mut self, key: PoolKey, remark: Remark) {
        let Some(pool) = self.runtimes.pool(key) else { return };
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
                log::say(&pools::max_children_reached(name, directive, most));
                let name = name.clone();
                self.note_event(Owner::Pool(&name), Happening::LimitReached(most), 1);
            }
            Remark::CrashLoop => log::say(&pools::crash_loop(name, crashes::LONGEST_PAUSE.as_millis())),
            Remark::Busy { rate, idle, total } => log::say(&pools::pool_seems_busy(name, rate, idle, total)),
        }
    }
}

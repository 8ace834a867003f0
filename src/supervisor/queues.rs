//! How many connections wait at each pool's door: looked at once a second, like php-fpm, for status pages.

use std::os::fd::AsRawFd;

use super::Supervisor;
use crate::sys::backlog::Backlog;
use crate::sys::clock::{self, Millis};

/// Between two looks.
const INTERVAL: u64 = 1000;

impl Supervisor {
    /// Looks if it is time to.
    pub(super) fn look_at_queues(&mut self) {
        let now = clock::now();
        if self.next_look > now {
            return;
        }
        self.next_look = now.plus(INTERVAL);
        self.settle_outputs();
        let Some(runtime) = self.runtimes.values().next_back() else { return };
        for pool in runtime.groups.iter().flat_map(|group| &group.spec.pools) {
            let sockets = self.sockets.all.iter().filter(|l| pool.listen_fds.contains(&l.fd.as_raw_fd()));
            let queues: Vec<Backlog> = sockets.filter_map(|l| self.inspector.backlog(&l.fd)).collect();
            if let Some(totals) = self.totals.get(&pool.config.name) {
                let sum = |of: fn(&Backlog) -> u32| queues.iter().map(|q| u64::from(of(q))).sum();
                totals.note_queue(sum(|q| q.waiting), sum(|q| q.limit));
            }
        }
    }

    /// When the next look is due.
    pub(super) fn queues_due(&self) -> Millis {
        self.next_look
    }
}

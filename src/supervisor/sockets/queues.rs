//! How many connections wait at each pool's door, for status pages.

use std::os::fd::AsRawFd;

use crate::supervisor::Supervisor;
use crate::sys::backlog::Backlog;

impl Supervisor {
    /// Looks, like php-fpm's master; once a second.
    pub(in crate::supervisor) fn look_at_queues(&mut self) {
        let Some(runtime) = self.runtimes.values().next_back() else { return };
        for pool in runtime.groups.iter().flat_map(|group| &group.spec.pools) {
            let sockets = self.sockets.all.iter().filter(|l| pool.listen_fds.contains(&l.fd.as_raw_fd()));
            let queues: Vec<Backlog> = sockets.filter_map(|l| self.inspector.backlog(&l.fd)).collect();
            if let Some(totals) = self.totals.get(pool.totals_fd) {
                let sum = |of: fn(&Backlog) -> u32| queues.iter().map(|q| u64::from(of(q))).sum();
                totals.note_queue(sum(|q| q.waiting), sum(|q| q.limit));
            }
        }
    }
}

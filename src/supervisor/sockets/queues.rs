//! How many connections wait at a pool's listening sockets.

use std::os::fd::{AsRawFd, RawFd};

use crate::supervisor::sockets::listeners::Sockets;
use crate::sys::backlog::Backlog;

/// The accept queues of a pool's sockets together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Queue {
    /// Connections that wait.
    pub waiting: u64,
    /// Connections that may wait.
    pub limit: u64,
}

impl Sockets {
    /// The queues of those sockets together.
    pub(crate) fn queue(&mut self, fds: &[RawFd]) -> Queue {
        let Self { all, inspector, .. } = self;
        let sockets = all.iter().filter(|l| fds.contains(&l.fd.as_raw_fd()));
        let queues: Vec<Backlog> = sockets.filter_map(|l| inspector.backlog(&l.fd)).collect();
        let sum = |of: fn(&Backlog) -> u32| queues.iter().map(|queue| u64::from(of(queue))).sum();
        Queue { waiting: sum(|queue| queue.waiting), limit: sum(|queue| queue.limit) }
    }
}

//! How many connections wait at listening sockets.

use std::collections::BTreeSet;
use std::os::fd::{AsRawFd, RawFd};

use crate::supervisor::sockets::listeners::{Listener, Sockets};
use crate::sys::backlog::{self, Backlog};

/// The accept queues of a pool's sockets together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Queue {
    /// Connections that wait.
    pub waiting: u64,
    /// Connections that may wait.
    pub limit: u64,
}

impl Sockets {
    /// Looks at the accept queues of all sockets. Returns the sockets where connections wait, and those whose queue was different at
    /// the last look. Those that the supervisor waits for are empty. So a server without clients costs a few system calls, however
    /// many sockets it has.
    pub(crate) fn look_at_queues(&mut self) -> BTreeSet<RawFd> {
        let Self { all, inspector, .. } = self;
        let is_looked_at = |listener: &&Listener| !listener.watched;
        let looked_at = all.iter().filter(is_looked_at).map(|listener| &listener.fd);
        let mut filled = backlog::have_connections(looked_at).into_iter();
        let mut notable = BTreeSet::new();
        for listener in all {
            let before = listener.queue;
            let is_filled = !listener.watched && filled.next().unwrap_or(true);
            let now = match before {
                Some(known) if !is_filled => Backlog { waiting: 0, ..known },
                _ => inspector.backlog(&listener.fd).unwrap_or_default(),
            };
            listener.queue = Some(now);
            if now.waiting > 0 || before != Some(now) {
                notable.insert(listener.fd.as_raw_fd());
            }
        }
        notable
    }

    /// The queues of those sockets together, as they were at the last look.
    #[must_use]
    pub(crate) fn queue(&self, fds: &[RawFd]) -> Queue {
        let queues: Vec<Backlog> = self.of(fds).filter_map(|listener| listener.queue).collect();
        let sum = |of: fn(&Backlog) -> u32| queues.iter().map(|queue| u64::from(of(queue))).sum();
        Queue { waiting: sum(|queue| queue.waiting), limit: sum(|queue| queue.limit) }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;
    use crate::plan::fleet::GenerationId;

    #[test]
    fn a_queue_is_notable_while_it_is_filled_and_when_it_changes() {
        let place = tempfile::tempdir().unwrap();
        let mut sockets = Sockets::default();
        for name in ["a", "b"] {
            let fd = UnixListener::bind(place.path().join(name)).unwrap().into();
            sockets.add(Listener::inherited(name.to_owned(), fd).named_by(GenerationId(1)));
        }
        let [a, b] = [0, 1].map(|at: usize| sockets.all[at].fd.as_raw_fd());
        let look = |sockets: &mut Sockets| sockets.look_at_queues().into_iter().collect::<Vec<_>>();
        assert_eq!(look(&mut sockets), [a, b], "at first nothing is known");
        let limit = sockets.queue(&[a]).limit;
        assert!(limit > 0 && sockets.queue(&[a, b]) == Queue { waiting: 0, limit: 2 * limit });
        assert!(look(&mut sockets).is_empty());
        let clients: Vec<_> = (0..3).map(|_| UnixStream::connect(place.path().join("b")).unwrap()).collect();
        for _ in 0..2 {
            assert_eq!(look(&mut sockets), [b], "as long as clients wait");
            assert_eq!(sockets.queue(&[a, b]), Queue { waiting: 3, limit: 2 * limit });
        }
        drop(clients);
        let listener = UnixListener::from(sockets.all[1].fd.try_clone().unwrap());
        (0..3).for_each(|_| drop(listener.accept().unwrap()));
        assert_eq!(look(&mut sockets), [b], "it is empty again");
        assert_eq!(sockets.queue(&[b]), Queue { waiting: 0, limit });
        assert!(look(&mut sockets).is_empty());
        // Counters of another user may have to show it, and another generation may have set another limit.
        sockets.share(GenerationId(1), GenerationId(2));
        assert_eq!(look(&mut sockets), [a, b]);
        sockets.withdraw(GenerationId(2));
        assert_eq!(look(&mut sockets), [a, b]);
        let _client = UnixStream::connect(place.path().join("a")).unwrap();
        sockets.of_mut(&[a]).for_each(|listener| listener.watch(true));
        assert!(look(&mut sockets).is_empty(), "the poller tells");
        sockets.of_mut(&[a]).for_each(|listener| listener.watch(false));
        assert_eq!(look(&mut sockets), [a]);
        assert_eq!(sockets.queue(&[a]).waiting, 1);
        drop(UnixListener::from(sockets.all[0].fd.try_clone().unwrap()).accept().unwrap());
        assert_eq!(look(&mut sockets), [a]);
        crate::sys::listen::listen(&sockets.all[0].fd, 7).unwrap();
        sockets.all[0].queue = None;
        assert_eq!(look(&mut sockets), [a]);
        assert_eq!(sockets.queue(&[a]).limit, 7);
    }
}

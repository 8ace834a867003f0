//! How connections pass through a zygote: from its workers' queues and its predecessor's links into its parked
//! connections, or on to its successor.
#![forbid(unsafe_code)]

use std::time::Duration;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::epoll::{EpollEvent, EpollFlags};

use super::event_source::EventSource;
use super::parking::Destinations;
use super::pool::ZygotePool;
use super::state::{Closing, Zygote};
use crate::ipc::handover::{self, Connection, Taken};
use crate::ipc::retained::RetainedPlace;
use crate::sys::clock::{self, Moment};
use crate::sys::socket;

/// Descriptors that are kept free. Beyond the limit the kernel drops descriptors that arrive in messages.
const RESERVE: u64 = 64;
/// The most connections that are taken from one queue in one turn of the event loop.
pub(super) const TURN: usize = 64;

/// More messages than a queue can hold. A worker that sends without a pause must not keep the zygote.
const MOST: usize = 1024;

/// When parked connections of pools that end are closed, after the workers were told to drain. For a
/// second the workers serve the clients that are known to wait.
const CLOSE_AFTER: Duration = Duration::from_millis(1200);

impl Destinations for [ZygotePool] {
    fn send(&self, pool: usize, connection: Connection) -> Result<(), (Connection, io::Error)> {
        let Some(p) = self.get(pool) else { return Ok(()) };
        match &p.successor {
            Some(successor) => handover::send(successor, connection),
            None => handover::send(&p.queue.0, connection),
        }
    }

    fn leaves(&self, pool: usize, from: RetainedPlace) {
        if let Some(p) = self.get(pool) {
            p.holders.send_on(from);
        }
    }

    fn moves_on(&self, pool: usize) -> bool {
        self.get(pool).is_some_and(|p| p.successor.is_some())
    }
}

impl Zygote {
    /// Takes all connections out of the queues to this zygote and to its workers.
    pub(super) fn sweep(&mut self) {
        for pool in (0..self.pools.len()).filter_map(|pool| u32::try_from(pool).ok()) {
            self.take_links(pool);
            self.take_queued(pool, |p| p.park.1.as_fd(), MOST);
            self.take_queued(pool, |p| p.queue.1.as_fd(), MOST);
        }
        self.settle_all_retained(clock::now());
    }

    /// A worker has ended: takes over the connections that it has retained or parked.
    pub(super) fn take_over_from(&mut self, pool: usize, slot: u32) {
        self.take_queued(u32::try_from(pool).unwrap_or(u32::MAX), |p| p.park.1.as_fd(), MOST);
        self.settle_retained_of_dead(clock::now(), pool, slot);
    }

    /// Takes up to `most` connections from one of the pool's queues.
    pub(super) fn take_queued(&mut self, pool: u32, queue: fn(&ZygotePool) -> BorrowedFd<'_>, most: usize) {
        let Some(index) = usize::try_from(pool).ok().filter(|i| *i < self.pools.len()) else { return };
        let now = clock::now();
        for _ in 0..most {
            self.make_room();
            match handover::take(queue(&self.pools[index])) {
                Taken::Connection(connection) => self.keep(now, index, connection, None),
                Taken::Copy(copy, place) => self.note_retained(now, index, place, copy),
                Taken::Rescan => self.look_for_left(),
                Taken::Nothing | Taken::Gone => return,
            }
        }
    }

    /// Parks a connection, which may come from a place of a worker, or sends it to the successor.
    pub(super) fn keep(&mut self, now: Moment, pool: usize, connection: Connection, from: Option<RetainedPlace>) {
        if self.pools.as_slice().moves_on(pool) {
            from.into_iter().for_each(|from| self.pools.as_slice().leaves(pool, from));
            self.parking.forward(pool, connection, self.pools.as_slice());
        } else if self.closing != Some(Closing::Closed) {
            self.parking.add(&self.epoll, now, pool, (connection, from));
        } else {
            socket::end(&connection.0);
        }
    }

    /// Sets the time when parked connections of pools that end are closed. Called when the workers were told to
    /// drain.
    pub(super) fn schedule_closing(&mut self) {
        let until = Closing::At(clock::now() + CLOSE_AFTER);
        self.closing.get_or_insert(until);
    }

    /// Closes them when that time has come; until then, returns the time.
    pub(super) fn close_when_due(&mut self, now: Moment) -> Option<Moment> {
        match self.closing? {
            Closing::At(end) if end > now => Some(end),
            Closing::At(_) => {
                self.closing = Some(Closing::Closed);
                self.parking.close_ending(&self.epoll, self.pools.as_slice());
                None
            }
            Closing::Closed => None,
        }
    }

    fn make_room(&mut self) {
        let most = usize::try_from(self.nofile.soft.saturating_sub(RESERVE)).unwrap_or(usize::MAX).max(1);
        while self.parking.len() + self.retained.len() + 8 * self.pools.len() >= most {
            let before = self.parking.len();
            self.parking.shed(&self.epoll);
            if self.parking.len() == before {
                return;
            }
        }
    }

    pub(super) fn take_links(&mut self, pool: u32) {
        let Ok(index) = usize::try_from(pool) else { return };
        let now = clock::now();
        for link in std::mem::take(&mut self.pools[index].links) {
            let open = loop {
                self.make_room();
                match handover::take(link.as_fd()) {
                    Taken::Connection(connection) => self.keep(now, index, connection, None),
                    Taken::Copy(..) | Taken::Rescan => {}
                    Taken::Nothing => break true,
                    Taken::Gone => break false,
                }
            };
            if open {
                self.pools[index].links.push(link);
            } else {
                let _ = self.epoll.delete(&link);
            }
        }
    }

    pub(super) fn adopt_links(&mut self, pool: usize, fds: Vec<OwnedFd>) {
        let Ok(number) = u32::try_from(pool) else { return };
        if pool >= self.pools.len() {
            return;
        }
        for fd in fds {
            if self.watch(&fd, EventSource::Link(number)).is_ok() {
                self.pools[pool].links.push(fd);
            }
        }
    }

    pub(super) fn drain(&mut self, pools: &[usize], fds: Vec<OwnedFd>) {
        self.draining = true;
        self.schedule_closing();
        self.pools.iter_mut().for_each(|p| p.unwatch(&self.epoll));
        for (pool, fd) in pools.iter().zip(fds) {
            let Some(p) = self.pools.get_mut(*pool) else { continue };
            p.successor = Some(fd);
            // Connections in the hand-over queue move to the successor as well, since the workers of this pool drain.
            if let Ok(number) = u32::try_from(*pool) {
                let event = EpollEvent::new(EpollFlags::EPOLLIN, EventSource::Queue(number).pack());
                let _ = self.epoll.add(&p.queue.1, event);
            }
        }
        self.parking.move_on(&self.epoll, self.pools.as_slice());
        for pool in 0..self.pools.len() {
            self.take_queued(u32::try_from(pool).unwrap_or(u32::MAX), |p| p.park.1.as_fd(), MOST);
        }
        self.parking.hand_back(&self.epoll, self.pools.as_slice());
    }
}

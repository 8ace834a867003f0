//! Parked connections: connections that no worker holds. The zygote watches but never reads them, and sends them to a
//! worker when bytes arrive. A connection is parked between two requests, before its first byte, or with a part of a
//! request.
#![forbid(unsafe_code)]

use std::time::Duration;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use nix::sys::socket::{MsgFlags, recv};

use super::event_source::EventSource;
use crate::ipc::handover::{Connection, ConnectionState, FIRST_BYTE};
use crate::ipc::retained::RetainedPlace;
use crate::sys::clock::Moment;
use crate::sys::socket;

/// How long the zygote ignores further bytes of a partial request: a client that sends byte by byte
/// wakes a worker at most ten times a second.
const PAUSE: Duration = Duration::from_millis(100);

/// The most bytes of all partial requests together. Beyond that the oldest one is closed.
const MOST_UNFINISHED: u64 = 16 << 20;

/// One parked connection.
#[derive(Debug)]
struct Parked {
    connection: Connection,
    pool: usize,
    serial: u64,
    /// The place from which the zygote has taken it.
    from: Option<RetainedPlace>,
    /// When something is due even if no bytes arrive.
    due: Option<Moment>,
    /// It is in the epoll set.
    listed: bool,
}

/// A connection that waits to be sent to a queue.
#[derive(Debug)]
struct Departing {
    connection: Connection,
    pool: usize,
}

/// All parked connections of a zygote.
#[derive(Debug)]
pub(super) struct ParkedConnections {
    parked: HashMap<u32, Parked>,
    departing: VecDeque<Departing>,
    /// The connections that have a due time, by that time.
    due: BTreeSet<(Moment, u32)>,
    serial: u64,
    /// The number of partial requests, and their bytes.
    unfinished: (usize, u64),
}

/// Where the connections of a pool are sent.
pub(super) trait Destinations {
    /// Sends a connection to the pool's successor or, without one, to its workers.
    fn send(&self, pool: usize, connection: Connection) -> Result<(), (Connection, io::Error)>;

    /// Called before a connection from that place is sent.
    fn leaves(&self, pool: usize, from: RetainedPlace);

    /// Whether the pool's connections move to a successor, even without bytes.
    fn moves_on(&self, pool: usize) -> bool;
}

impl ParkedConnections {
    pub(super) fn new() -> Self {
        Self { parked: HashMap::new(), departing: VecDeque::new(), due: BTreeSet::new(), serial: 0, unfinished: (0, 0) }
    }

    /// The number of descriptors. A partial request has two.
    pub(super) fn len(&self) -> usize {
        self.parked.len() + self.unfinished.0 + self.departing.len()
    }

    /// Parks a connection, which may come from a place of a worker. One that can't be watched is closed; its peer sees that and opens
    /// another.
    pub(super) fn add(
        &mut self,
        epoll: &Epoll,
        now: Moment,
        pool: usize,
        (connection, from): (Connection, Option<RetainedPlace>),
    ) {
        let Ok(number) = u32::try_from(connection.0.as_raw_fd()) else { return };
        let due = match &connection.1 {
            ConnectionState::BetweenRequests => None,
            ConnectionState::New => Some(now + FIRST_BYTE),
            ConnectionState::Partial(request) => Some((now + PAUSE).min(request.until)),
        };
        let listed = !matches!(connection.1, ConnectionState::Partial(_));
        if listed && !list(epoll, &connection.0, number) {
            socket::end(&connection.0);
            return;
        }
        self.serial += 1;
        self.due.extend(due.map(|due| (due, number)));
        self.count(&connection, true);
        self.parked.insert(number, Parked { connection, pool, serial: self.serial, from, due, listed });
        while self.unfinished.1 > MOST_UNFINISHED
            && self.close_oldest(epoll, |kind| matches!(kind, ConnectionState::Partial(_)))
        {}
    }

    fn count(&mut self, (_, kind): &Connection, comes: bool) {
        if let ConnectionState::Partial(request) = kind {
            let (number, bytes) = self.unfinished;
            let size = u64::from(request.size);
            self.unfinished =
                if comes { (number + 1, bytes + size) } else { (number.saturating_sub(1), bytes.saturating_sub(size)) };
        }
    }

    /// Removes a connection from all lists.
    fn remove(&mut self, epoll: &Epoll, number: u32) -> Option<Parked> {
        let parked = self.parked.remove(&number)?;
        if parked.listed {
            let _ = epoll.delete(&parked.connection.0);
        }
        if let Some(due) = parked.due {
            self.due.remove(&(due, number));
        }
        self.count(&parked.connection, false);
        Some(parked)
    }

    /// A parked connection has bytes, or its peer has gone.
    pub(super) fn stirred(&mut self, epoll: &Epoll, number: u32, to: &(impl Destinations + ?Sized)) {
        let Some(parked) = self.remove(epoll, number) else { return };
        if has_input(&parked.connection.0) {
            self.send(parked, to);
        } else {
            socket::end(&parked.connection.0);
        }
    }

    fn send(&mut self, Parked { connection, pool, from, .. }: Parked, to: &(impl Destinations + ?Sized)) {
        from.into_iter().for_each(|from| to.leaves(pool, from));
        self.depart(Departing { connection, pool }, to);
    }

    /// Sends all connections of pools with a successor there.
    pub(super) fn move_on(&mut self, epoll: &Epoll, to: &(impl Destinations + ?Sized)) {
        self.send_on(epoll, to, |parked| to.moves_on(parked.pool));
    }

    /// Sends new connections and partial requests of pools that end to their last workers, because the rest may
    /// arrive at any moment.
    pub(super) fn hand_back(&mut self, epoll: &Epoll, to: &(impl Destinations + ?Sized)) {
        self.send_on(epoll, to, |parked| {
            !to.moves_on(parked.pool) && !matches!(parked.connection.1, ConnectionState::BetweenRequests)
        });
    }

    /// Closes the connections of pools that end: no worker will serve them.
    pub(super) fn close_ending(&mut self, epoll: &Epoll, to: &(impl Destinations + ?Sized)) {
        let all = self.parked.iter().filter(|(_, parked)| !to.moves_on(parked.pool));
        let ending: Vec<u32> = all.map(|(number, _)| *number).collect();
        ending.into_iter().for_each(|number| self.close(epoll, number));
    }

    /// Sends connections with input to the queues, before the zygote exits.
    pub(super) fn send_ready(&mut self, epoll: &Epoll, to: &(impl Destinations + ?Sized)) {
        self.send_on(epoll, to, |parked| has_input(&parked.connection.0));
    }

    /// Closes all connections, before the zygote exits.
    pub(super) fn close_all(&mut self, epoll: &Epoll) {
        self.parked.keys().copied().collect::<Vec<_>>().into_iter().for_each(|number| self.close(epoll, number));
        self.departing.drain(..).for_each(|departing| socket::end(&departing.connection.0));
    }

    /// Closes a connection for its client, too, if a worker that has retained it still has it open.
    fn close(&mut self, epoll: &Epoll, number: u32) {
        if let Some(parked) = self.remove(epoll, number) {
            socket::end(&parked.connection.0);
        }
    }

    fn send_on(&mut self, epoll: &Epoll, to: &(impl Destinations + ?Sized), which: impl Fn(&Parked) -> bool) {
        let moving: Vec<u32> = self.parked.iter().filter(|(_, p)| which(p)).map(|(n, _)| *n).collect();
        for number in moving {
            if let Some(parked) = self.remove(epoll, number) {
                self.send(parked, to);
            }
        }
    }

    /// Sends a connection on without parking it.
    pub(super) fn forward(&mut self, pool: usize, connection: Connection, to: &(impl Destinations + ?Sized)) {
        self.depart(Departing { connection, pool }, to);
    }

    fn depart(&mut self, connection: Departing, to: &(impl Destinations + ?Sized)) {
        self.departing.push_back(connection);
        self.flush(to);
    }

    /// Sends waiting connections in order. A connection that has no receiver any more is closed.
    pub(super) fn flush(&mut self, to: &(impl Destinations + ?Sized)) {
        for _ in 0..self.departing.len() {
            let Some(Departing { connection, pool }) = self.departing.pop_front() else { return };
            match to.send(pool, connection) {
                Ok(()) => {}
                Err((connection, e)) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::ETOOMANYREFS)) => {
                    self.departing.push_front(Departing { connection, pool });
                    return;
                }
                Err((connection, _)) => socket::end(&connection.0),
            }
        }
    }

    /// Whether connections wait for a full queue.
    pub(super) fn is_backed_up(&self) -> bool {
        !self.departing.is_empty()
    }

    /// Does what is due, and returns the next due time. New connections are closed. Partial requests are watched
    /// again; after their deadline a worker refuses them, or serves what has arrived in the last moment.
    pub(super) fn expire(&mut self, epoll: &Epoll, now: Moment, to: &(impl Destinations + ?Sized)) -> Option<Moment> {
        while let Some(&(due, number)) = self.due.first() {
            if due > now {
                return Some(due);
            }
            self.due.pop_first();
            let Some(parked) = self.parked.get_mut(&number) else { continue };
            parked.due = None;
            match &parked.connection.1 {
                ConnectionState::Partial(request) if !parked.listed && request.until > now => {
                    let until = request.until;
                    parked.listed = list(epoll, &parked.connection.0, number);
                    parked.due = Some(until);
                    self.due.insert((until, number));
                }
                ConnectionState::Partial(_) => {
                    if let Some(parked) = self.remove(epoll, number) {
                        self.send(parked, to);
                    }
                }
                ConnectionState::New | ConnectionState::BetweenRequests => drop(self.remove(epoll, number)),
            }
        }
        None
    }

    /// Closes the connection that was parked first, to free a descriptor.
    pub(super) fn shed(&mut self, epoll: &Epoll) {
        self.close_oldest(epoll, |_| true);
    }

    /// Closes the oldest connection of that state. Returns false if there is none.
    fn close_oldest(&mut self, epoll: &Epoll, which: fn(&ConnectionState) -> bool) -> bool {
        let all = self.parked.iter().filter(|(_, parked)| which(&parked.connection.1));
        let oldest = all.min_by_key(|(_, parked)| parked.serial).map(|(number, _)| *number);
        oldest.map(|number| self.close(epoll, number)).is_some()
    }
}

fn list(epoll: &Epoll, fd: &OwnedFd, number: u32) -> bool {
    let event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP, EventSource::Parked(number).pack());
    epoll.add(fd, event).is_ok()
}

/// Whether bytes can be read, even if the peer has closed after them. Does not consume them.
fn has_input(fd: &OwnedFd) -> bool {
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    recv(fd.as_raw_fd(), &mut [0u8; 1], flags).is_ok_and(|n| n > 0)
}

//! Connections that no worker holds: watched, never read; on their way again when a request comes. They are kept between two requests,
//! or new, or a request has begun to arrive on them.
#![forbid(unsafe_code)]

use std::time::Duration;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use nix::sys::socket::{MsgFlags, recv};

use super::event_source::EventSource;
use crate::ipc::handover::{Connection, ConnectionState};
use crate::sys::clock::Moment;

/// A connection that brings no first byte is closed after this (php-fpm's five seconds).
const FIRST_BYTE: Duration = Duration::from_secs(5);

/// For so long more bytes of a request that has begun aren't looked for: who sends them one by one costs a worker no more than ten looks
/// a second.
const PAUSE: Duration = Duration::from_millis(100);

/// Bytes of requests that have begun, all together. Beyond that the oldest of them is closed.
const MOST_UNFINISHED: u64 = 16 << 20;

/// One parked connection.
#[derive(Debug)]
struct Parked {
    connection: Connection,
    pool: usize,
    serial: u64,
    /// When something is to be done about it without its doing.
    due: Option<Moment>,
    /// Its bytes are noticed.
    listed: bool,
}

/// A connection on its way, to a queue that was full.
#[derive(Debug)]
struct Departing {
    connection: Connection,
    pool: usize,
}

/// All of a zygote's parked connections.
#[derive(Debug)]
pub(super) struct ParkedConnections {
    parked: HashMap<u32, Parked>,
    departing: VecDeque<Departing>,
    /// Those that have a moment.
    due: BTreeSet<(Moment, u32)>,
    serial: u64,
    /// How many are in the middle of a request, and the bytes of that.
    unfinished: (usize, u64),
}

/// Where a connection of a pool goes.
pub(super) trait Destinations {
    /// Sends it to the pool's successor or, without one, to its workers.
    fn send(&self, pool: usize, connection: Connection) -> Result<(), (Connection, io::Error)>;

    /// Whether the pool's connections go to a successor, with or without a request.
    fn moves_on(&self, pool: usize) -> bool;
}

impl ParkedConnections {
    pub(super) fn new() -> Self {
        Self { parked: HashMap::new(), departing: VecDeque::new(), due: BTreeSet::new(), serial: 0, unfinished: (0, 0) }
    }

    /// Descriptors. An unfinished request has two.
    pub(super) fn len(&self) -> usize {
        self.parked.len() + self.unfinished.0 + self.departing.len()
    }

    /// Watches a connection. One that can't be watched is closed: its peer sees the end and opens another.
    pub(super) fn add(&mut self, epoll: &Epoll, now: Moment, pool: usize, connection: Connection) {
        let Ok(number) = u32::try_from(connection.0.as_raw_fd()) else { return };
        let due = match &connection.1 {
            ConnectionState::BetweenRequests => None,
            ConnectionState::New => Some(now + FIRST_BYTE),
            ConnectionState::Partial(request) => Some((now + PAUSE).min(request.until)),
        };
        let listed = !matches!(connection.1, ConnectionState::Partial(_));
        if listed && !list(epoll, &connection.0, number) {
            return;
        }
        self.serial += 1;
        self.due.extend(due.map(|due| (due, number)));
        self.count(&connection, true);
        self.parked.insert(number, Parked { connection, pool, serial: self.serial, due, listed });
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

    /// Takes one out of all lists.
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

    /// A parked connection has a request, or more of it, or its peer has gone.
    pub(super) fn stirred(&mut self, epoll: &Epoll, number: u32, to: &(impl Destinations + ?Sized)) {
        let Some(Parked { connection, pool, .. }) = self.remove(epoll, number) else { return };
        if has_input(&connection.0) {
            self.depart(Departing { connection, pool }, to);
        }
    }

    /// Everything of the pools that move on goes to their successors.
    pub(super) fn move_on(&mut self, epoll: &Epoll, to: &(impl Destinations + ?Sized)) {
        self.send_on(epoll, to, |parked| to.moves_on(parked.pool));
    }

    /// Of pools that end, whoever has just connected, or begun a request, goes to the last workers: the rest may come any moment.
    pub(super) fn hand_back(&mut self, epoll: &Epoll, to: &(impl Destinations + ?Sized)) {
        self.send_on(epoll, to, |parked| {
            !to.moves_on(parked.pool) && !matches!(parked.connection.1, ConnectionState::BetweenRequests)
        });
    }

    /// Closes connections of pools that end: what comes on them is served by nobody any more.
    pub(super) fn close_ending(&mut self, epoll: &Epoll, to: &(impl Destinations + ?Sized)) {
        let all = self.parked.iter().filter(|(_, parked)| !to.moves_on(parked.pool));
        let ending: Vec<u32> = all.map(|(number, _)| *number).collect();
        ending.into_iter().for_each(|number| drop(self.remove(epoll, number)));
    }

    fn send_on(&mut self, epoll: &Epoll, to: &(impl Destinations + ?Sized), which: impl Fn(&Parked) -> bool) {
        let moving: Vec<u32> = self.parked.iter().filter(|(_, p)| which(p)).map(|(n, _)| *n).collect();
        for number in moving {
            if let Some(Parked { connection, pool, .. }) = self.remove(epoll, number) {
                self.depart(Departing { connection, pool }, to);
            }
        }
    }

    /// Takes a connection that goes on at once.
    pub(super) fn forward(&mut self, pool: usize, connection: Connection, to: &(impl Destinations + ?Sized)) {
        self.depart(Departing { connection, pool }, to);
    }

    fn depart(&mut self, connection: Departing, to: &(impl Destinations + ?Sized)) {
        self.departing.push_back(connection);
        self.flush(to);
    }

    /// Sends what waits, first come first served; what nobody can take any more is closed.
    pub(super) fn flush(&mut self, to: &(impl Destinations + ?Sized)) {
        for _ in 0..self.departing.len() {
            let Some(Departing { connection, pool }) = self.departing.pop_front() else { return };
            match to.send(pool, connection) {
                Ok(()) => {}
                Err((connection, e)) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::ETOOMANYREFS)) => {
                    self.departing.push_front(Departing { connection, pool });
                    return;
                }
                Err((connection, _)) => drop(connection),
            }
        }
    }

    /// Whether connections wait for a full queue.
    pub(super) fn is_backed_up(&self) -> bool {
        !self.departing.is_empty()
    }

    /// Does what is due, and says when something is next. Fresh connections are closed. Unfinished ones are watched again; at the
    /// end of their time a worker refuses them, or serves what has come at the last moment.
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
                    if let Some(Parked { connection, pool, .. }) = self.remove(epoll, number) {
                        self.depart(Departing { connection, pool }, to);
                    }
                }
                ConnectionState::New | ConnectionState::BetweenRequests => drop(self.remove(epoll, number)),
            }
        }
        None
    }

    /// Closes the connection that has been idle longest, to make room.
    pub(super) fn shed(&mut self, epoll: &Epoll) {
        self.close_oldest(epoll, |_| true);
    }

    /// Whether there was one.
    fn close_oldest(&mut self, epoll: &Epoll, which: fn(&ConnectionState) -> bool) -> bool {
        let all = self.parked.iter().filter(|(_, parked)| which(&parked.connection.1));
        let oldest = all.min_by_key(|(_, parked)| parked.serial).map(|(number, _)| *number);
        oldest.and_then(|number| self.remove(epoll, number)).is_some()
    }
}

fn list(epoll: &Epoll, fd: &OwnedFd, number: u32) -> bool {
    let event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP, EventSource::Parked(number).pack());
    epoll.add(fd, event).is_ok()
}

/// Bytes wait to be read, whether or not the peer has closed behind them. Looks without taking.
fn has_input(fd: &OwnedFd) -> bool {
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    recv(fd.as_raw_fd(), &mut [0u8; 1], flags).is_ok_and(|n| n > 0)
}

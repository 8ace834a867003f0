//! Kept connections that no worker holds: watched, never read; on their way again when a request comes.
#![forbid(unsafe_code)]

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use nix::sys::socket::{MsgFlags, recv};

use super::token::Token;
use crate::sys::clock::Millis;
use crate::worker::links::Kind;

/// A connection that brings no first byte is closed after this (php-fpm's five seconds).
const FIRST_BYTE: u64 = 5_000;

/// One parked connection.
#[derive(Debug)]
struct Parked {
    fd: OwnedFd,
    pool: usize,
    kind: Kind,
    serial: u64,
}

/// A connection on its way, to a queue that was full.
#[derive(Debug)]
struct Departing {
    fd: OwnedFd,
    pool: usize,
    kind: Kind,
}

/// All of a zygote's parked connections.
#[derive(Debug)]
pub(super) struct Parking {
    watched: HashMap<u32, Parked>,
    departing: VecDeque<Departing>,
    /// Fresh ones in the order of their deadlines.
    fresh: VecDeque<(Millis, u32, u64)>,
    serial: u64,
}

/// Where a connection of a pool goes.
pub(super) trait Destinations {
    /// Sends it to the pool's successor or, without one, to its workers.
    fn send(&self, pool: usize, fd: OwnedFd, kind: Kind) -> Result<(), (OwnedFd, io::Error)>;

    /// Whether the pool's connections go to a successor, with or without a request.
    fn moves_on(&self, pool: usize) -> bool;
}

impl Parking {
    pub(super) fn new() -> Self {
        Self { watched: HashMap::new(), departing: VecDeque::new(), fresh: VecDeque::new(), serial: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.watched.len() + self.departing.len()
    }

    /// Watches a connection. One that can't be watched is closed: its peer sees the end and opens another.
    pub(super) fn add(&mut self, epoll: &Epoll, now: Millis, pool: usize, fd: OwnedFd, kind: Kind) {
        let Ok(number) = u32::try_from(fd.as_raw_fd()) else { return };
        let event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP, Token::Parked(number).pack());
        if epoll.add(&fd, event).is_err() {
            return;
        }
        self.serial += 1;
        if kind == Kind::Fresh {
            self.fresh.push_back((now.plus(FIRST_BYTE), number, self.serial));
        }
        self.watched.insert(number, Parked { fd, pool, kind, serial: self.serial });
    }

    /// A parked connection has a request, or its peer has gone.
    pub(super) fn stirred(&mut self, epoll: &Epoll, number: u32, to: &(impl Destinations + ?Sized)) {
        let Some(parked) = self.watched.remove(&number) else { return };
        let _ = epoll.delete(&parked.fd);
        if has_input(&parked.fd) {
            self.depart(Departing { fd: parked.fd, pool: parked.pool, kind: parked.kind }, to);
        }
    }

    /// Everything of the pools that move on goes to their successors.
    pub(super) fn move_on(&mut self, epoll: &Epoll, to: &(impl Destinations + ?Sized)) {
        self.send_on(epoll, to, |parked| to.moves_on(parked.pool));
    }

    /// Of pools that end, whoever has just connected goes to the last workers: the request may come any moment.
    pub(super) fn hand_back(&mut self, epoll: &Epoll, to: &(impl Destinations + ?Sized)) {
        self.send_on(epoll, to, |parked| !to.moves_on(parked.pool) && parked.kind == Kind::Fresh);
    }

    /// Closes connections of pools that end: what comes on them is served by nobody any more.
    pub(super) fn close_ending(&mut self, epoll: &Epoll, to: &(impl Destinations + ?Sized)) {
        self.watched.retain(|_, parked| {
            let stays = to.moves_on(parked.pool);
            if !stays {
                let _ = epoll.delete(&parked.fd);
            }
            stays
        });
    }

    fn send_on(&mut self, epoll: &Epoll, to: &(impl Destinations + ?Sized), which: impl Fn(&Parked) -> bool) {
        let moving: Vec<u32> = self.watched.iter().filter(|(_, p)| which(p)).map(|(n, _)| *n).collect();
        for number in moving {
            if let Some(parked) = self.watched.remove(&number) {
                let _ = epoll.delete(&parked.fd);
                self.depart(Departing { fd: parked.fd, pool: parked.pool, kind: parked.kind }, to);
            }
        }
    }

    /// Takes a connection that goes on at once.
    pub(super) fn forward(&mut self, pool: usize, fd: OwnedFd, kind: Kind, to: &(impl Destinations + ?Sized)) {
        self.depart(Departing { fd, pool, kind }, to);
    }

    fn depart(&mut self, connection: Departing, to: &(impl Destinations + ?Sized)) {
        self.departing.push_back(connection);
        self.flush(to);
    }

    /// Sends what waits, first come first served; what nobody can take any more is closed.
    pub(super) fn flush(&mut self, to: &(impl Destinations + ?Sized)) {
        for _ in 0..self.departing.len() {
            let Some(Departing { fd, pool, kind }) = self.departing.pop_front() else { return };
            match to.send(pool, fd, kind) {
                Ok(()) => {}
                Err((fd, e)) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::ETOOMANYREFS)) => {
                    self.departing.push_front(Departing { fd, pool, kind });
                    return;
                }
                Err((fd, _)) => drop(fd),
            }
        }
    }

    /// Whether connections wait for a full queue.
    pub(super) fn is_backed_up(&self) -> bool {
        !self.departing.is_empty()
    }

    /// Closes fresh connections whose time is over; says when the next one's is.
    pub(super) fn expire(&mut self, epoll: &Epoll, now: Millis) -> Option<Millis> {
        while let Some(&(deadline, number, serial)) = self.fresh.front() {
            let same = self.watched.get(&number).is_some_and(|p| p.serial == serial);
            if same && deadline > now {
                return Some(deadline);
            }
            self.fresh.pop_front();
            if same && let Some(parked) = self.watched.remove(&number) {
                let _ = epoll.delete(&parked.fd);
            }
        }
        None
    }

    /// Closes the connection that has been idle longest, to make room.
    pub(super) fn shed(&mut self, epoll: &Epoll) {
        let oldest = self.watched.iter().min_by_key(|(_, p)| p.serial).map(|(n, _)| *n);
        if let Some(parked) = oldest.and_then(|n| self.watched.remove(&n)) {
            let _ = epoll.delete(&parked.fd);
        }
    }
}

/// Bytes wait to be read, whether or not the peer has closed behind them. Looks without taking.
fn has_input(fd: &OwnedFd) -> bool {
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    recv(fd.as_raw_fd(), &mut [0u8; 1], flags).is_ok_and(|n| n > 0)
}

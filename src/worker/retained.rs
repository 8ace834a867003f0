//! The idle connections that a worker retains: it waits for all of them, and its zygote has copies of the descriptors. `Holders` says who
//! may read from each.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;

use nix::sys::epoll::Epoll;

use super::sources;
use crate::ipc::handover;
use crate::ipc::retained::{Holders, PLACES, RetainedPlace};
use crate::plan::retained::{self as plan, Holder};
use crate::sys::limits::FileLimits;
use crate::sys::{orphan, socket};

/// The connections of one worker. In the exchange is at most one of them.
#[derive(Debug)]
pub(super) struct Retained {
    holders: &'static Holders,
    slot: u32,
    /// The most connections.
    most: u32,
    /// The set in which the worker waits.
    epoll: RefCell<Rc<Epoll>>,
    connections: RefCell<[Option<(RetainedPlace, OwnedFd)>; PLACES as usize]>,
    /// A bit for each place that is taken, also by the connection in the exchange.
    used: Cell<u32>,
    /// The place of the connection in the exchange, and its descriptor.
    current: Cell<Option<(RetainedPlace, RawFd)>>,
    /// Other processes may have the connection in the exchange open: it was passed from worker to worker.
    elsewhere: Cell<bool>,
    /// `Holders::taken` at the last look.
    taken: Cell<u64>,
}

impl Retained {
    /// For the worker of that slot, which waits in that set.
    pub(super) fn new(holders: &'static Holders, slot: u32, epoll: Rc<Epoll>) -> Self {
        let descriptors = FileLimits::of_process().map_or(0, |limits| limits.soft);
        Self {
            holders,
            slot,
            most: plan::most_for(descriptors, PLACES),
            epoll: RefCell::new(epoll),
            connections: RefCell::default(),
            used: Cell::new(0),
            current: Cell::new(None),
            elsewhere: Cell::new(false),
            taken: Cell::new(0),
        }
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.used.get() == 0
    }

    /// Whether the connection in the exchange is one of them.
    pub(super) fn has_current(&self) -> bool {
        self.current.get().is_some()
    }

    /// Retains a connection between two requests. `listed`: it is in the epoll set.
    ///
    /// # Errors
    /// Gives the connection back, which is then not in the set: all places are taken, or the zygote can't take the copy now.
    pub(super) fn retain(&self, fd: OwnedFd, listed: bool, zygote: &OwnedFd) -> Result<(), OwnedFd> {
        let is_free = |index: &u32| self.used.get() & 1 << index == 0 && self.holders.is_free(self.slot, *index);
        let Some(index) = (0..self.most).find(is_free) else {
            self.unlist(&fd, listed);
            return Err(fd);
        };
        if sources::list_retained(&self.epoll.borrow(), &fd, index, listed).is_err() {
            self.unlist(&fd, listed);
            return Err(fd);
        }
        if self.is_empty() {
            self.taken.set(self.holders.taken(self.slot));
        }
        let place = self.holders.begin(self.slot, index);
        if handover::send_copy(zygote, fd.as_fd(), place).is_err() {
            self.holders.release(place);
            self.unlist(&fd, true);
            return Err(fd);
        }
        self.used.set(self.used.get() | 1 << index);
        orphan::add(index as usize, &fd, self.holders.word_of(place), place.idle_and_gone());
        self.put(place, fd);
        Ok(())
    }

    fn put(&self, place: RetainedPlace, fd: OwnedFd) {
        if let Some(entry) = self.connections.borrow_mut().get_mut(place.index as usize) {
            *entry = Some((place, fd));
        }
    }

    fn unlist(&self, fd: &OwnedFd, listed: bool) {
        if listed {
            let _ = self.epoll.borrow().delete(fd);
        }
    }

    /// Called before the descriptor is closed.
    fn free(&self, place: RetainedPlace) {
        orphan::remove(place.index as usize);
        self.used.set(self.used.get() & !(1 << place.index));
    }

    /// Takes a connection out to serve it. `None`: the zygote has taken it, or there is none at that place.
    pub(super) fn claim(&self, index: u32) -> Option<OwnedFd> {
        let (place, fd) = self.connections.borrow_mut().get_mut(index as usize)?.take()?;
        if self.holders.claim(place) {
            self.current.set(Some((place, fd.as_raw_fd())));
            return Some(fd);
        }
        self.unlist(&fd, true);
        self.free(place);
        None
    }

    /// Puts the connection back after its request.
    pub(super) fn rest(&self, fd: OwnedFd) {
        if let Some((place, _)) = self.current.take() {
            self.put(place, fd);
            self.holders.rest(place);
        }
    }

    /// A connection comes into the exchange. `elsewhere`: it was passed from worker to worker.
    pub(super) fn attached(&self, elsewhere: bool) {
        self.elsewhere.set(elsewhere);
    }

    /// Before the connection in the exchange is closed: its client must see that, although the zygote has a copy, or a worker inside a
    /// long request, or a process that a script has forked.
    pub(super) fn closing(&self, fd: &OwnedFd) {
        if self.has_current() || self.elsewhere.get() {
            socket::end(fd);
        }
        // As the held one it may be in the set, and would wake the worker as long as another process has it open.
        self.unlist(fd, self.elsewhere.get() && !self.has_current());
        self.pass_on(fd);
    }

    /// Before the connection in the exchange is passed on: it is no longer retained here.
    pub(super) fn pass_on(&self, fd: impl AsFd) {
        let current = self.current.get().filter(|(_, current)| *current == fd.as_fd().as_raw_fd());
        if let Some((place, _)) = current {
            self.current.set(None);
            let _ = self.epoll.borrow().delete(fd);
            self.holders.release(place);
            self.free(place);
        }
    }

    /// Closes the descriptors of connections that the zygote has taken.
    pub(super) fn drop_taken(&self) {
        if self.is_empty() {
            return;
        }
        let taken = self.holders.taken(self.slot);
        if self.taken.replace(taken) != taken {
            self.leave(|place| self.holders.holder(place) != Holder::Idle);
        }
    }

    /// Leaves all connections to the zygote.
    pub(super) fn give_all(&self) {
        self.leave(|place| {
            self.holders.give(place);
            true
        });
    }

    /// Closes all connections, also for other processes that have them open.
    pub(super) fn close_all(&self) {
        self.connections.borrow().iter().flatten().for_each(|(_, fd)| socket::end(fd));
        self.give_all();
    }

    fn leave(&self, which: impl Fn(RetainedPlace) -> bool) {
        for entry in self.connections.borrow_mut().iter_mut() {
            if let Some((place, fd)) = entry.take_if(|(place, _)| which(*place)) {
                self.unlist(&fd, true);
                self.free(place);
            }
        }
    }

    /// A bit for each connection that has bytes to read, or was closed by its client.
    pub(super) fn with_input(&self) -> u32 {
        let connections = self.connections.borrow();
        let ready = connections.iter().flatten().filter(|(_, fd)| socket::has_input(fd));
        ready.fold(0, |bits, (place, _)| bits | 1 << place.index)
    }

    /// The worker waits in another set from now on.
    ///
    /// # Errors
    /// `ENOMEM`, `ENOSPC`.
    pub(super) fn move_to(&self, epoll: &Rc<Epoll>) -> io::Result<()> {
        for (place, fd) in self.connections.borrow().iter().flatten() {
            sources::list_retained(epoll, fd, place.index, false)?;
        }
        self.epoll.replace(Rc::clone(epoll));
        Ok(())
    }
}

//! The connections that a worker keeps between two requests. One of them may be in the exchange. The others are here, and the zygote
//! gets a duplicate of each before a request runs, so that it can take them over if the request takes long (`ipc::kept`).
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use super::sources::Sources;
use crate::ipc::handover::{Connection, ConnectionState, PARK_TRIES, WorkerQueues};
use crate::ipc::kept::{self, KeptTable, MOST, Offer};

/// Tries to send the zygote a duplicate, 5 ms apart.
const OFFER_TRIES: u32 = 3;

/// One place.
#[derive(Debug, Default)]
struct Place {
    /// It is in use: its connection is in the epoll set.
    listed: bool,
    /// The connection, unless it is in the exchange.
    fd: Option<OwnedFd>,
    /// The zygote has a duplicate.
    offer: Option<Offer>,
}

/// The kept connections.
#[derive(Debug)]
pub(super) struct KeptConnections {
    sources: Rc<Sources>,
    queues: Rc<WorkerQueues>,
    table: KeptTable,
    slot: u32,
    places: RefCell<Vec<Place>>,
    /// The place of the exchange's connection, if that is in the epoll set.
    current: Cell<Option<usize>>,
    /// Of the last offer.
    serial: Cell<u64>,
    /// How many of its connections the zygote had taken when this worker last looked.
    taken: Cell<u64>,
}

impl KeptConnections {
    /// None so far.
    pub(super) fn new(sources: Rc<Sources>, queues: Rc<WorkerQueues>, table: KeptTable, slot: u32) -> Self {
        let (places, current) = (RefCell::default(), Cell::new(None));
        let (serial, taken) = (Cell::new(0), Cell::new(0));
        Self { sources, queues, table, slot, places, current, serial, taken }
    }

    /// Whether the exchange's connection is in the epoll set.
    pub(super) fn is_listed(&self) -> bool {
        self.current.get().is_some()
    }

    /// Whether any connection is in the epoll set.
    pub(super) fn is_empty(&self) -> bool {
        !self.places.borrow().iter().any(|place| place.listed)
    }

    /// Puts the exchange's connection into the epoll set. False: there is no room for it.
    pub(super) fn list(&self, connection: BorrowedFd<'_>) -> bool {
        if self.is_listed() {
            return true;
        }
        let mut places = self.places.borrow_mut();
        let at = places.iter().position(|place| !place.listed).unwrap_or(places.len());
        if at >= MOST || self.sources.add(connection, at).is_err() {
            return false;
        }
        if at == places.len() {
            places.push(Place::default());
        }
        places[at] = Place { listed: true, fd: None, offer: None };
        self.current.set(Some(at));
        true
    }

    /// The exchange's connection is about to be closed or given away: removes it from the epoll set, and has the zygote drop its
    /// duplicate.
    pub(super) fn unlist(&self, connection: BorrowedFd<'_>) {
        if let Some(at) = self.current.take() {
            self.sources.remove(connection);
            self.free(at);
        }
    }

    fn free(&self, at: usize) {
        let place = std::mem::take(&mut self.places.borrow_mut()[at]);
        if let Some(offer) = place.offer {
            self.table.close(offer);
            // If the queue stays full, the zygote hangs. It is killed then, and its duplicates are closed.
            let _ = self.queues.tell(PARK_TRIES, |queue| kept::send_dropped(queue, offer));
        }
    }

    /// Keeps a connection that was in the exchange. It must be between two requests.
    pub(super) fn put_down(&self, connection: OwnedFd) {
        if let Some(at) = self.current.take() {
            self.places.borrow_mut()[at].fd = Some(connection);
        }
    }

    /// The connection at a place, for the exchange, which must have none. `None`: the zygote has taken it.
    pub(super) fn take_up(&self, at: usize) -> Option<OwnedFd> {
        let fd = self.claim_at(at)?;
        self.current.set(Some(at));
        Some(fd)
    }

    fn claim_at(&self, at: usize) -> Option<OwnedFd> {
        let (fd, offer) = {
            let mut places = self.places.borrow_mut();
            let place = places.get_mut(at)?;
            (place.fd.take()?, place.offer)
        };
        if offer.is_some_and(|offer| !self.table.claim(offer)) {
            self.drop_taken(at, &fd);
            return None;
        }
        Some(fd)
    }

    /// The exchange is about to read from its connection, which has this place. False: the zygote has taken it, so the exchange has to
    /// drop it.
    pub(super) fn claim(&self, connection: BorrowedFd<'_>) -> bool {
        let Some(at) = self.current.get() else { return true };
        let offer = self.places.borrow()[at].offer;
        if offer.is_none_or(|offer| self.table.claim(offer)) {
            return true;
        }
        self.current.set(None);
        self.drop_taken(at, connection);
        false
    }

    /// Whether the exchange's connection has this place.
    pub(super) fn is_current(&self, at: usize) -> bool {
        self.current.get() == Some(at)
    }

    /// The exchange reads its connection no longer.
    pub(super) fn release(&self) {
        if let Some(offer) = self.current.get().and_then(|at| self.places.borrow()[at].offer) {
            self.table.release(offer);
        }
    }

    fn all(&self) -> Range<usize> {
        0..self.places.borrow().len()
    }

    fn drop_taken(&self, at: usize, connection: impl AsFd) {
        self.sources.remove(connection.as_fd());
        self.places.borrow_mut()[at] = Place::default();
    }

    /// Drops what the zygote has taken while this worker was inside a request.
    pub(super) fn drop_all_taken(&self) {
        if self.serial.get() == 0 {
            // Nothing was offered so far. To read the table would take a page of memory.
            return;
        }
        let taken = self.table.count_taken(self.slot);
        if self.taken.replace(taken) == taken {
            return;
        }
        for at in self.all() {
            let place = &mut self.places.borrow_mut()[at];
            if place.offer.is_some_and(|offer| self.table.is_taken(offer))
                && let Some(fd) = place.fd.take()
            {
                self.sources.remove(fd.as_fd());
                *place = Place::default();
            }
        }
    }

    /// A request is about to run: the zygote gets duplicates of all connections that would wait for its end, and watches the worker.
    /// A request does not wait for a zygote that hangs; the next one tries again.
    pub(super) fn guard(&self) {
        let mut any = false;
        for at in self.all() {
            let mut places = self.places.borrow_mut();
            let place = &mut places[at];
            if place.fd.is_none() {
                continue;
            }
            if place.offer.is_none() {
                self.offer(at, place);
            }
            any |= place.offer.is_some();
        }
        if any && self.table.wants_watch() {
            let _ = self.queues.tell(OFFER_TRIES, |queue| kept::send_watch(queue));
        }
    }

    fn offer(&self, at: usize, place: &mut Place) {
        let Some(fd) = &place.fd else { return };
        let serial = self.serial.get() + 1;
        self.serial.set(serial);
        let offer = Offer { slot: self.slot, place: u32::try_from(at).unwrap_or(0), serial };
        // Before the message: the zygote may take the connection as soon as it has the duplicate.
        self.table.open(offer);
        if self.queues.tell(OFFER_TRIES, |queue| kept::send_offer(queue, offer, fd)).is_ok() {
            place.offer = Some(offer);
        } else {
            self.table.close(offer);
        }
    }

    /// Takes out up to `most` connections of these places, for other workers.
    pub(super) fn take_out(&self, ready: u64, most: usize) -> Vec<Connection> {
        let places = self.all().filter(|at| ready & (1 << at) != 0 && !self.is_current(*at));
        let mut out = Vec::new();
        for at in places {
            if out.len() == most {
                break;
            }
            if let Some(fd) = self.claim_at(at) {
                self.sources.remove(fd.as_fd());
                self.free(at);
                out.push((fd, ConnectionState::BetweenRequests));
            }
        }
        out
    }

    /// Gives all connections but the exchange's to the zygote. Returns those that it does not take.
    pub(super) fn give_back(&self) -> Vec<Connection> {
        let mut left = Vec::new();
        for at in self.all() {
            let place = std::mem::take(&mut self.places.borrow_mut()[at]);
            if place.fd.is_none() {
                self.places.borrow_mut()[at] = place;
                continue;
            }
            left.extend(self.give(place));
        }
        left
    }

    fn give(&self, place: Place) -> Option<Connection> {
        let fd = place.fd?;
        self.sources.remove(fd.as_fd());
        match place.offer {
            None => self.queues.park((fd, ConnectionState::BetweenRequests)).err(),
            Some(offer) if !self.table.claim(offer) => None,
            Some(offer) => {
                let returned = self.queues.tell(PARK_TRIES, |queue| kept::send_returned(queue, offer));
                returned.is_err().then_some((fd, ConnectionState::BetweenRequests))
            }
        }
    }
}

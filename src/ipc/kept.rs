//! Connections that a worker keeps between two requests while it serves others, and that its zygote may take from it.
//!
//! Before a worker serves a request while it keeps idle connections, it gives the zygote a duplicate of each. If the request takes
//! long, the zygote takes those connections over, so that none of them waits for its end. Which of the two may read a connection is
//! decided by a word in shared memory: the worker reads only after `claim`, the zygote takes over only by `take`.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering::SeqCst;

use crate::sys::message;
use crate::sys::shared::{self, Words};

/// The most connections that one worker keeps.
pub(crate) const MOST: usize = 63;

/// Words before those of the workers: whether the zygote watches the pool's workers. A cache line.
const HEAD: usize = 8;
/// Words of a worker: how many connections were taken from it, and one for each that it keeps.
const SLOT: usize = 1 + MOST;

const FREE: u64 = 0;
const IDLE: u64 = 1;
const BUSY: u64 = 2;
const TAKEN: u64 = 3;

/// One offer of a connection: the worker's slot, the place among its connections, and a number that no other offer of that place has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Offer {
    /// The worker's slot in the scoreboard.
    pub slot: u32,
    /// Below `MOST`.
    pub place: u32,
    /// Ascends.
    pub serial: u64,
}

/// A pool's table.
#[derive(Debug)]
pub(crate) struct KeptTable {
    words: Words,
}

impl KeptTable {
    /// Makes the table for that many slots. Forked processes share it. It takes no memory until a worker offers a connection.
    ///
    /// # Errors
    /// `EMFILE`, `ENOMEM`.
    pub(crate) fn new(slots: u32) -> io::Result<Self> {
        let count = HEAD + SLOT * usize::try_from(slots).unwrap_or(0);
        let memory = shared::create("cgi-fpm-kept", count)?;
        Ok(Self { words: Words::map(memory.as_fd(), count)? })
    }

    fn change(&self, offer: Offer, from: u64, to: u64) -> bool {
        let (from, to) = (offer.serial << 2 | from, offer.serial << 2 | to);
        self.words.word(place(offer)).compare_exchange(from, to, SeqCst, SeqCst).is_ok()
    }

    fn put(&self, offer: Offer, state: u64) {
        self.words.word(place(offer)).store(offer.serial << 2 | state, SeqCst);
    }

    fn state(&self, offer: Offer) -> Option<u64> {
        let word = self.words.word(place(offer)).load(SeqCst);
        (word >> 2 == offer.serial & (u64::MAX >> 2)).then_some(word & 3)
    }

    /// The worker: the connection is idle; the zygote may take it from now on.
    pub(crate) fn open(&self, offer: Offer) {
        self.put(offer, IDLE);
    }

    /// The worker: the connection is no longer kept.
    pub(crate) fn close(&self, offer: Offer) {
        self.put(offer, FREE);
    }

    /// The worker is about to read from the connection. False: the zygote has taken it.
    #[must_use]
    pub(crate) fn claim(&self, offer: Offer) -> bool {
        self.change(offer, IDLE, BUSY)
    }

    /// The worker: a claimed connection is idle again.
    pub(crate) fn release(&self, offer: Offer) {
        let _ = self.change(offer, BUSY, IDLE);
    }

    /// The zygote takes an idle connection. False: the worker reads it, or keeps it no longer.
    #[must_use]
    pub(crate) fn take(&self, offer: Offer) -> bool {
        let taken = self.change(offer, IDLE, TAKEN);
        if taken {
            self.words.word(slot(offer.slot)).fetch_add(1, SeqCst);
        }
        taken
    }

    /// Whether the zygote has taken it.
    #[must_use]
    pub(crate) fn is_taken(&self, offer: Offer) -> bool {
        self.state(offer) == Some(TAKEN)
    }

    /// How many connections were taken from the worker of that slot.
    #[must_use]
    pub(crate) fn count_taken(&self, of: u32) -> u64 {
        self.words.word(slot(of)).load(SeqCst)
    }

    /// The worker begins a request while it keeps other connections. True: the zygote has to be told, because it does not watch.
    #[must_use]
    pub(crate) fn wants_watch(&self) -> bool {
        let watch = self.words.word(0);
        watch.load(SeqCst) == 0 && watch.swap(1, SeqCst) == 0
    }

    /// The zygote watches the pool's workers, or no longer does.
    pub(crate) fn set_watched(&self, watched: bool) {
        self.words.word(0).store(u64::from(watched), SeqCst);
    }
}

fn slot(slot: u32) -> usize {
    HEAD + SLOT * usize::try_from(slot).unwrap_or(0)
}

fn place(offer: Offer) -> usize {
    slot(offer.slot) + 1 + usize::try_from(offer.place).unwrap_or(0).min(MOST - 1)
}

/// What a worker tells its zygote about the connections that it keeps. It travels in the queue of connections to be parked.
#[derive(Debug)]
pub(crate) enum KeptMessage {
    /// A duplicate of a kept connection.
    Offered(Offer, OwnedFd),
    /// The worker keeps it no longer: the zygote is to park its duplicate.
    Returned(Offer),
    /// The worker has closed it, or it goes another way: the zygote is to drop its duplicate.
    Dropped(Offer),
    /// A request has begun while connections are kept: watch for how long it takes.
    Watch,
}

const OFFERED: u8 = b'o';
const RETURNED: u8 = b'r';
const DROPPED: u8 = b'd';
const WATCH: u8 = b'w';

/// A text that a message of the queue may have.
type Text = [u8; 64];

/// Sends an offer with a duplicate of the connection.
///
/// # Errors
/// `EAGAIN`, `ETOOMANYREFS`: the queue is full. `EPIPE`: the zygote has gone.
pub(crate) fn send_offer(to: impl AsFd, offer: Offer, connection: impl AsFd) -> io::Result<()> {
    message::send(to, &text(OFFERED, offer), &[connection.as_fd()])
}

/// Sends `Returned`.
///
/// # Errors
/// As of `send_offer`.
pub(crate) fn send_returned(to: impl AsFd, offer: Offer) -> io::Result<()> {
    message::send(to, &text(RETURNED, offer), &[])
}

/// Sends `Dropped`.
///
/// # Errors
/// As of `send_offer`.
pub(crate) fn send_dropped(to: impl AsFd, offer: Offer) -> io::Result<()> {
    message::send(to, &text(DROPPED, offer), &[])
}

/// Sends `Watch`.
///
/// # Errors
/// As of `send_offer`.
pub(crate) fn send_watch(to: impl AsFd) -> io::Result<()> {
    message::send(to, &text(WATCH, Offer { slot: 0, place: 0, serial: 0 }), &[])
}

fn text(tag: u8, Offer { slot, place, serial }: Offer) -> Text {
    let mut text = [0; 64];
    text[0] = tag;
    text[4..8].copy_from_slice(&slot.to_ne_bytes());
    text[8..12].copy_from_slice(&place.to_ne_bytes());
    text[16..24].copy_from_slice(&serial.to_ne_bytes());
    text
}

/// Reads such a message.
pub(super) fn decode(text: &Text, connection: Option<OwnedFd>) -> Option<KeptMessage> {
    let [tag, _, _, _, s0, s1, s2, s3, p0, p1, p2, p3, _, _, _, _, n0, n1, n2, n3, n4, n5, n6, n7, ..] = *text;
    let offer = Offer {
        slot: u32::from_ne_bytes([s0, s1, s2, s3]),
        place: u32::from_ne_bytes([p0, p1, p2, p3]),
        serial: u64::from_ne_bytes([n0, n1, n2, n3, n4, n5, n6, n7]),
    };
    match (tag, connection) {
        (OFFERED, Some(connection)) => Some(KeptMessage::Offered(offer, connection)),
        (RETURNED, None) => Some(KeptMessage::Returned(offer)),
        (DROPPED, None) => Some(KeptMessage::Dropped(offer)),
        (WATCH, None) => Some(KeptMessage::Watch),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Offer = Offer { slot: 1, place: 2, serial: 7 };

    #[test]
    fn a_connection_has_one_reader() {
        let table = KeptTable::new(2).unwrap();
        assert!(!table.claim(FIRST) && !table.take(FIRST), "never offered");
        table.open(FIRST);
        assert!(table.claim(FIRST) && !table.take(FIRST));
        table.release(FIRST);
        assert!(table.take(FIRST) && !table.claim(FIRST) && table.is_taken(FIRST));
        assert_eq!((table.count_taken(1), table.count_taken(0)), (1, 0));
        table.release(FIRST);
        assert!(table.is_taken(FIRST), "only a claimed one is released");
    }

    #[test]
    fn a_former_offer_of_the_place_is_void() {
        let table = KeptTable::new(2).unwrap();
        table.open(FIRST);
        let second = Offer { serial: 8, ..FIRST };
        table.open(second);
        assert!(!table.take(FIRST) && !table.is_taken(FIRST) && table.claim(second));
        table.close(second);
        assert!(!table.take(second));
    }

    #[test]
    fn the_zygote_is_told_once() {
        let table = KeptTable::new(1).unwrap();
        assert!(table.wants_watch() && !table.wants_watch());
        table.set_watched(false);
        assert!(table.wants_watch());
    }
}

//! Who holds each connection that workers of a pool retain: words in memory that the pool's zygote and workers share. The zygote has a copy
//! of the descriptor, so the word alone decides which process reads from the connection.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::plan::retained::Holder;
use crate::sys::orphan;
use crate::sys::shared::{self, Words};

/// The most connections that a worker retains.
pub(crate) const PLACES: u32 = orphan::MOST;
/// Words of a worker: the number of times that connections were taken from it, and one for each place.
const WORKER: usize = 32;

const NOBODY: u64 = 0;
const IDLE: u64 = 1;
const BUSY: u64 = 2;
const ZYGOTE: u64 = 3;
/// The worker has left it to the zygote, which has not noticed yet. Until then the place cannot be used again.
const GIVEN: u64 = 4;
const HOLDER: u64 = 7;
/// The bits of a word above the holder: the serial number.
const SHIFT: u32 = 3;

/// A connection that a worker retains. The serial number tells it from earlier ones in the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RetainedPlace {
    /// The slot of the worker.
    pub slot: u32,
    /// Its number among the worker's places.
    pub index: u32,
    /// Counts the connections that have been in this place.
    pub serial: u64,
}

impl RetainedPlace {
    /// The values of its word while the worker waits for bytes on the connection, and when the zygote has it.
    pub(crate) fn idle_and_gone(self) -> [u64; 2] {
        [self.held_by(IDLE), self.held_by(ZYGOTE)]
    }

    fn held_by(self, holder: u64) -> u64 {
        self.serial << SHIFT | holder
    }
}

/// The words of a pool.
#[derive(Debug)]
pub(crate) struct Holders {
    words: Words,
    slots: u32,
}

impl Holders {
    /// Makes the memory for a pool with so many slots. Pages that are never written take no memory.
    ///
    /// # Errors
    /// `EMFILE`, `ENOMEM`.
    pub(crate) fn create(slots: u32) -> io::Result<Self> {
        let count = WORKER * usize::try_from(slots.max(1)).map_err(io::Error::other)?;
        let memory = shared::create("cgi-fpm-retained", count)?;
        Ok(Self { words: Words::map(memory.as_fd(), count)?, slots })
    }

    fn word(&self, slot: u32, number: u32) -> &AtomicU64 {
        self.words.word(WORKER * usize::try_from(slot).unwrap_or(0) + usize::try_from(number).unwrap_or(0))
    }

    /// The word of a place.
    pub(crate) fn word_of(&self, place: RetainedPlace) -> &AtomicU64 {
        self.word(place.slot, 1 + place.index.min(PLACES - 1))
    }

    /// Whether there is such a place.
    #[must_use]
    pub(crate) fn has(&self, place: RetainedPlace) -> bool {
        place.slot < self.slots && place.index < PLACES
    }

    fn change(&self, place: RetainedPlace, from: u64, to: u64) -> bool {
        let (from, to) = (place.held_by(from), place.held_by(to));
        self.word_of(place).compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Worker: puts a connection into a place of its own that is free.
    pub(crate) fn begin(&self, slot: u32, index: u32) -> RetainedPlace {
        let place = RetainedPlace { slot, index, serial: 0 };
        let serial = (self.word_of(place).load(Ordering::SeqCst) >> SHIFT).wrapping_add(1) & (u64::MAX >> SHIFT);
        let place = RetainedPlace { serial, ..place };
        self.word_of(place).store(place.held_by(IDLE), Ordering::SeqCst);
        place
    }

    /// Worker: takes an idle connection to serve it. False: the zygote has taken it.
    pub(crate) fn claim(&self, place: RetainedPlace) -> bool {
        self.change(place, IDLE, BUSY)
    }

    /// Worker: waits for the next request on a connection that it has served.
    pub(crate) fn rest(&self, place: RetainedPlace) {
        self.word_of(place).store(place.held_by(IDLE), Ordering::SeqCst);
    }

    /// Worker: leaves a connection between two requests to the zygote.
    pub(crate) fn give(&self, place: RetainedPlace) {
        self.word_of(place).store(place.held_by(GIVEN), Ordering::SeqCst);
    }

    /// Worker: has closed the connection that it served, or passed it on.
    pub(crate) fn release(&self, place: RetainedPlace) {
        self.word_of(place).store(place.held_by(NOBODY), Ordering::SeqCst);
    }

    /// Worker: whether a place of its own can be used.
    #[must_use]
    pub(crate) fn is_free(&self, slot: u32, index: u32) -> bool {
        self.word_of(RetainedPlace { slot, index, serial: 0 }).load(Ordering::SeqCst) & HOLDER != GIVEN
    }

    /// Zygote: has noticed that the connection was left to it.
    pub(crate) fn accept(&self, place: RetainedPlace) {
        self.change(place, GIVEN, ZYGOTE);
    }

    /// Zygote: is about to send a connection on that it has taken. The worker may still have its descriptor, but not its connection.
    pub(crate) fn send_on(&self, place: RetainedPlace) {
        self.change(place, ZYGOTE, NOBODY);
    }

    /// Zygote: takes an idle connection from its worker. False: the worker has begun to serve it.
    pub(crate) fn take(&self, place: RetainedPlace) -> bool {
        let taken = self.change(place, IDLE, ZYGOTE);
        if taken {
            self.word(place.slot, 0).fetch_add(1, Ordering::SeqCst);
        }
        taken
    }

    /// Who holds the connection.
    #[must_use]
    pub(crate) fn holder(&self, place: RetainedPlace) -> Holder {
        let word = self.word_of(place).load(Ordering::SeqCst);
        match word & HOLDER {
            _ if word >> SHIFT != place.serial => Holder::Nobody,
            IDLE => Holder::Idle,
            BUSY => Holder::Busy,
            ZYGOTE | GIVEN => Holder::Zygote,
            _ => Holder::Nobody,
        }
    }

    /// How many connections the zygote has taken from workers of that slot.
    #[must_use]
    pub(crate) fn taken(&self, slot: u32) -> u64 {
        self.word(slot, 0).load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_the_worker_or_the_zygote_gets_an_idle_connection() {
        let holders = Holders::create(2).unwrap();
        let place = holders.begin(1, 3);
        assert_eq!(holders.holder(place), Holder::Idle);
        assert!(holders.claim(place) && !holders.take(place) && !holders.claim(place));
        assert_eq!(holders.holder(place), Holder::Busy);
        holders.rest(place);
        assert!(holders.take(place) && !holders.claim(place) && !holders.take(place));
        assert_eq!((holders.holder(place), holders.taken(1), holders.taken(0)), (Holder::Zygote, 1, 0));
    }

    #[test]
    fn a_later_connection_in_the_same_place_is_another_one() {
        let holders = Holders::create(1).unwrap();
        let first = holders.begin(0, PLACES - 1);
        holders.release(first);
        assert_eq!(holders.holder(first), Holder::Nobody);
        let second = holders.begin(0, PLACES - 1);
        assert!(!holders.take(first) && holders.take(second));
        assert_eq!((holders.holder(first), holders.holder(second)), (Holder::Nobody, Holder::Zygote));
    }

    #[test]
    fn a_place_is_used_again_when_the_zygote_has_noticed() {
        let holders = Holders::create(1).unwrap();
        let place = holders.begin(0, 0);
        holders.give(place);
        assert!(!holders.is_free(0, 0) && holders.is_free(0, 1));
        assert_eq!(holders.holder(place), Holder::Zygote);
        holders.accept(place);
        assert!(holders.is_free(0, 0));
        assert_eq!(holders.holder(place), Holder::Zygote);
        holders.send_on(place);
        assert_eq!(holders.holder(place), Holder::Nobody);
    }

    #[test]
    fn workers_and_places_have_words_of_their_own() {
        let holders = Holders::create(3).unwrap();
        let all: Vec<_> = (0..3).flat_map(|slot| (0..PLACES).map(move |index| (slot, index))).collect();
        let places: Vec<_> = all.iter().map(|&(slot, index)| holders.begin(slot, index)).collect();
        assert!(places.iter().all(|place| holders.claim(*place)));
        assert!((0..3).all(|slot| holders.taken(slot) == 0));
    }
}

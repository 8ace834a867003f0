//! What workers tell about themselves: one sealed memory per pool, a slot per worker, atomic words, no lock.
//!
//! Each word has one writer: the worker of the slot, but for `DRAIN`, which only the supervisor writes, and the pool's
//! counters, which are added to. The supervisor trusts nothing in here: it holds no pointers, pids or lengths.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sys::clock::{self, Millis};
use crate::sys::shared::{self, Words};
use crate::worker::exchange::Stage;

/// Words of the pool's header and of a slot; a slot fills two cache lines of its own.
const HEADER: usize = 16;
const SLOT: usize = 16;

/// Pool-level counters, in the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// Connections accepted.
    Accepted = 0,
    /// Kept connections given to the zygote.
    Parked = 1,
    /// Times a worker was woken for another connection while it held one.
    Disrupted = 2,
}

const STAGE: usize = 0;
const DRAIN: usize = 1;
const REQUESTS: usize = 2;
const STAGE_SINCE: usize = 3;

/// A pool's scoreboard as the supervisor sees it.
#[derive(Debug)]
pub struct Scoreboard {
    words: Words,
}

/// A worker's own slot.
#[derive(Debug)]
pub struct Slot {
    board: Scoreboard,
    index: u32,
}

/// Memory for that many slots.
///
/// # Errors
/// `EMFILE`, `ENOMEM`.
pub fn create(slots: u32) -> io::Result<OwnedFd> {
    shared::create("cgi-fpm-scoreboard", words_for(slots))
}

fn words_for(slots: u32) -> usize {
    HEADER + SLOT * usize::try_from(slots).unwrap_or(0)
}

impl Scoreboard {
    /// Maps it.
    ///
    /// # Errors
    /// When the memory isn't a sealed scoreboard of that many slots.
    pub fn map(fd: BorrowedFd<'_>, slots: u32) -> io::Result<Self> {
        Ok(Self { words: Words::map(fd, words_for(slots))? })
    }

    fn word(&self, slot: u32, field: usize) -> &AtomicU64 {
        self.words.word(HEADER + SLOT * usize::try_from(slot).unwrap_or(0) + field)
    }

    /// Asks the worker of that slot to take nothing new. SeqCst on both sides: see `is_busy`.
    pub fn ask_to_drain(&self, slot: u32) {
        self.word(slot, DRAIN).store(1, Ordering::SeqCst);
    }

    /// Whether the worker of that slot is inside a request. If this says yes after `ask_to_drain`, the worker will see
    /// the wish before it takes another: it publishes `Idle` first and looks for the wish then.
    #[must_use]
    pub fn is_busy(&self, slot: u32) -> bool {
        self.word(slot, STAGE).load(Ordering::SeqCst) > Stage::Idle as u64
    }

    /// Clears a slot for its next worker.
    pub fn reset(&self, slot: u32) {
        for field in 0..SLOT {
            self.word(slot, field).store(0, Ordering::SeqCst);
        }
    }

    /// The value of a counter.
    #[must_use]
    pub fn counter(&self, counter: Counter) -> u64 {
        self.words.word(counter as usize).load(Ordering::Relaxed)
    }

    /// The slot, for its worker.
    #[must_use]
    pub fn into_slot(self, index: u32) -> Slot {
        Slot { board: self, index }
    }
}

impl Slot {
    /// Publishes what the worker does.
    pub fn stage(&self, stage: Stage) {
        self.board.word(self.index, STAGE).store(stage as u64, Ordering::SeqCst);
    }

    /// A request begins: its stage, its number, its time.
    pub fn begin(&self) {
        self.board.word(self.index, STAGE_SINCE).store(clock::now().0, Ordering::Relaxed);
        self.stage(Stage::Reading);
        let requests = self.board.word(self.index, REQUESTS);
        requests.store(requests.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// When the present request began.
    #[must_use]
    pub fn since(&self) -> Millis {
        Millis(self.board.word(self.index, STAGE_SINCE).load(Ordering::Relaxed))
    }

    /// Whether the supervisor wants this worker to take nothing new.
    #[must_use]
    pub fn drain_asked(&self) -> bool {
        self.board.word(self.index, DRAIN).load(Ordering::SeqCst) != 0
    }

    /// One more.
    pub fn count(&self, counter: Counter) {
        self.board.words.word(counter as usize).fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_worker_and_the_supervisor_see_the_same_slot() {
        let fd = create(3).unwrap();
        let ours = Scoreboard::map(fd.as_fd(), 3).unwrap();
        let slot = Scoreboard::map(fd.as_fd(), 3).unwrap().into_slot(2);
        assert!(!ours.is_busy(2) && !slot.drain_asked());
        slot.begin();
        slot.count(Counter::Parked);
        ours.ask_to_drain(2);
        assert!(ours.is_busy(2) && !ours.is_busy(1) && slot.drain_asked());
        assert_eq!(ours.counter(Counter::Parked), 1);
        slot.stage(Stage::Idle);
        assert!(!ours.is_busy(2));
        ours.reset(2);
        assert!(!slot.drain_asked());
    }

    #[test]
    fn a_smaller_or_unsealed_file_is_refused() {
        let small = create(1).unwrap();
        assert!(Scoreboard::map(small.as_fd(), 2).is_err());
        let unsealed = shared::file_of("x", &[0; 4096]).unwrap();
        assert!(Scoreboard::map(unsealed.as_fd(), 1).is_err());
    }

    #[test]
    fn the_file_can_not_be_cut_under_its_readers() {
        let fd = create(1).unwrap();
        assert!(nix::unistd::ftruncate(&fd, 0).is_err());
    }

    #[test]
    fn a_slot_beyond_the_end_harms_nobody() {
        let fd = create(1).unwrap();
        let board = Scoreboard::map(fd.as_fd(), 1).unwrap();
        board.ask_to_drain(1_000_000);
        assert!(!board.is_busy(0));
    }
}

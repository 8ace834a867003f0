//! The slots of a generation's workers, in one sealed memory.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use super::texts;
use crate::request::Stage;
use crate::sys::clock::Moment;
use crate::sys::shared::{self, Words};

/// Words of a slot's dense part: two cache lines of its own.
const SLOT: usize = 16;

/// Stands above the bits of listening sockets.
pub(super) const CLOSING_ANNOUNCED: u64 = 1 << 32;

/// Words of the dense part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Stage = 0,
    Drain = 1,
    Requests = 2,
    /// When the stage became what it is; only for `Idle` and `Reading`. Microseconds of the monotonic clock, as all moments here but `Started`.
    Since = 3,
    /// When the present or last request began.
    Accepted = 4,
    /// The last request's duration in microseconds.
    Duration = 5,
    /// Its CPU time in microseconds.
    Cpu = 6,
    /// Its memory peak in bytes.
    Memory = 7,
    ContentLength = 8,
    /// 0: nobody has this slot.
    Pid = 9,
    /// Seconds since 1970.
    Started = 10,
    /// 0, or `CLOSING_ANNOUNCED` with a bit for each of the pool's listening sockets that are about to be closed. Written by the supervisor,
    /// once: who gets the slot later drains as well, so `reset` leaves it.
    Closing = 11,
    /// Not 0: the supervisor's next SIGTERM is to end the worker, whatever SIGTERM means from others.
    End = 12,
}

/// A pool's scoreboard: as the supervisor sees it, and whoever shows a status page.
#[derive(Debug)]
pub struct Scoreboard {
    pub(super) words: Words,
    pub(super) slots: u32,
}

/// How near a worker is to taking a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Readiness {
    /// It serves, or was told to take nothing new.
    Busy,
    /// It sends the end of an answer, or has.
    Soon,
    /// It waits for a connection, or is being made.
    Free,
}

/// Memory for that many slots. What isn't written to takes none.
///
/// # Errors
/// `EMFILE`, `ENOMEM`.
pub fn create(slots: u32) -> io::Result<OwnedFd> {
    shared::create("cgi-fpm-scoreboard", words_for(slots))
}

fn words_for(slots: u32) -> usize {
    (SLOT + texts::WORDS) * usize::try_from(slots).unwrap_or(0)
}

impl Scoreboard {
    /// Maps it.
    ///
    /// # Errors
    /// When the memory isn't a sealed scoreboard of that many slots.
    pub fn map(fd: BorrowedFd<'_>, slots: u32) -> io::Result<Self> {
        Ok(Self { words: Words::map(fd, words_for(slots))?, slots })
    }

    pub(super) fn word(&self, slot: u32, word: Word) -> &AtomicU64 {
        self.words.word(SLOT * usize::try_from(slot).unwrap_or(0) + word as usize)
    }

    pub(super) fn read(&self, slot: u32, word: Word) -> u64 {
        self.word(slot, word).load(Ordering::Relaxed)
    }

    pub(super) fn texts(&self, slot: u32) -> texts::Place<'_> {
        let [all, slot] = [self.slots, slot.min(self.slots)].map(|n| usize::try_from(n).unwrap_or(0));
        texts::Place::new(&self.words, SLOT * all + texts::WORDS * slot)
    }

    /// How many slots there are.
    #[must_use]
    pub fn slots(&self) -> u32 {
        self.slots
    }

    /// Asks the worker of that slot to take nothing new. SeqCst on both sides: see `is_busy`.
    pub fn ask_to_drain(&self, slot: u32) {
        self.word(slot, Word::Drain).store(1, Ordering::SeqCst);
    }

    pub(super) fn drain_asked(&self, slot: u32) -> bool {
        self.word(slot, Word::Drain).load(Ordering::SeqCst) != 0
    }

    /// Has SIGTERM end the worker of that slot: called before it is sent.
    pub fn ask_to_end(&self, slot: u32) {
        self.end(slot).store(1, Ordering::SeqCst);
    }

    /// The word that says so.
    #[must_use]
    pub fn end(&self, slot: u32) -> &AtomicU64 {
        self.word(slot, Word::End)
    }

    /// Has the worker of that slot, once it drains, first serve all that are connected already: nobody follows it. These
    /// listening sockets, a bit for each, are about to be closed.
    pub fn announce_closing(&self, slot: u32, closing: u32) {
        self.word(slot, Word::Closing).store(CLOSING_ANNOUNCED | u64::from(closing), Ordering::SeqCst);
    }

    /// Whether the worker of that slot is inside a request. If this says yes after `ask_to_drain`, the worker will see
    /// the wish before it takes another: it publishes `Idle` first and looks for the wish then.
    #[must_use]
    pub fn is_busy(&self, slot: u32) -> bool {
        self.word(slot, Word::Stage).load(Ordering::SeqCst) > Stage::Idle as u64
    }

    /// Whether the worker of that slot waits for a request.
    #[must_use]
    pub fn is_idle(&self, slot: u32) -> bool {
        self.word(slot, Word::Stage).load(Ordering::SeqCst) == Stage::Idle as u64
    }

    /// Whether the worker of that slot will take a connection.
    #[must_use]
    pub fn readiness(&self, slot: u32) -> Readiness {
        match self.word(slot, Word::Stage).load(Ordering::SeqCst) {
            _ if self.drain_asked(slot) => Readiness::Busy,
            stage if stage <= Stage::Idle as u64 => Readiness::Free,
            stage if stage == Stage::Answered as u64 => Readiness::Soon,
            _ => Readiness::Busy,
        }
    }

    /// When the worker's last request began, in microseconds. If `readiness` says that it is busy, it is that request's.
    #[must_use]
    pub fn begun(&self, slot: u32) -> u64 {
        self.read(slot, Word::Accepted)
    }

    /// When the worker's stage became what it is, as the worker says, for those that are idle.
    #[must_use]
    pub fn since(&self, slot: u32) -> Moment {
        Moment::at_millis(self.read(slot, Word::Since) / 1000)
    }

    /// Clears a slot for its next worker, or behind its last.
    pub fn reset(&self, slot: u32) {
        for word in (0..SLOT).filter(|word| *word != Word::Closing as usize) {
            self.words.word(SLOT * usize::try_from(slot).unwrap_or(0) + word).store(0, Ordering::SeqCst);
        }
        self.texts(slot).clear();
    }
}

//! The slots of the workers of one generation, in one sealed shared memory.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{ids, texts};
use crate::plan::exit_reason::{ExitReason, REASONS};
use crate::request::Stage;
use crate::sys::clock::Moment;
use crate::sys::shared::{self, Words};

/// Words in the dense part of a slot: two cache lines.
const SLOT: usize = 16;

/// The bit of the word `Closing` that says that the supervisor has written it; above the bits of the listening
/// sockets.
pub(super) const CLOSING_ANNOUNCED: u64 = 1 << 32;

/// The words of the dense part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Stage = 0,
    Drain = 1,
    Requests = 2,
    /// When the present stage began; only for `Idle` and `Reading`. In microseconds of the monotonic clock, as all
    /// times here except `Started`.
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
    /// The worker's process id; 0: the slot is free.
    Pid = 9,
    /// Seconds since 1970.
    Started = 10,
    /// 0, or `CLOSING_ANNOUNCED` with a bit for each of the pool's listening sockets that are about to be closed. The
    /// supervisor writes it once. `reset` leaves it, because a later worker of the slot drains as well.
    Closing = 11,
    /// Not 0: the supervisor's next SIGTERM ends the worker, even if SIGTERM is graceful.
    End = 12,
    /// Why the worker is about to exit by itself: the place of the reason in `plan::exit_reason::REASONS` and 1; 0: it is not.
    Reached = 13,
    /// The memory in bytes that only the worker uses, as it has last measured it; 0: it has not.
    Private = 14,
}

/// A pool's scoreboard, as the supervisor and status pages read it.
#[derive(Debug)]
pub(crate) struct Scoreboard {
    pub(super) words: Words,
    pub(super) slots: u32,
    /// There is room for ids: the memory is not that of a former version.
    has_ids: bool,
}

/// Whether a worker can take a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Readiness {
    /// No: it serves a request, or drains.
    Busy,
    /// In a moment: it sends the end of an answer.
    Soon,
    /// Yes: it waits for a connection, or is being set up.
    Free,
}

/// Creates the memory for that many slots. Pages that are never written take no memory.
///
/// # Errors
/// `EMFILE`, `ENOMEM`.
pub(crate) fn create(slots: u32) -> io::Result<OwnedFd> {
    shared::create("cgi-fpm-scoreboard", words_for(slots))
}

pub(super) fn words_for(slots: u32) -> usize {
    former_words_for(slots) + ids::WORDS * usize::try_from(slots).unwrap_or(0)
}

/// The same in versions without ids.
pub(super) fn former_words_for(slots: u32) -> usize {
    (SLOT + texts::WORDS) * usize::try_from(slots).unwrap_or(0)
}

/// Where the texts of a slot begin; those of slots beyond the last one are its neighbour's.
pub(super) fn texts_at(slot: u32, slots: u32) -> usize {
    let [all, slot] = [slots, slot.min(slots)].map(|n| usize::try_from(n).unwrap_or(0));
    SLOT * all + texts::WORDS * slot
}

/// Where the ids of a slot begin.
pub(super) fn ids_at(slot: u32, slots: u32) -> usize {
    former_words_for(slots) + ids::WORDS * usize::try_from(slot.min(slots)).unwrap_or(0)
}

/// The index of a slot's word.
pub(super) fn place(slot: u32, word: Word) -> usize {
    SLOT * usize::try_from(slot).unwrap_or(0) + word as usize
}

impl Scoreboard {
    /// Maps the memory, which may be that of a former version.
    ///
    /// # Errors
    /// The file isn't a sealed scoreboard of that many slots.
    pub(crate) fn map(fd: BorrowedFd<'_>, slots: u32) -> io::Result<Self> {
        match Words::map(fd, words_for(slots)) {
            Ok(words) => Ok(Self { words, slots, has_ids: true }),
            Err(_) => Ok(Self { words: Words::map(fd, former_words_for(slots))?, slots, has_ids: false }),
        }
    }

    pub(super) fn word(&self, slot: u32, word: Word) -> &AtomicU64 {
        self.words.word(place(slot, word))
    }

    pub(super) fn read(&self, slot: u32, word: Word) -> u64 {
        self.word(slot, word).load(Ordering::Relaxed)
    }

    pub(super) fn texts(&self, slot: u32) -> texts::Place<'_> {
        texts::Place::new(&self.words, texts_at(slot, self.slots))
    }

    /// The place for ids. `None`: the memory has none.
    pub(super) fn ids(&self, slot: u32) -> Option<ids::Place<'_>> {
        self.has_ids.then(|| ids::Place::new(&self.words, ids_at(slot, self.slots)))
    }

    /// How many slots there are.
    #[must_use]
    pub(crate) fn slots(&self) -> u32 {
        self.slots
    }

    /// Asks the worker of that slot to drain. Both sides use SeqCst: see `is_busy`.
    pub(crate) fn ask_to_drain(&self, slot: u32) {
        self.word(slot, Word::Drain).store(1, Ordering::SeqCst);
    }

    pub(super) fn drain_asked(&self, slot: u32) -> bool {
        self.word(slot, Word::Drain).load(Ordering::SeqCst) != 0
    }

    /// Makes the next SIGTERM end the worker of that slot. Called before the signal is sent.
    pub(crate) fn ask_to_end(&self, slot: u32) {
        self.end(slot).store(1, Ordering::SeqCst);
    }

    /// The word that `ask_to_end` sets.
    #[must_use]
    pub(crate) fn end(&self, slot: u32) -> &AtomicU64 {
        self.word(slot, Word::End)
    }

    /// Tells the worker of that slot that these listening sockets, a bit for each, are about to be closed. When it
    /// drains, it first serves the clients that have already connected, because no later worker will.
    pub(crate) fn announce_closing(&self, slot: u32, closing: u32) {
        self.word(slot, Word::Closing).store(CLOSING_ANNOUNCED | u64::from(closing), Ordering::SeqCst);
    }

    /// Whether the worker of that slot is inside a request. If this returns true after `ask_to_drain`, the worker
    /// sees that order before it takes another request: it publishes `Idle` first and reads the order after that.
    #[must_use]
    pub(crate) fn is_busy(&self, slot: u32) -> bool {
        self.word(slot, Word::Stage).load(Ordering::SeqCst) > Stage::Idle as u64
    }

    /// Whether the worker of that slot waits for a request.
    #[must_use]
    pub(crate) fn is_idle(&self, slot: u32) -> bool {
        self.word(slot, Word::Stage).load(Ordering::SeqCst) == Stage::Idle as u64
    }

    /// Whether the worker of that slot has been idle since that time, in microseconds of the monotonic clock, and does not drain.
    pub(super) fn rests(&self, slot: u32, since: u64) -> bool {
        self.is_idle(slot)
            && self.read(slot, Word::Pid) != 0
            && self.read(slot, Word::Since) <= since
            && !self.drain_asked(slot)
    }

    /// Whether the worker of that slot can take a connection.
    #[must_use]
    pub(crate) fn readiness(&self, slot: u32) -> Readiness {
        match self.word(slot, Word::Stage).load(Ordering::SeqCst) {
            _ if self.drain_asked(slot) => Readiness::Busy,
            stage if stage <= Stage::Idle as u64 => Readiness::Free,
            stage if stage == Stage::Answered as u64 => Readiness::Soon,
            _ => Readiness::Busy,
        }
    }

    /// When the worker's last request began, in microseconds. If `readiness` returns `Busy`, this is the present
    /// request.
    #[must_use]
    pub(crate) fn begun(&self, slot: u32) -> u64 {
        self.read(slot, Word::Accepted)
    }

    /// Since when an idle worker has been idle, as the worker says.
    #[must_use]
    pub(crate) fn since(&self, slot: u32) -> Moment {
        Moment::at_millis(self.read(slot, Word::Since) / 1000)
    }

    /// The limit because of which the worker of that slot exits, as it says.
    #[must_use]
    pub(crate) fn reached(&self, slot: u32) -> Option<ExitReason> {
        let at = usize::try_from(self.read(slot, Word::Reached)).ok()?.checked_sub(1)?;
        REASONS.get(at).map(|(reason, _)| *reason)
    }

    /// Clears a slot, before its next worker or after its last.
    pub(crate) fn reset(&self, slot: u32) {
        for word in (0..SLOT).filter(|word| *word != Word::Closing as usize) {
            self.words.word(SLOT * usize::try_from(slot).unwrap_or(0) + word).store(0, Ordering::SeqCst);
        }
        self.texts(slot).clear();
        if let Some(ids) = self.ids(slot) {
            ids.clear();
        }
    }
}

//! A scoreboard as the monitor reads it, which cannot write it. Whoever runs as the pool's user may have written anything there: it is
//! read in bounded time, and lengths are cut.

use std::io;
use std::os::fd::BorrowedFd;

use super::slots::{Word, former_words_for, ids_at, place, texts_at, words_for};
use super::snapshot::stage_of;
use super::{ids, texts};
use crate::request::Stage;
use crate::request_ids::RequestIds;
use crate::sys::shared::ReadOnlyWords;

/// A scoreboard, read-only.
#[derive(Debug)]
pub(crate) struct BoardView {
    words: ReadOnlyWords,
    slots: u32,
    /// There is room for ids: the memory is not that of a former version.
    has_ids: bool,
}

/// A worker, as it says itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotView {
    /// Its number.
    pub(crate) slot: u32,
    pub(crate) pid: u64,
    pub(crate) stage: Stage,
    /// When it became idle, or its request began, in microseconds of the monotonic clock.
    pub(crate) since: u64,
    /// In seconds since 1970.
    pub(crate) started: u64,
    /// Requests that it has begun.
    pub(crate) requests: u64,
}

/// The request that a worker is inside of. The texts may hold any bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunningView {
    /// In microseconds of the monotonic clock.
    pub(crate) begun: u64,
    pub(crate) method: Vec<u8>,
    pub(crate) uri: Vec<u8>,
    pub(crate) query: Vec<u8>,
    pub(crate) script: Vec<u8>,
    pub(crate) ids: Option<RequestIds>,
}

/// How many workers are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// They are being set up.
    pub(crate) starting: u64,
    /// They wait for a request.
    pub(crate) idle: u64,
    /// They are inside a request.
    pub(crate) busy: u64,
}

impl BoardView {
    /// Maps the memory.
    ///
    /// # Errors
    /// The file isn't a sealed scoreboard of that many slots.
    pub(crate) fn map(fd: BorrowedFd<'_>, slots: u32) -> io::Result<Self> {
        match ReadOnlyWords::map(fd, words_for(slots)) {
            Ok(words) => Ok(Self { words, slots, has_ids: true }),
            Err(_) => Ok(Self { words: ReadOnlyWords::map(fd, former_words_for(slots))?, slots, has_ids: false }),
        }
    }

    fn read(&self, slot: u32, word: Word) -> u64 {
        self.words.read(place(slot, word))
    }

    /// The workers that there are.
    pub(crate) fn workers(&self) -> impl Iterator<Item = SlotView> {
        (0..self.slots).filter_map(|slot| self.worker(slot))
    }

    fn worker(&self, slot: u32) -> Option<SlotView> {
        let pid = self.read(slot, Word::Pid);
        (pid != 0).then(|| SlotView {
            slot,
            pid,
            stage: stage_of(self.read(slot, Word::Stage)),
            since: self.read(slot, Word::Since),
            started: self.read(slot, Word::Started),
            requests: self.read(slot, Word::Requests),
        })
    }

    /// The request that the worker of a slot is inside of. `None`: there is none, or it changes at this moment.
    #[must_use]
    pub(crate) fn running(&self, slot: u32) -> Option<RunningView> {
        let before = self.read(slot, Word::Requests);
        let begun = self.read(slot, Word::Accepted);
        let [method, uri, query, _, script] =
            texts::Place::new(&self.words, texts_at(slot, self.slots)).read_whole()?;
        let ids = self.has_ids.then(|| ids::Place::new(&self.words, ids_at(slot, self.slots)).read()).flatten();
        let stage = stage_of(self.read(slot, Word::Stage));
        // Not a mixture of two requests.
        let same = self.read(slot, Word::Requests) == before && self.read(slot, Word::Accepted) == begun;
        let inside = !matches!(stage, Stage::Creating | Stage::Idle);
        (same && inside).then_some(RunningView { begun, method, uri, query, script, ids })
    }

    /// The memory in bytes that only the workers use, as each has last measured it.
    #[must_use]
    pub(crate) fn private_memory(&self) -> u64 {
        let there = (0..self.slots).filter(|slot| self.words.read(place(*slot, Word::Pid)) != 0);
        there.fold(0, |sum, slot| sum.saturating_add(self.words.read(place(slot, Word::Private))))
    }

    /// Counts the workers.
    #[must_use]
    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for slot in 0..self.slots {
            if self.read(slot, Word::Pid) == 0 {
                continue;
            }
            match self.read(slot, Word::Stage) {
                stage if stage == Stage::Creating as u64 => counts.starting += 1,
                stage if stage == Stage::Idle as u64 => counts.idle += 1,
                _ => counts.busy += 1,
            }
        }
        counts
    }
}

//! A worker's own slot in the scoreboard.

use std::cell::Cell;
use std::sync::atomic::Ordering;

use super::counter::Counter;
use super::slots::{CLOSING_ANNOUNCED, Scoreboard, Word};
use super::totals::Totals;
use crate::plan::exit_reason::ExitReason;
use crate::request::{Description, Stage};
use crate::request_ids::RequestIds;
use crate::sys::clock;

/// A worker's own slot and its pool's totals.
#[derive(Debug)]
pub(crate) struct Slot {
    scoreboard: Scoreboard,
    totals: Totals,
    index: u32,
    /// Whether this worker is counted as active in the totals.
    active: Cell<bool>,
}

/// The measurements of a request that has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ended {
    /// In microseconds.
    pub duration: u64,
    /// In microseconds; 0 where it isn't measured.
    pub cpu: u64,
    /// Peak, in bytes.
    pub memory: u64,
    /// HTTP status.
    pub status: u16,
}

impl Slot {
    /// A slot for its worker.
    #[must_use]
    pub(crate) fn new(scoreboard: Scoreboard, totals: Totals, index: u32) -> Self {
        Self { scoreboard, totals, index, active: Cell::new(false) }
    }

    /// Its number.
    #[must_use]
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// Since when this worker is idle, in microseconds of the monotonic clock; not valid inside a request.
    #[must_use]
    pub(crate) fn idle_since(&self) -> u64 {
        self.scoreboard.read(self.index, Word::Since)
    }

    /// How many other workers have been idle since that time, in microseconds of the monotonic clock. Looks at a few of them.
    #[must_use]
    pub(crate) fn resting(&self, since: u64) -> u32 {
        const LOOKS: u32 = 16;
        let all = self.scoreboard.slots();
        let others = (1..=LOOKS.min(all.saturating_sub(1))).map(|n| (self.index + n) % all);
        others.map(|slot| u32::from(self.scoreboard.rests(slot, since))).sum()
    }

    /// How many workers the pool has.
    #[must_use]
    pub(crate) fn workers(&self) -> u32 {
        let all = 0..self.scoreboard.slots();
        all.map(|slot| u32::from(self.scoreboard.read(slot, Word::Pid) != 0)).sum()
    }

    /// Publishes that the worker exists.
    pub(crate) fn open(&self, pid: u32, started: u64) {
        self.set(Word::Started, started);
        self.set(Word::Pid, u64::from(pid));
    }

    fn set(&self, word: Word, value: u64) {
        self.scoreboard.word(self.index, word).store(value, Ordering::Relaxed);
    }

    /// Publishes what the worker does.
    pub(crate) fn stage(&self, stage: Stage) {
        if stage == Stage::Idle {
            self.set(Word::Since, clock::micros());
            if self.active.replace(false) {
                self.totals.leave();
            }
        }
        self.scoreboard.word(self.index, Word::Stage).store(stage as u64, Ordering::SeqCst);
    }

    /// A request begins at this moment of the monotonic clock, in microseconds.
    pub(crate) fn begin(&self, now: u64) {
        self.set(Word::Accepted, now);
        self.set(Word::Since, now);
        // A request that never ends must not show values of the one before.
        for word in [Word::Duration, Word::Cpu, Word::Memory, Word::ContentLength] {
            self.set(word, 0);
        }
        self.scoreboard.texts(self.index).clear();
        if !self.active.replace(true) {
            self.totals.enter(u64::from(self.scoreboard.slots()));
        }
        self.totals.add(Counter::Requests, 1);
        self.stage(Stage::Reading);
        // After the stage: a reader that sees the new number must not see the worker idle.
        let requests = self.scoreboard.read(self.index, Word::Requests).wrapping_add(1);
        self.scoreboard.word(self.index, Word::Requests).store(requests, Ordering::Release);
    }

    /// Takes back `begin`: the request is set aside, and will begin again when it is complete.
    pub(crate) fn put_aside(&self) {
        self.totals.take_back(Counter::Requests);
        self.stage(Stage::Idle);
    }

    /// Publishes the client and the request.
    pub(crate) fn describe(&self, request: &Description<'_>) {
        self.set(Word::ContentLength, request.content_length);
        self.scoreboard.texts(self.index).write(request);
    }

    /// Publishes the ids of the request. `None`: they are not known yet.
    pub(crate) fn identify(&self, ids: Option<&RequestIds>) {
        let Some(place) = self.scoreboard.ids(self.index) else { return };
        match ids {
            Some(ids) => place.write(ids),
            None => place.clear(),
        }
    }

    /// Publishes how the request went.
    pub(crate) fn end(&self, ended: Ended) {
        self.set(Word::Duration, ended.duration);
        self.set(Word::Cpu, ended.cpu);
        self.set(Word::Memory, ended.memory);
        self.totals.raise(Counter::MemoryPeak, ended.memory);
        self.totals.ended(ended.status, ended.duration);
    }

    /// Publishes that the worker exits because of a limit.
    pub(crate) fn reached(&self, reason: ExitReason) {
        self.set(Word::Reached, reason as u64 + 1);
    }

    /// Publishes how many bytes of memory only this worker uses.
    pub(crate) fn note_private_memory(&self, bytes: u64) {
        self.set(Word::Private, bytes);
    }

    /// Whether the supervisor wants this worker to take nothing new.
    #[must_use]
    pub(crate) fn drain_asked(&self) -> bool {
        self.scoreboard.drain_asked(self.index)
    }

    /// If the pool, or some of its sockets, will not exist in the next generation: a bit for each listening socket
    /// that is about to be closed. Sockets above number 31 share the last bit.
    #[must_use]
    pub(crate) fn closing(&self) -> Option<u32> {
        let word = self.scoreboard.word(self.index, Word::Closing).load(Ordering::SeqCst);
        (word & CLOSING_ANNOUNCED != 0).then(|| u32::try_from(word & !CLOSING_ANNOUNCED).unwrap_or(0))
    }

    /// Adds one to a counter.
    pub(crate) fn count(&self, counter: Counter) {
        self.totals.add(counter, 1);
    }

    /// The whole scoreboard.
    #[must_use]
    pub(crate) fn scoreboard(&self) -> &Scoreboard {
        &self.scoreboard
    }

    /// The pool's totals.
    #[must_use]
    pub(crate) fn totals(&self) -> &Totals {
        &self.totals
    }
}

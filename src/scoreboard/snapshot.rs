//! Reads the shared memory into the plain values of a status page.

use std::sync::atomic::Ordering;

use super::counter::Counter;
use super::slots::{Scoreboard, Word};
use super::totals::Totals;
use crate::plan::watch::{Phase, Seen};
use crate::request::Stage;
use crate::request_ids::RequestIds;
use crate::status::{Process, Snapshot};
use crate::sys::clock;

impl Scoreboard {
    /// The present state of the pool. The caller fills in its name, `pm` and the memory peak.
    #[must_use]
    pub(crate) fn snapshot(&self, totals: &Totals) -> Snapshot {
        let now = clock::micros();
        let processes: Vec<Process> = (0..self.slots).filter_map(|slot| self.process(slot, now)).collect();
        let count = |is_idle: bool| processes.iter().filter(|p| (p.stage == Stage::Idle) == is_idle).count() as u64;
        let (idle, active) = (count(true), count(false));
        Snapshot {
            now: clock::wall_seconds(),
            started: totals.get(Counter::Started),
            requests: totals.get(Counter::Requests),
            queue: totals.get(Counter::Queue),
            queue_max: totals.get(Counter::QueueMax),
            queue_limit: totals.get(Counter::QueueLimit),
            idle,
            active,
            active_max: totals.get(Counter::ActiveMax).max(active),
            limit_reached: totals.get(Counter::LimitReached),
            slow: totals.get(Counter::Slow),
            incomplete: totals.get(Counter::Incomplete),
            abandoned: totals.get(Counter::Abandoned),
            processes,
            ..Snapshot::default()
        }
    }

    /// The worker of that slot, if there is one.
    #[must_use]
    pub(crate) fn worker(&self, slot: u32) -> Option<Process> {
        self.process(slot, clock::micros())
    }

    /// The same with the ids of its request, if it is inside of one that has ids.
    #[must_use]
    pub(crate) fn identified_worker(&self, slot: u32) -> Option<(Process, Option<RequestIds>)> {
        let before = self.requests(slot);
        let (process, ids) = (self.worker(slot)?, self.present_ids(slot));
        // Not those of the next request.
        Some((process, ids.filter(|_| self.requests(slot) == before)))
    }

    /// The ids of the request that the worker of that slot is inside of.
    #[must_use]
    pub(crate) fn present_ids(&self, slot: u32) -> Option<RequestIds> {
        self.ids(slot).filter(|_| self.is_busy(slot))?.read()
    }

    /// The request that the worker of that slot is inside of.
    #[must_use]
    pub(crate) fn request(&self, slot: u32) -> Option<Seen> {
        let phase = match stage_of(self.word(slot, Word::Stage).load(Ordering::SeqCst)) {
            Stage::Creating | Stage::Idle => return None,
            Stage::Reading | Stage::Info => Phase::Begun,
            Stage::Running => Phase::Running,
            Stage::Ending | Stage::Finishing | Stage::Answered => Phase::Finished,
        };
        Some(Seen { accepted: self.read(slot, Word::Accepted), phase })
    }

    /// How many requests the worker of that slot has begun.
    #[must_use]
    pub(crate) fn requests(&self, slot: u32) -> u64 {
        self.word(slot, Word::Requests).load(Ordering::Acquire)
    }

    fn process(&self, slot: u32, now: u64) -> Option<Process> {
        let pid = self.word(slot, Word::Pid).load(Ordering::Acquire);
        if pid == 0 {
            return None;
        }
        let stage = stage_of(self.word(slot, Word::Stage).load(Ordering::Acquire));
        let idle = stage == Stage::Idle;
        let ended = self.read(slot, Word::Duration);
        let [method, uri, query, user, script] = self.texts(slot).read();
        Some(Process {
            pid,
            stage,
            started: self.read(slot, Word::Started),
            requests: self.read(slot, Word::Requests),
            duration: if idle { ended } else { now.saturating_sub(self.read(slot, Word::Accepted)) },
            method,
            uri,
            query,
            user,
            script,
            content_length: self.read(slot, Word::ContentLength),
            cpu: if idle { percent(self.read(slot, Word::Cpu), ended) } else { 0.0 },
            memory: if idle { self.read(slot, Word::Memory) } else { 0 },
        })
    }
}

pub(super) fn stage_of(word: u64) -> Stage {
    use Stage::{Answered, Creating, Ending, Finishing, Idle, Info, Reading, Running};
    let all = [Creating, Idle, Reading, Info, Running, Ending, Finishing, Answered];
    all.into_iter().find(|stage| *stage as u64 == word).unwrap_or(Creating)
}

#[allow(clippy::cast_precision_loss, reason = "a percentage of two places")]
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

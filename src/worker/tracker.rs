//! Tracks the worker's present request, for the scoreboard and the access log.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;

use super::access_log::{AccessLog, Timing};
use super::monitored::Monitored;
use crate::config::{PoolConfig, ProcessManager};
use crate::engine::Tracker;
use crate::ipc::handover;
use crate::log;
use crate::request::{Description, NotRun, Outcome, Stage};
use crate::request_ids::RequestIds;
use crate::scoreboard::{Counter, Ended, Scoreboard, Slot, Totals};
use crate::status::{Group, Snapshot};
use crate::sys::clock;

/// The pool that a status page shows, if it isn't the worker's own.
#[derive(Debug)]
pub(crate) struct ShownPool {
    /// Its scoreboard.
    pub scoreboard: Scoreboard,
    /// Its counters.
    pub totals: Totals,
    /// Its name.
    pub name: String,
    /// Its `pm`.
    pub manager: ProcessManager,
    /// Its hand-over queue, only to count what waits in it.
    pub queue: OwnedFd,
}

/// What a status page shows of the pool that isn't in shared memory.
#[derive(Debug)]
struct Caption {
    name: String,
    manager: &'static str,
    memory_peak: bool,
    group: Group,
}

/// The largest sum of rounding errors of clocks in microseconds: a duration, and the user and system times of a
/// process and of its children.
const ROUNDING: u64 = 5;

/// The tracker of a worker, which writes to its slot.
pub(super) struct RequestTracker {
    slot: Rc<Slot>,
    shown: Option<ShownPool>,
    caption: Caption,
    /// The hand-over queue of the worker's own pool, only to count what waits in it.
    queue: Rc<OwnedFd>,
    /// CPU times are always measured.
    measured: bool,
    /// The access log shows CPU times, perhaps user and system time apart. Without it, their sum counts as user time.
    apart: bool,
    request: Cell<Request>,
    /// Requests have ids (`log.request_id`).
    identifies: bool,
    ids: Cell<Option<RequestIds>>,
    /// What is measured for the monitor.
    monitored: Monitored,
    access_log: Option<RefCell<AccessLog>>,
}

/// Times of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Request {
    /// When it began, in microseconds of the monotonic clock.
    accepted: u64,
    /// The same in seconds since 1970; only for the access log.
    accepted_at: u64,
    /// The CPU times of the process at that time; `None` if they aren't measured.
    cpu: Option<(u64, u64)>,
}

impl RequestTracker {
    /// The tracker for a worker of that pool. `memory_peak`: php-fpm of this PHP version shows the memory peak.
    pub(super) fn new(
        slot: Rc<Slot>,
        (pool, group): (&PoolConfig, Group),
        queue: Rc<OwnedFd>,
        shown: Option<ShownPool>,
        memory_peak: bool,
        access_log: Option<AccessLog>,
    ) -> Self {
        let (name, manager) = match &shown {
            Some(shown) => (shown.name.clone(), shown.manager),
            None => (pool.name.clone(), pool.pm),
        };
        let caption = Caption { name, manager: manager.name(), memory_peak, group };
        let apart = access_log.as_ref().is_some_and(AccessLog::wants_cpu);
        Self {
            slot,
            shown,
            caption,
            queue,
            measured: pool.pm_status_path.is_some() || apart,
            apart,
            request: Cell::default(),
            identifies: pool.log_request_id.is_some(),
            ids: Cell::new(None),
            monitored: Monitored::default(),
            access_log: access_log.map(RefCell::new),
        }
    }

    /// The following requests come on this connection.
    pub(super) fn attached(&self, connection: BorrowedFd<'_>) {
        self.monitored.attached(self.slot.totals(), connection);
        if let Some(log) = &self.access_log {
            log.borrow_mut().attached(connection);
        }
    }

    /// The first byte of a request has arrived. Returns the time.
    pub(super) fn begin(&self) -> u64 {
        let accepted = clock::micros();
        self.slot.begin(accepted);
        if self.identifies {
            self.set_ids(None);
        }
        let accepted_at = if let Some(log) = &self.access_log {
            log.borrow_mut().begin();
            clock::wall_seconds()
        } else {
            0
        };
        // Read last here, and first at the end of the request, so that the CPU time of a single thread is never more
        // than the duration.
        let cpu = self.wants_cpu().then(|| self.cpu());
        self.request.set(Request { accepted, accepted_at, cpu });
        accepted
    }

    /// The parameters of the request have arrived, with these ids.
    pub(super) fn identified(&self, ids: RequestIds) {
        self.set_ids(Some(ids));
    }

    fn set_ids(&self, ids: Option<RequestIds>) {
        self.slot.identify(ids.as_ref());
        self.ids.set(ids);
        log::set_request(ids);
    }

    /// The worker waits: the request has ended, or the bytes that came began none.
    pub(super) fn idle(&self) {
        self.slot.stage(Stage::Idle);
        if self.identifies {
            self.ids.set(None);
            log::set_request(None);
        }
    }

    /// After a request, when the worker is idle: measures for the monitor what is due. Returns whether the numbers of the opcode cache
    /// are due, which the caller then notes.
    #[must_use]
    pub(super) fn measure(&self) -> bool {
        self.monitored.measure(&self.slot)
    }

    /// The request that has begun to arrive is set aside, and will begin again.
    pub(super) fn put_aside(&self) {
        self.slot.put_aside();
    }

    /// Whether php-fpm is about to stop or reload, so that no client should send more.
    pub(super) fn is_stopping(&self) -> bool {
        self.slot.totals().get(Counter::Leaving) != 0
    }

    fn wants_cpu(&self) -> bool {
        self.measured || self.slot.totals().get(Counter::Watched) != 0
    }

    fn cpu(&self) -> (u64, u64) {
        if self.apart { clock::cpu_times() } else { (clock::cpu_time(), 0) }
    }

    /// Duration, and user and system time, of the request so far, in microseconds. Measured from the beginning of
    /// this request, because the shutdown functions of the request before have run after its outcome was reported.
    fn times(&self) -> (u64, (u64, u64)) {
        let Request { accepted, cpu, .. } = self.request.get();
        let now = cpu.map(|_| self.cpu());
        let duration = clock::micros().saturating_sub(accepted);
        let used = cpu.zip(now).map(|(begun, now)| (now.0.saturating_sub(begun.0), now.1.saturating_sub(begun.1)));
        (duration, without_rounding(duration, used.unwrap_or_default()))
    }
}

/// Removes rounding errors: a single thread doesn't use more CPU time than the duration. Children and further threads
/// may.
fn without_rounding(duration: u64, (user, system): (u64, u64)) -> (u64, u64) {
    match (user + system).saturating_sub(duration) {
        excess @ 1..=ROUNDING => (user - excess.min(user), system - (excess - excess.min(user)).min(system)),
        _ => (user, system),
    }
}

impl Drop for RequestTracker {
    fn drop(&mut self) {
        self.monitored.leave(self.slot.totals());
    }
}

impl Tracker for RequestTracker {
    fn stage(&self, stage: Stage) {
        self.slot.stage(stage);
    }

    fn describe(&self, request: &Description<'_>) {
        self.slot.describe(request);
        if let Some(log) = &self.access_log {
            log.borrow_mut().described(request);
        }
    }

    fn outcome(&self, outcome: &Outcome<'_>) {
        let (duration, (user, system)) = self.times();
        let status = outcome.status;
        self.slot.end(Ended { duration, cpu: user + system, memory: outcome.memory_peak, status });
        self.monitored.ended(self.slot.totals(), duration, outcome.variable);
        if let Some(log) = &self.access_log {
            let timing = Timing { accepted: self.request.get().accepted_at, duration, cpu: (user, system) };
            log.borrow_mut().ended(outcome, timing, self.ids.get(), self.slot.totals().get(Counter::Reopened));
        }
    }

    fn not_run(&self, why: NotRun) {
        self.slot.count(match why {
            NotRun::Incomplete => Counter::Incomplete,
            NotRun::Abandoned => Counter::Abandoned,
        });
    }

    fn setting_refused(&self) -> Option<u64> {
        self.slot.totals().refuse_setting(clock::now())
    }

    fn pool_status(&self) -> Option<Snapshot> {
        let (scoreboard, totals, queue) = match &self.shown {
            Some(shown) => (&shown.scoreboard, &shown.totals, &shown.queue),
            None => (self.slot.scoreboard(), self.slot.totals(), &*self.queue),
        };
        totals.set(Counter::Watched, 1);
        let mut snapshot = scoreboard.snapshot(totals);
        // A request may also wait in the hand-over queue: its connection was accepted and parked before the request
        // came.
        snapshot.queue += handover::waiting(queue);
        totals.raise(Counter::QueueMax, snapshot.queue);
        snapshot.queue_max = snapshot.queue_max.max(snapshot.queue);
        Some(Snapshot {
            pool: self.caption.name.clone(),
            manager: self.caption.manager,
            memory_peak: self.caption.memory_peak.then(|| totals.get(Counter::MemoryPeak)),
            group: Some(Group { outdated: totals.get(Counter::Outdated) != 0, ..self.caption.group.clone() }),
            ..snapshot
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_makes_no_more_than_all_of_the_time() {
        assert_eq!(without_rounding(100, (60, 43)), (57, 43));
        assert_eq!(without_rounding(100, (2, 103)), (0, 100));
        assert_eq!(without_rounding(0, (1, 1)), (0, 0));
        for more in [(60, 40), (60, 46), (300, 1), (0, 0)] {
            assert_eq!(without_rounding(100, more), more, "all that was measured");
        }
    }
}

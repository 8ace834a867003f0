//! Requests that take too long: looked at when the first of them can be due, whatever goal and generation.

use super::{Action, Fleet, PoolState, Stop, View, WorkerKey};
use crate::plan::watch::{Order, SOONEST};
use crate::sys::clock::Millis;

/// A request is looked at once a second at least: it may have been read for long before its script runs.
const SELDOM: u64 = 1_000;

impl Fleet {
    pub(super) fn watch_requests(&mut self, now: Millis, view: &dyn View, out: &mut Vec<Action>) {
        if now < self.next_watch || self.watch_due().is_none() {
            return;
        }
        let mut next = now.plus(SELDOM);
        for key in self.limited_workers() {
            let Some(pool) = self.pool_mut(key) else { continue };
            let (limits, seen) = (pool.limits, view.request(key));
            let Some(worker) = pool.workers.get_mut(&key.slot) else { continue };
            if let Some(order) = worker.watch.look(now, &limits, seen) {
                out.push(carry_out(order, key));
            }
            let begins = limits.shortest().map(|limit| now.plus(limit));
            next = begins.into_iter().chain(worker.watch.due(&limits, seen)).fold(next, Millis::min);
        }
        self.next_watch = next.max(now.plus(SOONEST));
    }

    /// When requests are next to be looked at, if any pool limits them and has workers.
    pub(super) fn watch_due(&self) -> Option<Millis> {
        let mut pools = self.generations.iter().flat_map(super::Generation::pools);
        pools.any(PoolState::watches).then_some(self.next_watch)
    }

    fn limited_workers(&self) -> Vec<WorkerKey> {
        let limited = |(key, _): &(WorkerKey, _)| self.pool(*key).is_some_and(PoolState::watches);
        self.workers().filter(limited).map(|(key, _)| key).collect()
    }

    pub(super) fn reported(&mut self, now: Millis, key: WorkerKey) {
        if let Some(worker) = self.worker_mut(key) {
            worker.watch.reported(now);
            self.next_watch = now;
        }
    }
}

impl PoolState {
    fn watches(&self) -> bool {
        self.limits.any() && !self.workers.is_empty()
    }
}

fn carry_out(order: Order, key: WorkerKey) -> Action {
    match order {
        Order::Trace => Action::Slow(key),
        Order::Report => Action::TimedOut(key),
        Order::Terminate => Action::Signal(key, Stop::Term),
        Order::Kill => Action::Signal(key, Stop::Kill),
    }
}

//! Requests that take too long. Slots are looked at when the first request can be due, in each generation and also during a stop.

use std::time::Duration;

use crate::plan::fleet::action::{Action, Stop};
use crate::plan::fleet::keys::WorkerKey;
use crate::plan::fleet::members::Generation;
use crate::plan::fleet::pool::PoolState;
use crate::plan::fleet::state::Fleet;
use crate::plan::fleet::view::View;
use crate::plan::watch::{Order, SOONEST};
use crate::sys::clock::Moment;

/// Slots are looked at once a second at least: a request counts from its accept on, but shows only when it has been read.
const SELDOM: Duration = Duration::from_secs(1);

impl Fleet {
    pub(super) fn watch_requests(&mut self, now: Moment, view: &dyn View, out: &mut Vec<Action>) {
        if now < self.next_watch || self.watch_due().is_none() {
            return;
        }
        let mut next = now + SELDOM;
        for key in self.limited_workers() {
            let Some(pool) = self.pool_mut(key) else { continue };
            let (limits, seen) = (pool.limits, view.request(key));
            let Some(worker) = pool.workers.get_mut(&key.slot) else { continue };
            if let Some(order) = worker.watch.look(now, &limits, seen) {
                out.push(action(order, key));
            }
            let begins = limits.shortest().map(|limit| now + limit);
            next = begins.into_iter().chain(worker.watch.due(&limits, seen)).fold(next, Moment::min);
        }
        self.next_watch = next.max(now + SOONEST);
    }

    /// When requests are next to be looked at, if any pool limits them and has workers.
    pub(super) fn watch_due(&self) -> Option<Moment> {
        let mut pools = self.generations.iter().flat_map(Generation::pools);
        pools.any(PoolState::watches).then_some(self.next_watch)
    }

    fn limited_workers(&self) -> Vec<WorkerKey> {
        let limited = |(key, _): &(WorkerKey, _)| self.pool(*key).is_some_and(PoolState::watches);
        self.workers().filter(limited).map(|(key, _)| key).collect()
    }

    pub(super) fn reported(&mut self, now: Moment, key: WorkerKey) {
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

fn action(order: Order, key: WorkerKey) -> Action {
    match order {
        Order::Trace => Action::Slow(key),
        Order::Report => Action::TimedOut(key),
        Order::Terminate => Action::Signal(key, Stop::Term),
        Order::Kill => Action::Signal(key, Stop::Kill),
    }
}

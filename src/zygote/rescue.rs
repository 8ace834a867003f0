//! How a zygote takes the idle connections of workers that are inside a long request or have ended, so that other workers serve them.
#![forbid(unsafe_code)]

use std::os::fd::{AsFd, OwnedFd};

use super::retained::Seen;
use super::state::Zygote;
use crate::ipc::handover::ConnectionState;
use crate::ipc::retained::{Holders, RetainedPlace};
use crate::plan::retained::{self, Activity, Holder, Step};
use crate::sys::clock::Moment;
use crate::sys::socket;

impl Zygote {
    /// A worker retains a connection from now on. Beyond half of the descriptors that the zygote may have, it is parked instead.
    pub(super) fn note_retained(&mut self, now: Moment, pool: usize, place: RetainedPlace, copy: OwnedFd) {
        let holders = &self.pools[pool].holders;
        if !holders.has(place) || holders.holder(place) == Holder::Nobody {
            return;
        }
        let most = usize::try_from(self.nofile.soft / 2).unwrap_or(usize::MAX);
        let full = self.retained.len() + self.parking.len() >= most;
        if full && (holders.take(place) || holders.holder(place) == Holder::Zygote) {
            return self.accept_retained(now, (pool, place), copy);
        }
        // A worker that serves it needs the copy later. The number of places limits these.
        self.retained.add((pool, place.slot), place, copy);
        self.retained.next_look.get_or_insert(now + retained::LONG_REQUEST);
    }

    /// Looks at all retained connections if it is time. Returns when to look again.
    pub(super) fn look_at_retained(&mut self, now: Moment) -> Option<Moment> {
        if std::mem::take(&mut self.retained.left) {
            for worker in self.retained.workers() {
                self.settle(now, worker, Activity::Serving);
            }
        }
        if self.retained.next_look? > now {
            return self.retained.next_look;
        }
        let mut begun = false;
        for (pool, slot) in self.retained.workers() {
            let scoreboard = &self.pools[pool].scoreboard;
            let seen = Seen { busy: scoreboard.is_busy(slot), requests: scoreboard.requests(slot) };
            let Some(worker) = self.retained.get_mut((pool, slot)) else { continue };
            let same = worker.seen.replace(seen) == Some(seen);
            let awaited = same && !seen.busy && has_input(&worker.copies);
            let awaited_before = std::mem::replace(&mut worker.awaited, awaited);
            begun |= (seen.busy && !same) || awaited;
            let activity = match (same, seen.busy) {
                (true, true) => Activity::InLongRequest,
                (true, false) if awaited && awaited_before => Activity::NotServing,
                _ => Activity::Serving,
            };
            self.settle(now, (pool, slot), activity);
        }
        self.retained.next_look = (self.retained.len() > 0).then(|| now + retained::pause(begun));
        self.retained.next_look
    }

    /// A worker has left connections.
    pub(super) fn look_for_left(&mut self) {
        self.retained.left = true;
    }

    /// A worker has ended: parks the connections that it did not serve.
    pub(super) fn settle_retained_of_dead(&mut self, now: Moment, pool: usize, slot: u32) {
        self.settle(now, (pool, slot), Activity::Ended);
    }

    /// Takes what no worker serves. Called before the zygote exits.
    pub(super) fn settle_all_retained(&mut self, now: Moment) {
        for worker in self.retained.workers() {
            self.settle(now, worker, Activity::InLongRequest);
        }
    }

    fn settle(&mut self, now: Moment, (pool, slot): (usize, u32), activity: Activity) {
        let holders = &self.pools[pool].holders;
        for (place, copy) in self.retained.take_out((pool, slot), |place| settled(holders, place, activity)) {
            match self.pools[pool].holders.holder(place) {
                Holder::Zygote => self.accept_retained(now, (pool, place), copy),
                // Other workers that have had it may still have it open.
                Holder::Busy if activity == Activity::Ended => socket::end(&copy),
                Holder::Idle | Holder::Busy | Holder::Nobody => {}
            }
        }
    }

    fn accept_retained(&mut self, now: Moment, (pool, place): (usize, RetainedPlace), copy: OwnedFd) {
        self.pools[pool].holders.accept(place);
        self.keep(now, pool, (copy, ConnectionState::BetweenRequests), Some(place));
    }
}

/// Whether the worker does not retain that connection any more: the zygote takes it, or closes its copy.
fn settled(holders: &Holders, place: RetainedPlace, activity: Activity) -> bool {
    match retained::step(holders.holder(place), activity) {
        Step::Wait => false,
        // If this fails, the worker has begun to serve it.
        Step::Take => holders.take(place) || activity == Activity::Ended,
        Step::Watch | Step::Close => true,
    }
}

fn has_input(copies: &[(RetainedPlace, OwnedFd)]) -> bool {
    socket::any_has_input(copies.iter().map(|(_, copy)| copy.as_fd()))
}

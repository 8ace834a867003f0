//! While a worker serves a long request, its zygote takes over the idle connections that the worker keeps, and parks them: bytes that
//! arrive there go to another worker.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::kept::Watch;
use super::pool::ZygotePool;
use super::state::Zygote;
use crate::ipc::handover::ConnectionState;
use crate::ipc::kept::{KeptMessage, MOST};
use crate::sys::clock::{self, Moment};

/// A request that takes longer than this makes the zygote take over its worker's other connections. The zygote looks this often, so
/// those wait at most twice as long.
const LONG: Duration = Duration::from_millis(2);
/// After so many looks at which no worker was inside a request, the zygote stops until a worker asks for it.
const QUIET: u32 = 3;

impl Zygote {
    /// A worker of that pool has sent this.
    pub(super) fn hear_kept(&mut self, now: Moment, pool: usize, message: KeptMessage) {
        match message {
            KeptMessage::Offered(offer, connection) => {
                let exists = self.children.find(pool, offer.slot).is_some();
                if exists && usize::try_from(offer.place).is_ok_and(|place| place < MOST) {
                    self.kept.offer(pool, offer, connection);
                }
            }
            KeptMessage::Returned(offer) => {
                if let Some(connection) = self.kept.end(pool, offer) {
                    self.keep(now, pool, (connection, ConnectionState::BetweenRequests));
                }
            }
            KeptMessage::Dropped(offer) => drop(self.kept.end(pool, offer)),
            KeptMessage::Watch => {
                self.kept.watch.get_or_insert(Watch { next: now + LONG, quiet: 0 });
            }
        }
    }

    /// Takes over the connections of workers whose requests take long. Returns when to look again.
    pub(super) fn watch_kept(&mut self, now: Moment) -> Option<Moment> {
        let watch = self.kept.watch?;
        if watch.next > now {
            return Some(watch.next);
        }
        let any = self.take_over_from_busy(now);
        let quiet = if any { 0 } else { watch.quiet + 1 };
        let mut goes_on = quiet < QUIET;
        if !goes_on {
            self.set_watched(false);
            // A worker that has begun a request in the meantime may still have seen that the zygote watches.
            goes_on = self.kept.workers().into_iter().any(|(pool, slot)| self.pools[pool].scoreboard.is_busy(slot));
            if goes_on {
                self.set_watched(true);
            }
        }
        let next = now + LONG;
        self.kept.watch = goes_on.then_some(Watch { next, quiet });
        goes_on.then_some(next)
    }

    fn set_watched(&self, watched: bool) {
        self.pools.iter().for_each(|p| p.kept.set_watched(watched));
    }

    /// Returns whether any worker that keeps connections is inside a request.
    fn take_over_from_busy(&mut self, now: Moment) -> bool {
        let mut any = false;
        for (pool, slot) in self.kept.workers() {
            let ZygotePool { scoreboard, kept: table, .. } = &self.pools[pool];
            if !scoreboard.is_busy(slot) {
                continue;
            }
            any = true;
            if clock::micros().saturating_sub(scoreboard.begun(slot)) >= u64::try_from(LONG.as_micros()).unwrap_or(0) {
                for connection in self.kept.remove(pool, slot, |offer| table.take(offer)) {
                    self.keep(now, pool, (connection, ConnectionState::BetweenRequests));
                }
            }
        }
        any
    }

    /// A worker has ended. Its clients that wait for no answer have lost nothing: their connections are parked.
    pub(super) fn inherit_kept(&mut self, now: Moment, pool: usize, slot: u32) {
        let table = &self.pools[pool].kept;
        for connection in self.kept.remove(pool, slot, |offer| table.take(offer)) {
            self.keep(now, pool, (connection, ConnectionState::BetweenRequests));
        }
        drop(self.kept.remove(pool, slot, |_| true));
    }
}

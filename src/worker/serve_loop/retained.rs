//! How a worker serves the connections that it retains.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use super::ServeLoop;
use super::connections::LAST_REQUEST;
use crate::engine::Engine;
use crate::ipc::handover::ConnectionState;
use crate::plan::retained::{AT_ONCE, RESTING, SHOW_DEMAND, surplus};
use crate::sys::clock;

impl<E: Engine> ServeLoop<'_, E> {
    /// Puts the connection in the exchange away: it stays here, so that its next request costs no more than this one, or is parked.
    pub(super) fn put_away(&mut self) {
        self.rest_current();
        if self.exchange.connection().is_none() {
            return;
        }
        if self.first_byte_until.is_none() && !self.is_leaving() {
            self.retain_held();
        } else {
            self.park_held();
        }
        // In the middle of a record, it cannot be put away.
        if self.exchange.connection().is_some() {
            self.close_held();
        }
    }

    /// Puts the connection in the exchange back to the retained ones, if it is one of them. One that is in the middle of a record stays in the
    /// exchange and is retained no longer.
    pub(super) fn rest_current(&mut self) {
        if !self.retained.has_current() || self.control.is_zygote_gone() {
            return;
        }
        if let Some(fd) = self.exchange.detach() {
            self.retained.rest(fd);
        } else if let Some(fd) = self.exchange.connection() {
            self.retained.pass_on(fd);
        }
    }

    fn retain_held(&mut self) {
        let listed = self.sources.is_listed();
        let Some(fd) = self.exchange.detach() else { return };
        self.sources.forget_held();
        if let Err(fd) = self.retained.retain(fd, listed, &self.intake.queues().park) {
            self.park((fd, ConnectionState::BetweenRequests));
        }
    }

    /// Serves the retained connections of which `ready` has a bit. If other workers have nothing to do, they get some of them.
    pub(super) fn serve_retained(&mut self, mut ready: u32) {
        if ready == 0 {
            return;
        }
        let mut surplus = self.surplus(ready.count_ones());
        while ready != 0 && !self.is_leaving() {
            let index = ready.trailing_zeros();
            ready &= ready - 1;
            self.put_away();
            let Some(fd) = self.retained.claim(index) else { continue };
            if surplus > 0 {
                surplus -= 1;
                self.retained.pass_on(&fd);
                self.pass((fd, ConnectionState::BetweenRequests));
            } else {
                self.serve_claimed(fd);
                // Others may have become idle meanwhile.
                surplus = if ready == 0 { 0 } else { self.surplus(ready.count_ones()) };
            }
        }
    }

    fn serve_claimed(&mut self, fd: OwnedFd) {
        self.hold((fd, ConnectionState::BetweenRequests));
        self.serve();
    }

    /// How many of the connections that are ready to be read are passed on.
    fn surplus(&mut self, ready: u32) -> u32 {
        let now = clock::micros();
        let waited = now.saturating_sub(self.slot.idle_since()) < micros(AT_ONCE);
        if ready < 2 && !waited {
            return 0;
        }
        let resting = self.slot.resting(now.saturating_sub(micros(RESTING)));
        let asks = self.grows_to > 0 && resting == 0 && now >= self.shows_demand_at;
        if asks {
            self.shows_demand_at = now + micros(SHOW_DEMAND);
        }
        let grows = asks && self.slot.workers() < self.grows_to;
        surplus(ready, resting, waited) + u32::from(grows)
    }

    /// Before the worker exits: serves the requests that have arrived on retained connections, if no other worker will. Leaves the connections
    /// to the zygote.
    pub(super) fn leave_retained(&mut self, last: bool) {
        self.put_away();
        if self.control.is_zygote_gone() {
            return self.see_off_retained();
        }
        let mut ready = if last && !self.spent { self.retained.with_input() } else { 0 };
        while ready != 0 {
            let index = ready.trailing_zeros();
            ready &= ready - 1;
            if let Some(fd) = self.retained.claim(index) {
                self.serve_claimed(fd);
                self.put_away();
            }
        }
        self.give_retained();
    }

    /// Leaves all retained connections to the zygote.
    pub(super) fn give_retained(&mut self) {
        if !self.retained.is_empty() {
            self.retained.give_all();
            self.intake.queues().tell_of_left();
        }
    }

    /// The zygote has gone, so no other process will serve these connections. As `see_off`, but for all of them at the same time.
    fn see_off_retained(&mut self) {
        let end = Instant::now() + LAST_REQUEST;
        while !self.spent && !self.retained.is_empty() && Instant::now() < end {
            let ready = self.retained.with_input();
            if ready == 0 {
                std::thread::sleep(Duration::from_millis(5));
            } else if let Some(fd) = self.retained.claim(ready.trailing_zeros()) {
                self.serve_claimed(fd);
                self.close_held();
            }
        }
        self.retained.close_all();
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

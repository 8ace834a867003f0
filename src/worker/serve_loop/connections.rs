//! The connections of a worker: how they are held, kept, closed, parked or handed over.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::{ServeLoop, partial};
use crate::engine::Engine;
use crate::exchange::Arrival;
use crate::ipc::handover::{Connection, ConnectionState};
use crate::scoreboard::Counter;
use crate::sys::socket;

/// How long a worker waits for requests on connections that no other process will take.
pub(super) const LAST_REQUEST: Duration = Duration::from_secs(1);
/// After a request that took longer, other connections with bytes go to idle workers.
const LONG: u64 = 500;

impl<E: Engine> ServeLoop<'_, E> {
    pub(super) fn hold(&mut self, (fd, state): Connection) {
        self.fresh = matches!(state, ConnectionState::New);
        self.first_byte_until = None;
        self.tracker.attached(fd.as_fd());
        match state {
            ConnectionState::BetweenRequests | ConnectionState::New => self.exchange.attach(fd),
            ConnectionState::Partial(request) => partial::resume(&mut self.exchange, fd, request),
        }
    }

    pub(super) fn close_held(&mut self) {
        self.exchange.close();
        self.tracker.idle();
    }

    /// Parks the held connection. If the zygote has gone, the client may still send a request, which is then served
    /// here.
    pub(super) fn park_held(&mut self) {
        if let Some(held) = self.exchange.connection() {
            self.kept.unlist(held);
        }
        let state = if self.fresh { ConnectionState::New } else { ConnectionState::BetweenRequests };
        let Some(fd) = self.exchange.detach() else { return };
        match self.intake.queues().park((fd, state)) {
            Ok(()) => self.slot.count(Counter::Parked),
            Err(connection) => self.see_off(vec![connection]),
        }
    }

    /// Parks all connections: this worker leaves.
    pub(super) fn park_all(&mut self) {
        self.put_down();
        let left = self.kept.give_back();
        self.see_off(left);
        self.park_held();
    }

    /// Makes room in the exchange for another connection. The present one is kept, or parked if no byte has arrived on it yet.
    pub(super) fn put_down(&mut self) {
        let Some(held) = self.exchange.connection() else { return };
        if self.fresh || !self.kept.list(held) {
            return self.park_held();
        }
        match self.exchange.detach() {
            Some(fd) => self.kept.put_down(fd),
            None => self.close_held(),
        }
    }

    /// Serves the kept connections of these places, which have bytes or were closed.
    pub(super) fn serve_kept(&mut self, ready: u64) {
        let mut ready = self.share(ready);
        while ready != 0 && !self.is_leaving() {
            let at = ready.trailing_zeros();
            ready &= ready - 1;
            if !self.hold_kept(at as usize) {
                continue;
            }
            self.serve();
            ready = self.share(ready);
        }
    }

    fn hold_kept(&mut self, at: usize) -> bool {
        if self.kept.is_current(at) {
            let claimed = self.exchange.connection().is_some_and(|held| self.kept.claim(held));
            if !claimed {
                self.exchange.close();
            }
            return claimed;
        }
        self.put_down();
        let Some(fd) = self.kept.take_up(at) else { return false };
        self.hold((fd, ConnectionState::BetweenRequests));
        true
    }

    /// If requests take long, hands ready connections to workers that are idle, and returns the others. They keep what they are given,
    /// so busy connections spread over the workers.
    fn share(&mut self, ready: u64) -> u64 {
        if !ready.is_power_of_two() && ready != 0 && self.slot.last_duration() >= LONG {
            let idle = self.slot.idle_others();
            let first = ready & ready.wrapping_neg();
            let given = self.kept.take_out(ready & !first, idle);
            given.into_iter().for_each(|connection| self.pass(connection));
        }
        ready
    }

    pub(super) fn pass(&mut self, connection: Connection) {
        if let Err(connection) = self.intake.queues().pass(connection) {
            self.see_off(vec![connection]);
        }
    }

    /// Serves connections that no other process takes: one second for last requests, and whatever a client has sent by the end of its
    /// answer. A client that always sends another one must not keep this worker, which may run the code from before a reload. The end of
    /// an answer is also when a client has most likely nothing under way.
    fn see_off(&mut self, mut connections: Vec<Connection>) {
        if connections.is_empty() {
            return;
        }
        self.put_down();
        let end = Instant::now() + LAST_REQUEST;
        while !self.spent && !connections.is_empty() && Instant::now() < end {
            let Some(at) = socket::first_input(connections.iter().map(|(fd, _)| fd.as_fd()), end) else { continue };
            self.hold(connections.swap_remove(at));
            while !self.spent && self.exchange.arrive(Duration::ZERO) == Arrival::Request {
                self.serve_one();
                if !self.exchange.keeps() {
                    break;
                }
            }
            self.close_held();
        }
    }
}

//! Serves one request after another on the held connection.

use std::ffi::CStr;

use super::ServeLoop;
use crate::engine::{Engine, Request, Served, Tracker};
use crate::exchange::Arrival;
use crate::ipc::MARK;
use crate::log::{self, messages::requests::request_refused};
use crate::request::{Description, NotRun, Outcome};
use crate::scoreboard::Counter;
use crate::sys::signal;

/// After so many requests that a client has sent without a pause, other clients of this worker are left to other workers.
const PATIENT: u32 = 16;

impl<E: Engine> ServeLoop<'_, E> {
    /// Serves the requests of the held connection, as long as the next one arrives at once.
    pub(super) fn serve(&mut self) {
        for number in 0u32.. {
            if number == PATIENT {
                self.give_retained();
            }
            match self.next_request() {
                Arrival::Request => self.serve_one(),
                Arrival::NothingYet | Arrival::NoRequest | Arrival::Unfinished => return self.rest_current(),
                Arrival::Closed => return self.close_held(),
                Arrival::Refused(reason) => {
                    log::say(&request_refused(reason));
                    return self.close_held();
                }
            }
            if !self.exchange.keeps() || self.spent {
                return self.close_held();
            }
            if !self.exchange.has_bytes() {
                break;
            }
        }
        self.rest_current();
        if !self.sources.is_listed() && !self.is_leaving() && !self.holds.try_next() {
            self.put_away();
        }
    }

    /// Serves the request whose parameters have arrived.
    pub(super) fn serve_one(&mut self) {
        self.first_byte_until = None;
        self.clear_file_caches();
        signal::begin_request();
        let runs = !self.pages.serve(&mut self.exchange, &self.tracker) && !self.drop_abandoned();
        let served = if runs {
            self.engine.serve(Request { exchange: &mut self.exchange, tracker: &*self.tracker })
        } else {
            Served::Ready
        };
        Request { exchange: &mut self.exchange, tracker: &*self.tracker }.finish();
        signal::end_request();
        self.note_served(served);
        if self.exchange.parked() && self.sources.is_listed() && self.renew_sources().is_err() {
            self.leaving = true;
        }
        self.retained.drop_taken();
        self.mark_output();
        self.tracker.idle();
        self.release.restart();
        if let Some(reason) = self.lifetime.end() {
            self.slot.reached(reason);
            self.leaving = true;
        }
        if runs && !self.spent && self.tracker.measure() {
            self.slot.totals().note_code_cache(self.born, self.engine.code_cache().as_ref());
        }
    }

    /// Clears the caches of files, if an operator has asked for it since the last request.
    fn clear_file_caches(&mut self) {
        let asked = self.slot.totals().get(Counter::CachesCleared);
        if asked != self.caches_cleared {
            self.caches_cleared = asked;
            self.engine.clear_file_caches();
        }
    }

    pub(super) fn note_served(&mut self, served: Served) {
        match served {
            Served::Ready => {}
            Served::Changed => self.leaving = true,
            Served::Spent => (self.spent, self.leaving) = (true, true),
        }
    }

    /// `request_drop_abandoned`: whether the client has closed the connection. Then the request is counted, and no
    /// script runs.
    fn drop_abandoned(&self) -> bool {
        /// nginx's status for a client that has closed the connection.
        const CLIENT_CLOSED: u16 = 499;
        if !self.drops_abandoned || !self.exchange.is_abandoned() {
            return false;
        }
        let params = self.exchange.params();
        self.tracker.describe(&Description::of(params));
        self.tracker.not_run(NotRun::Abandoned);
        let variable = |name: &[u8]| params.get_c(name).map(CStr::to_bytes);
        let none = |_: &[u8]| None;
        self.tracker.outcome(&Outcome { status: CLIENT_CLOSED, memory_peak: 0, header: &none, variable: &variable });
        true
    }

    /// Marks the end of the request's output on stderr, if the supervisor catches it.
    fn mark_output(&self) {
        if self.caught {
            let _ = nix::unistd::write(std::io::stderr(), MARK);
        }
    }
}

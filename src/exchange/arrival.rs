//! Waiting for a request on the connection, and reading it up to its last parameter.

use std::time::{Duration, Instant};

use super::connection::{Client, Exchange};
use crate::fastcgi::request::{Refusal, Step};
use crate::sys::clock;
use crate::sys::socket::{self, Received};

/// The result of waiting for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// A request's parameters are complete.
    Request,
    /// Not one byte is here; the connection stays.
    NothingYet,
    /// Bytes came, and none of them begins a request: a management record, or the rest of an earlier body. The connection stays.
    NoRequest,
    /// A request has begun to arrive, but its parameters were not complete within `Limits::moment`
    /// (`arrive_briefly`).
    Unfinished,
    /// The client has closed the connection, and the exchange has closed its end.
    Closed,
    /// The exchange can't serve what the client sent, and has closed the connection.
    Refused(Reason),
}

/// Why the exchange closed a connection that the client still held open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The client broke the protocol or exceeded a limit.
    #[error(transparent)]
    Protocol(#[from] Refusal),
    /// A request began to arrive, but its parameters did not arrive in time.
    #[error("the parameters of a request were not complete in time")]
    HeaderTimeout,
}

/// The state of the wait for one request.
struct Wait {
    /// How long to wait for the first byte of a request.
    patience: Duration,
    /// When `patience` ends.
    patience_ends: Option<Instant>,
    /// How long to wait for the rest of the parameters once some have arrived; `None`: up to `Limits::header`.
    moment: Option<Duration>,
    /// When `moment` ends.
    moment_ends: Option<Instant>,
    /// Bytes have arrived.
    reading: bool,
    /// Deadline for sending answers to management records.
    answers: Option<Instant>,
    /// It has waited for bytes after the first one.
    waited: bool,
    /// The socket was read once more after the deadline: the request may have been complete in time, and only its
    /// worker late.
    looked: bool,
}

impl Wait {
    fn patience_ends(&mut self) -> Instant {
        *self.patience_ends.get_or_insert_with(|| Instant::now() + self.patience)
    }

    fn patience_is_over(&mut self) -> bool {
        self.patience.is_zero() || Instant::now() >= self.patience_ends()
    }
}

impl Exchange {
    /// Receives the next request. Waits up to `patience` for its first byte (zero: does not wait), then as long as
    /// the limits allow.
    pub fn arrive(&mut self, patience: Duration) -> Arrival {
        self.await_request(patience, None)
    }

    /// Receives the next request if its first byte comes within `patience` and the rest follows within `Limits::moment`.
    /// Otherwise the caller parks the connection until more has arrived: a client that sends slowly must not occupy the
    /// worker.
    pub fn arrive_briefly(&mut self, patience: Duration) -> Arrival {
        // A request that was set aside before has already had its moment.
        let moment = if self.until.is_some() { Duration::ZERO } else { self.limits.moment };
        self.await_request(patience, Some(moment))
    }

    fn await_request(&mut self, patience: Duration, moment: Option<Duration>) -> Arrival {
        self.finish();
        if self.connection.is_none() {
            return Arrival::Closed;
        }
        self.client = Client::default();
        self.reader.next_request();
        let mut wait = Wait {
            patience,
            patience_ends: None,
            moment,
            moment_ends: None,
            reading: false,
            answers: None,
            waited: false,
            looked: false,
        };
        let arrival = self.read_head(&mut wait);
        if arrival != Arrival::Unfinished {
            self.until = None;
        }
        match arrival {
            Arrival::Closed | Arrival::Refused(_) => self.close(),
            Arrival::NothingYet if wait.reading => return Arrival::NoRequest,
            Arrival::NothingYet | Arrival::NoRequest | Arrival::Unfinished | Arrival::Request => {}
        }
        arrival
    }

    fn read_head(&mut self, wait: &mut Wait) -> Arrival {
        if self.has_bytes() {
            self.note_reading(wait);
        }
        loop {
            match self.reader.advance() {
                Ok(Step::Request) => return self.begin(wait),
                Ok(Step::Answer { last }) => {
                    if self.send_answers(&mut wait.answers).is_err() || last {
                        return Arrival::Closed;
                    }
                }
                Ok(_) => {
                    if let Err(arrival) = self.receive_head(wait) {
                        return arrival;
                    }
                }
                Err(refusal) => return Arrival::Refused(refusal.into()),
            }
        }
    }

    fn begin(&mut self, wait: &Wait) -> Arrival {
        if let Some(arrived) = &self.arrived {
            arrived(self.reader.params_mut());
        }
        self.reply.begin(self.reader.id());
        self.finished = false;
        if wait.waited {
            self.sent = clock::micros();
        }
        Arrival::Request
    }

    fn note_reading(&mut self, wait: &mut Wait) {
        if !wait.reading {
            self.sent = self.first_byte.as_ref().map_or_else(clock::micros, |first_byte| first_byte());
            wait.reading = true;
        }
    }

    /// Receives more of a request, or returns how the wait ends.
    fn receive_head(&mut self, wait: &mut Wait) -> Result<(), Arrival> {
        let Some(connection) = &self.connection else { return Err(Arrival::Closed) };
        if self.reader.has_begun() {
            // Only here, so that no clock is read for a request that arrives in one piece.
            let now = Instant::now();
            let until = *self.until.get_or_insert(now + self.limits.header);
            if now > until && std::mem::replace(&mut wait.looked, true) {
                return Err(Arrival::Refused(Reason::HeaderTimeout));
            }
            if let Some(moment) = wait.moment
                && now > *wait.moment_ends.get_or_insert(now + moment)
            {
                return Err(Arrival::Unfinished);
            }
        } else if wait.reading && wait.patience_is_over() {
            // The bytes belong to no request, or to an earlier body. However long that is, it must not occupy the worker here.
            return Err(Arrival::NothingYet);
        }
        match socket::receive(connection, self.reader.room()) {
            Ok(Received::Bytes(count)) => {
                self.reader.filled(count);
                self.note_reading(wait);
                Ok(())
            }
            Ok(Received::Nothing) => self.await_head(wait),
            Ok(Received::End) | Err(_) => Err(Arrival::Closed),
        }
    }

    fn await_head(&self, wait: &mut Wait) -> Result<(), Arrival> {
        let Some(connection) = &self.connection else { return Err(Arrival::Closed) };
        let begun = self.reader.has_begun();
        wait.waited |= begun;
        if !begun && wait.patience.is_zero() {
            return Err(Arrival::NothingYet);
        }
        let until = self.until.filter(|_| begun).unwrap_or_else(|| wait.patience_ends());
        let deadline = wait.moment_ends.map_or(until, |end| until.min(end));
        match socket::await_input(connection, deadline) {
            Ok(true) => Ok(()),
            Ok(false) if begun && Instant::now() < until => Err(Arrival::Unfinished),
            Ok(false) if begun => Err(Arrival::Refused(Reason::HeaderTimeout)),
            Ok(false) => Err(Arrival::NothingYet),
            Err(_) => Err(Arrival::Closed),
        }
    }
}

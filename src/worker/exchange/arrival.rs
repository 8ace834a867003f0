//! Waiting for a request on the connection, and reading it up to its last parameter.

use std::time::{Duration, Instant};

use super::{Client, Exchange, Stage};
use crate::fastcgi::request::{Refusal, Step};
use crate::sys::socket::{self, Received};

/// What came of waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// A request's parameters are complete.
    Request,
    /// Not one byte of a request is here; the connection stays.
    NothingYet,
    /// The client has closed the connection; so has the exchange.
    Closed,
    /// What the client sent can't be served; the connection was closed.
    Refused(Reason),
}

/// Why a connection was closed on a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// It doesn't keep to FastCGI, or to the limits.
    #[error(transparent)]
    Protocol(#[from] Refusal),
    /// A request began and didn't go on.
    #[error("the parameters of a request were not complete in time")]
    HeaderTimeout,
}

/// How far the wait for one request has come.
struct Wait {
    /// For the first byte.
    patience: Duration,
    /// For the last parameter. Set when the first bytes weren't enough: no clock is read for a request that comes at once.
    deadline: Option<Instant>,
    /// Something has arrived.
    reading: bool,
    /// For answers to management records.
    answers: Option<Instant>,
}

impl Exchange {
    /// The next request. Waits up to `patience` for its first byte (zero: only looks), then as long as the limits allow.
    pub fn arrive(&mut self, patience: Duration) -> Arrival {
        self.finish();
        if self.connection.is_none() {
            return Arrival::Closed;
        }
        self.client = Client::default();
        self.reader.next_request();
        let mut wait = Wait { patience, deadline: None, reading: false, answers: None };
        let arrival = self.read_head(&mut wait);
        match arrival {
            Arrival::Closed | Arrival::Refused(_) => self.close(),
            Arrival::NothingYet if wait.reading => self.progress.stage(Stage::Idle),
            Arrival::NothingYet | Arrival::Request => {}
        }
        arrival
    }

    fn read_head(&mut self, wait: &mut Wait) -> Arrival {
        if self.has_bytes() {
            self.note_reading(wait);
        }
        loop {
            match self.reader.advance() {
                Ok(Step::Request) => return self.begin(),
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

    fn begin(&mut self) -> Arrival {
        self.reply.begin(self.reader.id());
        self.finished = false;
        self.sent = Instant::now();
        Arrival::Request
    }

    fn note_reading(&self, wait: &mut Wait) {
        if !wait.reading {
            self.progress.stage(Stage::Reading);
            wait.reading = true;
        }
    }

    /// Receives more of a request; or says how the wait ends.
    fn receive_head(&mut self, wait: &mut Wait) -> Result<(), Arrival> {
        let Some(connection) = &self.connection else { return Err(Arrival::Closed) };
        if self.reader.has_begun() {
            let now = Instant::now();
            if now > *wait.deadline.get_or_insert(now + self.limits.header) {
                return Err(Arrival::Refused(Reason::HeaderTimeout));
            }
        } else if wait.reading && wait.patience.is_zero() {
            // What came was no request: the rest of an earlier body, however long, must not hold the worker here.
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

    fn await_head(&self, wait: &Wait) -> Result<(), Arrival> {
        let Some(connection) = &self.connection else { return Err(Arrival::Closed) };
        let begun = self.reader.has_begun();
        if !begun && wait.patience.is_zero() {
            return Err(Arrival::NothingYet);
        }
        let deadline = wait.deadline.filter(|_| begun).unwrap_or_else(|| Instant::now() + wait.patience);
        match socket::await_input(connection, deadline) {
            Ok(true) => Ok(()),
            Ok(false) if begun => Err(Arrival::Refused(Reason::HeaderTimeout)),
            Ok(false) => Err(Arrival::NothingYet),
            Err(_) => Err(Arrival::Closed),
        }
    }
}

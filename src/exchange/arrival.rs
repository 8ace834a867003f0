//! Waiting for a request on the connection, and reading it up to its last parameter.

use std::time::{Duration, Instant};

use super::connection::{Client, Exchange};
use crate::fastcgi::request::{Refusal, Step};
use crate::sys::socket::{self, Received};

/// What came of waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// A request's parameters are complete.
    Request,
    /// Not one byte is here; the connection stays.
    NothingYet,
    /// Bytes came, and none of them begins a request: a management record, or the rest of an earlier body. The connection stays.
    NoRequest,
    /// A request has begun to arrive, and not all of its parameters came in a moment (`arrive_briefly`).
    Unfinished,
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
    /// For the parameters, once some have come; none: as long as they may take.
    moment: Option<Duration>,
    /// The end of that.
    moment_ends: Option<Instant>,
    /// Something has arrived.
    reading: bool,
    /// For answers to management records.
    answers: Option<Instant>,
    /// What waits in the socket was looked at: it may have been complete in time, and its worker late.
    looked: bool,
}

impl Exchange {
    /// The next request. Waits up to `patience` for its first byte (zero: only looks), then as long as the limits allow.
    pub fn arrive(&mut self, patience: Duration) -> Arrival {
        self.await_request(patience, None)
    }

    /// The next request, if its first byte is here and the rest follows at once. Otherwise the connection is to be kept elsewhere
    /// until more has come: a client that sends slowly must not hold the worker.
    pub fn arrive_briefly(&mut self) -> Arrival {
        // What was set aside before has had its moment.
        let moment = if self.until.is_some() { Duration::ZERO } else { self.limits.moment };
        self.await_request(Duration::ZERO, Some(moment))
    }

    fn await_request(&mut self, patience: Duration, moment: Option<Duration>) -> Arrival {
        self.finish();
        if self.connection.is_none() {
            return Arrival::Closed;
        }
        self.client = Client::default();
        self.reader.next_request();
        let mut wait = Wait { patience, moment, moment_ends: None, reading: false, answers: None, looked: false };
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
            if let Some(first_byte) = &self.first_byte {
                first_byte();
            }
            wait.reading = true;
        }
    }

    /// Receives more of a request; or says how the wait ends.
    fn receive_head(&mut self, wait: &mut Wait) -> Result<(), Arrival> {
        let Some(connection) = &self.connection else { return Err(Arrival::Closed) };
        if self.reader.has_begun() {
            // Not before: no clock is read for a request that comes at once.
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
        let until = self.until.filter(|_| begun).unwrap_or_else(|| Instant::now() + wait.patience);
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

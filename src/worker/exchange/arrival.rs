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

impl Exchange {
    /// The next request. Waits up to `patience` for its first byte (zero: only looks), then as long as the limits allow.
    pub fn arrive(&mut self, patience: Duration) -> Arrival {
        self.finish();
        if self.connection.is_none() {
            return Arrival::Closed;
        }
        self.client = Client::default();
        self.reader.next_request();
        let arrival = self.read_head(patience);
        if matches!(arrival, Arrival::Closed | Arrival::Refused(_)) {
            self.close();
        }
        arrival
    }

    fn read_head(&mut self, patience: Duration) -> Arrival {
        let mut deadline = None;
        if self.has_bytes() {
            self.progress.stage(Stage::Reading);
        }
        loop {
            match self.reader.advance() {
                Ok(Step::Request) => return self.begin(),
                Ok(Step::Answer { last }) => {
                    if self.send_answers().is_err() || last {
                        return Arrival::Closed;
                    }
                }
                Ok(_) => {
                    if let Err(arrival) = self.receive_head(patience, &mut deadline) {
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
        self.progress.started(self.reader.params());
        Arrival::Request
    }

    /// Receives more of a request. The deadline is set when the first bytes weren't enough: no clock is read for a request that comes at once.
    fn receive_head(&mut self, patience: Duration, deadline: &mut Option<Instant>) -> Result<(), Arrival> {
        let Some(connection) = &self.connection else { return Err(Arrival::Closed) };
        let begun = self.reader.has_begun();
        if begun {
            let now = Instant::now();
            if now > *deadline.get_or_insert(now + self.limits.header) {
                return Err(Arrival::Refused(Reason::HeaderTimeout));
            }
        }
        match socket::receive(connection, self.reader.room()) {
            Ok(Received::Bytes(count)) => {
                self.reader.filled(count);
                if !begun {
                    self.progress.stage(Stage::Reading);
                }
                Ok(())
            }
            Ok(Received::Nothing) => self.await_head(begun, patience, *deadline),
            Ok(Received::End) | Err(_) => Err(Arrival::Closed),
        }
    }

    fn await_head(&self, begun: bool, patience: Duration, deadline: Option<Instant>) -> Result<(), Arrival> {
        let Some(connection) = &self.connection else { return Err(Arrival::Closed) };
        if !begun && patience.is_zero() {
            return Err(Arrival::NothingYet);
        }
        let deadline = deadline.filter(|_| begun).unwrap_or_else(|| Instant::now() + patience);
        match socket::await_input(connection, deadline) {
            Ok(true) => Ok(()),
            Ok(false) if begun => Err(Arrival::Refused(Reason::HeaderTimeout)),
            Ok(false) => Err(Arrival::NothingYet),
            Err(_) => Err(Arrival::Closed),
        }
    }
}

//! The connection that a worker holds: how it is taken, closed, parked or handed over.

use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;

use super::{ServeLoop, partial};
use crate::engine::Engine;
use crate::exchange::{Arrival, ParkConnection};
use crate::ipc::handover::{Connection, ConnectionState, FIRST_BYTE};
use crate::scoreboard::{Counter, Slot};
use crate::sys::clock;
use crate::worker::intake::Intake;
use crate::worker::retained::Retained;

/// How long a worker waits for a request on a connection that no other process will take.
pub(super) const LAST_REQUEST: Duration = Duration::from_secs(1);

/// Makes the function that parks the connection of a script that continues after its answer.
pub(super) fn parking(retained: &Rc<Retained>, intake: &Intake, slot: &Rc<Slot>) -> ParkConnection {
    let (retained, queues, slot) = (Rc::clone(retained), intake.shared_queues(), Rc::clone(slot));
    Box::new(move |connection| {
        retained.pass_on(&connection);
        queues.park((connection, ConnectionState::BetweenRequests)).map_err(|(connection, _)| connection)?;
        slot.count(Counter::Parked);
        Ok(())
    })
}

impl<E: Engine> ServeLoop<'_, E> {
    pub(super) fn hold(&mut self, (fd, state): Connection) {
        self.first_byte_until = matches!(state, ConnectionState::New).then(|| clock::now() + FIRST_BYTE);
        self.tracker.attached(fd.as_fd());
        self.exchange.close();
        self.retained.attached(!matches!(state, ConnectionState::New));
        match state {
            ConnectionState::BetweenRequests | ConnectionState::New => self.exchange.attach(fd),
            ConnectionState::Partial(request) => partial::resume(&mut self.exchange, fd, request),
        }
    }

    pub(super) fn close_held(&mut self) {
        self.sources.unlist(self.exchange.connection());
        self.exchange.close();
        self.tracker.idle();
    }

    /// Parks the held connection. The worker retains it no longer, if it did. If the zygote has gone, the client may still send a request, which is then served
    /// here.
    pub(super) fn park_held(&mut self) {
        self.sources.unlist(self.exchange.connection());
        let is_new = self.first_byte_until.is_some();
        let state = if is_new { ConnectionState::New } else { ConnectionState::BetweenRequests };
        let Some(fd) = self.exchange.detach() else { return };
        self.retained.pass_on(&fd);
        self.park((fd, state));
    }

    pub(super) fn park(&mut self, connection: Connection) {
        match self.intake.queues().park(connection) {
            Ok(()) => self.slot.count(Counter::Parked),
            Err(connection) => self.see_off(connection),
        }
    }

    pub(super) fn pass(&mut self, connection: Connection) {
        if let Err(connection) = self.intake.queues().pass(connection) {
            self.see_off(connection);
        }
    }

    /// Serves a connection that no other process takes: one second for a last request, and whatever the client has
    /// sent by the end of its answer. A client that always sends another one must not keep this worker, which may run
    /// the code from before a reload. The end of an answer is also when a client has most likely nothing under way.
    fn see_off(&mut self, connection: Connection) {
        if self.exchange.connection().is_some() {
            return;
        }
        self.hold(connection);
        let mut patience = LAST_REQUEST;
        while !self.spent && self.exchange.arrive(patience) == Arrival::Request {
            self.serve_one();
            if !self.exchange.keeps() {
                break;
            }
            patience = Duration::ZERO;
        }
        self.close_held();
    }
}

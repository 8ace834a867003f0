//! Requests that don't arrive at once: the zygote holds them until more has arrived, so that they don't occupy a
//! worker.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use super::ServeLoop;
use crate::engine::Engine;
use crate::exchange::{Arrival, Exchange};
use crate::ipc::handover::{ConnectionState, PartialRequest};
use crate::sys::{clock, shared};

/// How long a worker waits for the first byte of a new connection before it looks for another one. A client connects and sends a few
/// microseconds later. A worker that takes up another connection in between, or sleeps for it and for all others, needs several more
/// system calls for the same request, and so does its zygote, which keeps the connection then. Clients that send nothing take this
/// time of a worker for one in `WAITS_PROBE` connections.
const FIRST_BYTE_WAIT: Duration = Duration::from_millis(2);

impl<E: Engine> ServeLoop<'_, E> {
    /// Receives the next request on the held connection. A request that doesn't arrive at once is set aside. If no
    /// worker could resume it, this one waits for it.
    pub(super) fn next_request(&mut self) -> Arrival {
        if self.is_leaving() {
            return self.arrive();
        }
        match self.arrive_briefly() {
            Arrival::Unfinished => {
                self.tracker.put_aside();
                if self.put_aside() { Arrival::Unfinished } else { self.arrive() }
            }
            Arrival::NoRequest => self.no_request(),
            other => other,
        }
    }

    fn arrive_briefly(&mut self) -> Arrival {
        if self.first_byte_until.is_none() || self.sources.is_listed() {
            return self.exchange.arrive_briefly(Duration::ZERO);
        }
        let waits = self.waits.try_next();
        let arrival = self.exchange.arrive_briefly(if waits { FIRST_BYTE_WAIT } else { Duration::ZERO });
        if arrival != Arrival::NothingYet {
            self.waits.paid();
        } else if waits {
            self.waits.in_vain();
        }
        arrival
    }

    /// The same, but waits for the rest of a request that has begun.
    fn arrive(&mut self) -> Arrival {
        match self.exchange.arrive(Duration::ZERO) {
            Arrival::NoRequest => self.no_request(),
            other => other,
        }
    }

    fn no_request(&self) -> Arrival {
        self.tracker.idle();
        Arrival::NoRequest
    }

    /// Parks the connection with the part of its request. Returns false if that failed; then the worker holds it
    /// again.
    fn put_aside(&mut self) -> bool {
        let Some((rest, until)) = self.exchange.rest() else { return false };
        self.sources.unlist(self.exchange.connection());
        let Some(fd) = self.exchange.detach_unfinished() else { return false };
        self.retained.pass_on(&fd);
        let parked = match shared::file_of("cgi-fpm-request", &rest) {
            Ok(bytes) => {
                let left = until.saturating_duration_since(Instant::now());
                let until = clock::now() + left;
                let size = u32::try_from(rest.len()).unwrap_or(u32::MAX);
                self.intake.queues().park((fd, ConnectionState::Partial(PartialRequest { bytes, size, until })))
            }
            Err(_) => Err((fd, ConnectionState::BetweenRequests)),
        };
        let Err((fd, _)) = parked else { return true };
        self.tracker.attached(fd.as_fd());
        self.exchange.attach_unfinished(fd, &rest, until);
        false
    }
}

/// Resumes such a request. If its bytes can't be read, the connection is closed.
pub(super) fn resume(exchange: &mut Exchange, connection: OwnedFd, request: PartialRequest) {
    let left = request.until.since(clock::now());
    match shared::content_of(request.bytes) {
        Ok(rest) => exchange.attach_unfinished(connection, &rest, Instant::now() + left),
        Err(_) => exchange.close(),
    }
}

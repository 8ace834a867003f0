//! Exit without a successor: there is no next generation, or the pool or one of its sockets isn't part of it. Clients
//! that have already connected are served first, because the close of a socket resets the connections in its backlog.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use super::ServeLoop;
use super::connections::LAST_REQUEST;
use crate::engine::Engine;
use crate::ipc::handover::{self, Connection, ConnectionState, Taken};
use crate::sys::socket;

/// How long the worker waits for the zygote to hand back parked connections on which no byte has arrived yet.
const HAND_BACK: Duration = Duration::from_millis(200);

impl<E: Engine> ServeLoop<'_, E> {
    pub(super) fn serve_remaining(&mut self, closing: u32) {
        let mut silent = Vec::new();
        self.set_aside(&mut silent);
        // A kept connection, which would be closed when the next one is held.
        self.park_held();
        let mut closing = self.intake.closing(closing);
        while !self.spent
            && let Some(connection) = self.intake.take_closing(&mut closing)
        {
            self.serve_guest(connection, &mut silent);
        }
        let start = Instant::now();
        while !self.spent {
            self.empty_queue(&mut silent);
            let end = start + if silent.is_empty() { HAND_BACK } else { LAST_REQUEST };
            if Instant::now() >= end {
                break;
            }
            let queue = self.intake.queues().queue.clone();
            let all = silent.iter().map(AsFd::as_fd).chain([queue.as_fd()]);
            match socket::first_input(all, end) {
                Some(at) if at < silent.len() => {
                    let guest = silent.swap_remove(at);
                    self.serve_guest((guest, ConnectionState::New), &mut silent);
                }
                _ => {}
            }
        }
        // These clients have still sent nothing.
        for connection in silent {
            self.hold((connection, ConnectionState::New));
            self.park_held();
        }
    }

    fn empty_queue(&mut self, silent: &mut Vec<OwnedFd>) {
        while !self.spent {
            match handover::take(self.intake.queues().queue.as_fd()) {
                Taken::Connection(connection) => self.serve_guest(connection, silent),
                Taken::Copy(..) | Taken::Rescan => {}
                Taken::Nothing | Taken::Gone => return,
            }
        }
    }

    fn serve_guest(&mut self, connection: Connection, silent: &mut Vec<OwnedFd>) {
        self.hold(connection);
        self.serve();
        self.set_aside(silent);
        self.park_held();
    }

    /// Moves the held connection to `silent` if no byte has arrived on it yet.
    fn set_aside(&mut self, silent: &mut Vec<OwnedFd>) {
        if self.first_byte_until.is_some() && self.exchange.connection().is_some() {
            self.sources.unlist(self.exchange.connection());
            silent.extend(self.exchange.detach());
        }
    }
}

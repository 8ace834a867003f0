//! Leaving where nobody follows: the pool, or a socket of it, has no place in the next generation, or there is none. Who has
//! connected already is served; otherwise the end of the socket would be a reset for them.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use super::ServeLoop;
use super::connections::LAST_REQUEST;
use crate::engine::Engine;
use crate::ipc::handover::{self, Connection, ConnectionState, Taken};
use crate::sys::socket;

/// In that time the zygote hands back what it keeps and no byte has come on yet.
const HAND_BACK: Duration = Duration::from_millis(200);

impl<E: Engine> ServeLoop<'_, E> {
    pub(super) fn serve_remaining(&mut self, closing: u32) {
        let mut silent = Vec::new();
        self.set_aside(&mut silent);
        let mut waiting = self.intake.waiting(closing);
        while !self.spent
            && let Some(connection) = self.intake.take_waiting(&mut waiting)
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
        // Those who have still said nothing.
        for connection in silent {
            self.hold((connection, ConnectionState::New));
            self.park_held();
        }
    }

    fn empty_queue(&mut self, silent: &mut Vec<OwnedFd>) {
        while !self.spent {
            match handover::take(self.intake.queues().queue.as_fd()) {
                Taken::Connection(connection) => self.serve_guest(connection, silent),
                Taken::Rescan => {}
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

    /// A connection in hand of which no byte has come yet.
    fn set_aside(&mut self, silent: &mut Vec<OwnedFd>) {
        if self.fresh && self.exchange.connection().is_some() {
            self.sources.unlist(self.exchange.connection());
            silent.extend(self.exchange.detach());
        }
    }
}

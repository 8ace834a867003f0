//! Where connections come from: the listening sockets, or the hand-over queue.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use super::sources::{Woken, named};
use crate::config::AllowedClients;
use crate::ipc::WorkerQueues;
use crate::ipc::handover::{self, Connection, ConnectionState, Taken};
use crate::log::{self, messages::requests as messages};
use crate::scoreboard::Slot;
use crate::sys::accept_queue::Emptying;
use crate::sys::{clock, listen};

/// The pause after an accept that failed for lack of resources.
const PAUSE: Duration = Duration::from_millis(50);

/// The pool's sources of connections.
#[derive(Debug)]
pub(super) struct Intake {
    listeners: Vec<OwnedFd>,
    allowed: AllowedClients,
    queues: Rc<WorkerQueues>,
    slot: Rc<Slot>,
    turn: usize,
    eager: bool,
}

impl Intake {
    /// Makes it from the pool's sockets and queues.
    #[must_use]
    pub(super) fn new(
        listeners: Vec<OwnedFd>,
        allowed: AllowedClients,
        queues: Rc<WorkerQueues>,
        slot: Rc<Slot>,
    ) -> Self {
        Self { listeners, allowed, queues, slot, turn: 0, eager: false }
    }

    /// The listening sockets.
    #[must_use]
    pub(super) fn listeners(&self) -> &[OwnedFd] {
        &self.listeners
    }

    /// The queues.
    #[must_use]
    pub(super) fn queues(&self) -> &WorkerQueues {
        &self.queues
    }

    /// The queues, to be shared.
    #[must_use]
    pub(super) fn shared_queues(&self) -> Rc<WorkerQueues> {
        Rc::clone(&self.queues)
    }

    /// Looks for a connection before the worker sleeps, but only if the last look found one (and sometimes
    /// otherwise): in a quiet pool this would be two useless system calls per request.
    pub(super) fn take_before_sleep(&mut self) -> Option<Connection> {
        const PROBE: usize = 8;
        self.turn = self.turn.wrapping_add(1);
        if !self.eager && !self.turn.is_multiple_of(PROBE) {
            return None;
        }
        let found = self.take_one();
        self.eager = found.is_some();
        found
    }

    /// Takes one connection from the queue or a listening socket, which take turns to be first.
    fn take_one(&mut self) -> Option<Connection> {
        let queued = |this: &Self| match handover::take(this.queues.queue.as_fd()) {
            Taken::Connection(connection) => Some(connection),
            _ => None,
        };
        let accepted = |this: &Self| this.listeners.iter().find_map(|l| this.accept(l.as_fd()));
        if self.turn.is_multiple_of(2) {
            queued(self).or_else(|| accepted(self))
        } else {
            accepted(self).or_else(|| queued(self))
        }
    }

    /// Takes one connection from every source that has woken this worker, because each wake-up was taken from another
    /// worker that sleeps.
    pub(super) fn take_woken(&mut self, woken: &Woken) -> VecDeque<Connection> {
        let mut taken = VecDeque::new();
        let mut woken = *woken;
        if woken.queue {
            match handover::take(self.queues.queue.as_fd()) {
                Taken::Connection(connection) => taken.push_back(connection),
                Taken::Rescan => woken.listeners = u32::MAX,
                Taken::Copy(..) | Taken::Nothing | Taken::Gone => {}
            }
        }
        taken.extend(named(&self.listeners, &woken).filter_map(|l| self.accept(l)));
        taken
    }

    /// Those of the listening sockets that are about to close, with the connections in their queues.
    #[must_use]
    pub(super) fn closing(&self, closing: u32) -> Vec<Emptying> {
        let woken = Woken { listeners: closing, ..Woken::default() };
        let chosen = named(&self.listeners, &woken).filter_map(|l| l.try_clone_to_owned().ok());
        chosen.map(Emptying::new).collect()
    }

    /// Takes the next connection out of the queues of these sockets.
    pub(super) fn take_closing(&self, closing: &mut Vec<Emptying>) -> Option<Connection> {
        while let Some(queue) = closing.last_mut() {
            match queue.next() {
                Some(fd) if self.lets_in(&fd) => return Some((fd, ConnectionState::New)),
                Some(_) => {}
                None => drop(closing.pop()),
            }
        }
        None
    }

    fn accept(&self, listener: BorrowedFd<'_>) -> Option<Connection> {
        let fd = match listen::accept(listener) {
            Ok(fd) => fd?,
            Err(e) => {
                // No descriptors or no memory. The connection stays in the backlog and would wake the worker again at
                // once.
                log::say(&messages::connection_not_accepted(e));
                std::thread::sleep(PAUSE);
                return None;
            }
        };
        self.lets_in(&fd).then_some((fd, ConnectionState::New))
    }

    fn lets_in(&self, connection: &OwnedFd) -> bool {
        if self.allowed.is_everybody() {
            return true;
        }
        match listen::peer(connection) {
            Ok(Some(peer)) if !self.allowed.admits(peer) => {
                if let Some(others) = self.slot.totals().refuse(clock::now()) {
                    let more = if others == 0 { String::new() } else { format!(" {others} more since the last one.") };
                    log::say(&messages::client_disallowed(peer, more));
                }
                false
            }
            Ok(_) => true,
            // The client has gone already.
            Err(_) => false,
        }
    }
}

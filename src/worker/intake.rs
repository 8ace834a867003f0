//! Where connections come from: the listening sockets, or the hand-over queue.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use super::sources::{Woken, named};
use crate::config::AllowedClients;
use crate::ipc::handover::{self, Connection, ConnectionState, Taken, WorkerQueues};
use crate::log::{self, messages::requests as messages};
use crate::scoreboard::Slot;
use crate::sys::{backlog, clock, listen};

/// The pause after an accept that failed for lack of resources.
const PAUSE: Duration = Duration::from_millis(50);

/// How long the handshake of a TCP connection may take on a machine with load, if its client is near.
const HANDSHAKE: Duration = Duration::from_millis(2);

/// Listening sockets that are about to be closed.
pub(super) type Waiting = Vec<Emptied>;

/// A listening socket whose queue is being emptied.
#[derive(Debug)]
pub(super) struct Emptied {
    /// The number of connections to take.
    left: u32,
    /// The queue is to be looked at once more.
    counts_again: bool,
    socket: OwnedFd,
}

/// How many connections wait in the queue of a TCP socket.
fn queued(socket: &OwnedFd) -> u32 {
    backlog::tcp(socket).map_or(0, |queue| queue.waiting)
}

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
                Taken::Nothing | Taken::Gone => {}
            }
        }
        taken.extend(named(&self.listeners, &woken).filter_map(|l| self.accept(l)));
        taken
    }

    /// How many connections wait on each of these listening sockets. A unix socket is shut down first and then
    /// emptied. On a TCP socket more connections may follow without end, so they are counted.
    #[must_use]
    pub(super) fn waiting(&self, closing: u32) -> Waiting {
        let woken = Woken { listeners: closing, ..Woken::default() };
        let chosen = named(&self.listeners, &woken).filter_map(|l| l.try_clone_to_owned().ok());
        let emptied = |socket: OwnedFd| {
            let is_tcp = listen::local(&socket).is_some();
            if !is_tcp {
                listen::refuse(&socket);
            }
            let left = if is_tcp { queued(&socket) } else { u32::MAX };
            Emptied { left, counts_again: is_tcp, socket }
        };
        chosen.map(emptied).collect()
    }

    /// Takes the next of them. A socket that has none left is shut down, so that no client waits there in vain.
    pub(super) fn take_waiting(&self, waiting: &mut Waiting) -> Option<Connection> {
        while let Some(Emptied { left, counts_again, socket }) = waiting.last_mut() {
            if *left == 0 && std::mem::take(counts_again) {
                // Another socket may get the new connections of the port by now. Those whose handshake had begun arrive here.
                std::thread::sleep(HANDSHAKE);
                *left = queued(socket);
            } else if *left == 0 {
                listen::refuse(&*socket);
                waiting.pop();
            } else if let Ok(Some(fd)) = listen::accept(&*socket) {
                *left -= 1;
                if self.lets_in(&fd) {
                    return Some((fd, ConnectionState::New));
                }
            } else {
                *left = 0;
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

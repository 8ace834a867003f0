//! Clients in the queue of a listening socket that closes: a child takes them out and passes them to a zygote.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use crate::config::AllowedClients;
use crate::ipc::handover::{self, Connection, ConnectionState};
use crate::plan::fleet::GenerationId;
use crate::supervisor::sockets::listeners::{Listener, Sockets};
use crate::sys::accept_queue::Emptying;
use crate::sys::{helper, listen, message, shared, signal, title};

/// How long the zygote may take before it takes what it gets.
const LIMIT: Duration = Duration::from_secs(10);
/// The pause before a full queue is tried again.
const RETRY: Duration = Duration::from_millis(5);

impl Sockets {
    /// Whether clients wait in the queue of that socket now, and it closes if that generation no longer names it.
    pub(crate) fn strands_clients(&mut self, socket: RawFd, id: GenerationId) -> bool {
        let closes = |l: &&Listener| !l.passed && l.is_of(id) && l.owners.iter().all(|owner| owner.id == id);
        let Self { all, inspector, .. } = self;
        let closing = all.iter().filter(|l| l.fd.as_raw_fd() == socket).find(closes);
        closing.and_then(|l| inspector.backlog(&l.fd)).is_some_and(|queue| queue.waiting > 0)
    }

    /// Begins to pass the clients in the queue of a socket to the zygote at the other end of `link`, as far as they are allowed. The
    /// socket then refuses further clients.
    ///
    /// Processes of the pool's user have the socket open, too: they can make it block, and its clients can have sent descriptors whose
    /// last close takes time. So a child does it.
    ///
    /// # Errors
    /// `EAGAIN`, `EMFILE`, `ENOMEM`.
    pub(crate) fn hand_over(&self, socket: RawFd, allowed: &AllowedClients, link: &OwnedFd) -> io::Result<()> {
        let Some(listener) = self.all.iter().find(|l| l.fd.as_raw_fd() == socket) else { return Ok(()) };
        let allowed = shared::file_of("cgi-fpm-clients", &serde_json::to_vec(allowed)?)?;
        helper::start([listener.fd.as_fd(), allowed.as_fd(), link.as_fd()], (), hand_over).map(drop)
    }
}

/// The child.
fn hand_over([socket, allowed, link]: [OwnedFd; 3], (): ()) {
    title::set("php-fpm: hands over clients");
    let until = Instant::now() + LIMIT;
    let allowed = shared::content_of(allowed).ok().and_then(|json| serde_json::from_slice(&json).ok());
    let (Some(allowed), Ok(())) = (allowed, signal::end_after(LIMIT)) else { return };
    for connection in Emptying::new(socket).filter(|connection| is_allowed(connection, &allowed)) {
        if !send(&link, (connection, ConnectionState::New), until) {
            return;
        }
    }
}

fn is_allowed(connection: &OwnedFd, clients: &AllowedClients) -> bool {
    clients.is_everybody() || listen::peer(connection).is_ok_and(|peer| peer.is_none_or(|peer| clients.admits(peer)))
}

/// False: the zygote has gone, or takes nothing.
fn send(link: &OwnedFd, mut connection: Connection, until: Instant) -> bool {
    loop {
        match handover::send(link, connection) {
            Ok(()) => return true,
            Err((back, e)) if message::is_for_later(&e) && Instant::now() < until => connection = back,
            Err(_) => return false,
        }
        std::thread::sleep(RETRY);
    }
}

//! The ways a connection travels: into the pool's hand-over queue, to be served by any worker, or to the zygote, to be kept.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use nix::sys::socket::{MsgFlags, recv};

use crate::sys::backlog;
use crate::sys::message::{self, Received};

/// What is known of a connection that travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It has been served before.
    Kept,
    /// It was accepted and no byte of it has been seen yet.
    Fresh,
}

/// A message of a queue.
#[derive(Debug)]
pub enum Parcel {
    /// A connection.
    Connection(OwnedFd, Kind),
    /// "Look at the listening socket": a worker died that may have been woken for it.
    Look,
}

const KEPT: u8 = b'k';
const FRESH: u8 = b'f';
const LOOK: &[u8] = b"l";
/// A connection's message is that long, so that the bytes in a queue tell how many connections wait in it: a "look" is short.
const CONNECTION: usize = 64;

/// Sends a connection on; on failure it comes back with the reason.
///
/// # Errors
/// `EAGAIN`/`ETOOMANYREFS`: try again later; `EPIPE`: nobody reads there any more.
pub fn send(to: impl AsFd, fd: OwnedFd, kind: Kind) -> Result<(), (OwnedFd, io::Error)> {
    let tag = if kind == Kind::Kept { KEPT } else { FRESH };
    message::send(to, &[tag; CONNECTION], &[fd.as_raw_fd()]).map_err(|e| (fd, e))
}

/// Sends a "look"; when the queue is full its readers are awake anyway.
pub fn send_look(to: impl AsFd) {
    let _ = message::send(to, LOOK, &[]);
}

/// What came out of a queue.
#[derive(Debug)]
pub enum Taken {
    /// This.
    Parcel(Parcel),
    /// Nothing is in it.
    Nothing,
    /// Nothing is in it, and nobody can put anything in any more.
    Gone,
}

/// Takes one message of a queue.
pub fn take(from: BorrowedFd<'_>) -> Taken {
    let mut tag = [0u8; CONNECTION];
    match message::receive(from, &mut tag) {
        Ok(Received::Message(_, mut fds)) => Taken::Parcel(match (tag[0], fds.pop()) {
            (KEPT, Some(fd)) => Parcel::Connection(fd, Kind::Kept),
            (FRESH, Some(fd)) => Parcel::Connection(fd, Kind::Fresh),
            _ => Parcel::Look,
        }),
        Ok(Received::Nothing) => Taken::Nothing,
        Ok(Received::Gone) | Err(_) => Taken::Gone,
    }
}

/// Whether the next message of a queue is a connection. Looks without taking.
#[must_use]
pub fn holds_connection(queue: &OwnedFd) -> bool {
    let mut tag = [0u8; 1];
    let peeked = recv(queue.as_raw_fd(), &mut tag, MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT);
    peeked == Ok(1) && tag != LOOK
}

/// How many connections wait in a queue.
#[must_use]
pub fn waiting(queue: &OwnedFd) -> u64 {
    backlog::unread(queue) / CONNECTION as u64
}

/// A worker's ends of its pool's queues.
#[derive(Debug)]
pub struct Links {
    /// Hand-over queue, reading end, shared by the pool's workers.
    pub queue: Rc<OwnedFd>,
    /// Hand-over queue, writing end.
    pub queue_in: OwnedFd,
    /// To the zygote.
    pub park: OwnedFd,
}

impl Links {
    /// Gives a connection to the zygote to keep. Waits a moment when the zygote is behind.
    ///
    /// # Errors
    /// The connection, when the zygote is gone or stays behind.
    pub fn park(&self, fd: OwnedFd, kind: Kind) -> Result<(), OwnedFd> {
        let mut fd = fd;
        for _ in 0..200 {
            match send(&self.park, fd, kind) {
                Ok(()) => return Ok(()),
                Err((back, e)) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::ETOOMANYREFS)) => fd = back,
                Err((back, _)) => return Err(back),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(fd)
    }

    /// Gives a connection to whoever of the pool is idle; to the zygote when the queue is full.
    ///
    /// # Errors
    /// The connection, when neither takes it.
    pub fn pass(&self, fd: OwnedFd, kind: Kind) -> Result<(), OwnedFd> {
        send(&self.queue_in, fd, kind).or_else(|(fd, _)| self.park(fd, kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_arrives_with_its_kind_and_a_look_without_one() {
        let (out, inn) = message::pair().unwrap();
        let (ours, theirs) = message::pair().unwrap();
        send(&out, theirs, Kind::Fresh).unwrap();
        send_look(&out);
        assert!(holds_connection(&inn));
        let Taken::Parcel(Parcel::Connection(fd, Kind::Fresh)) = take(inn.as_fd()) else { panic!("no connection") };
        message::send(&fd, b"x", &[]).unwrap();
        assert!(matches!(message::receive(&ours, &mut [0; 4]).unwrap(), Received::Message(1, _)));
        assert!(!holds_connection(&inn));
        assert!(matches!(take(inn.as_fd()), Taken::Parcel(Parcel::Look)));
        assert!(matches!(take(inn.as_fd()), Taken::Nothing));
    }

    #[test]
    fn a_full_queue_gives_the_connection_back() {
        let (out, _inn) = message::pair().unwrap();
        let mut sent = 0;
        let back = loop {
            let (a, _b) = message::pair().unwrap();
            match send(&out, a, Kind::Kept) {
                Ok(()) => sent += 1,
                Err((fd, e)) => break (fd, e),
            }
        };
        assert!(sent > 100);
        assert_eq!(back.1.raw_os_error(), Some(libc::EAGAIN));
    }
}

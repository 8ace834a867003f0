//! How a connection passes between processes: into the pool's hand-over queue, where any worker takes it, or to the
//! zygote, which parks it.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::sys::socket::{MsgFlags, recv};

use super::retained::RetainedPlace;
use crate::sys::backlog;
use crate::sys::clock::Moment;
use crate::sys::message::{self, Received};

/// How long a new connection may wait for its first byte, in a worker or in the zygote, as in php-fpm. Then it is closed.
pub(crate) const FIRST_BYTE: Duration = Duration::from_secs(5);

/// The state of a connection that is handed over.
#[derive(Debug)]
pub(crate) enum ConnectionState {
    /// It has been served before and is between two requests.
    BetweenRequests,
    /// It was accepted, and no byte has arrived yet.
    New,
    /// A part of a request has been received from it.
    Partial(PartialRequest),
}

/// The received part of a request.
#[derive(Debug)]
pub(crate) struct PartialRequest {
    /// The bytes, in a memfd.
    pub bytes: OwnedFd,
    /// The number of bytes.
    pub size: u32,
    /// When the request has to be complete.
    pub until: Moment,
}

/// A connection and its state.
pub(crate) type Connection = (OwnedFd, ConnectionState);

const BETWEEN_REQUESTS: u8 = b'k';
const NEW: u8 = b'f';
const PARTIAL: u8 = b'u';
const RETAINED: u8 = b'c';
const RESCAN: &[u8] = b"l";
/// The length of a message with a connection. The bytes in a queue tell how many connections wait in it, since a
/// rescan message is short.
const CONNECTION: usize = 64;

/// Sends a connection. On failure returns it with the reason.
///
/// # Errors
/// `EAGAIN`/`ETOOMANYREFS`: try again later; `EPIPE`: the reader has gone.
pub(crate) fn send(to: impl AsFd, connection: Connection) -> Result<(), (Connection, io::Error)> {
    let (fd, kind) = &connection;
    let mut text = [0; CONNECTION];
    let sent = match kind {
        ConnectionState::BetweenRequests | ConnectionState::New => {
            text[0] = if matches!(kind, ConnectionState::BetweenRequests) { BETWEEN_REQUESTS } else { NEW };
            message::send(to, &text, &[fd.as_fd()])
        }
        ConnectionState::Partial(PartialRequest { bytes, size, until }) => {
            text[0] = PARTIAL;
            text[8..16].copy_from_slice(&until.as_millis().to_ne_bytes());
            text[16..20].copy_from_slice(&size.to_ne_bytes());
            message::send(to, &text, &[fd.as_fd(), bytes.as_fd()])
        }
    };
    sent.map_err(|e| (connection, e))
}

/// Sends the zygote a copy of a connection that the worker retains.
///
/// # Errors
/// As those of `send`.
pub(crate) fn send_copy(to: impl AsFd, connection: BorrowedFd<'_>, place: RetainedPlace) -> io::Result<()> {
    let mut text = [0; CONNECTION];
    text[0] = RETAINED;
    text[4..8].copy_from_slice(&place.slot.to_ne_bytes());
    text[8..16].copy_from_slice(&place.serial.to_ne_bytes());
    text[16..20].copy_from_slice(&place.index.to_ne_bytes());
    message::send(to, &text, &[connection])
}

/// Asks a worker to look at the listening sockets, or tells the zygote that a worker has left connections. If the queue is full, its readers are awake anyway.
pub(crate) fn send_rescan(to: impl AsFd) {
    let _ = message::send(to, RESCAN, &[]);
}

/// A message of a queue.
#[derive(Debug)]
pub(crate) enum Taken {
    /// A connection.
    Connection(Connection),
    /// A copy of a connection that a worker retains.
    Copy(OwnedFd, RetainedPlace),
    /// For a worker: look at the listening sockets. A worker that has ended may have been woken for a connection there. For the
    /// zygote: a worker has left connections.
    Rescan,
    /// The queue is empty.
    Nothing,
    /// The queue is empty, and its writers have gone.
    Gone,
}

/// Takes one message from a queue.
pub(crate) fn take(from: BorrowedFd<'_>) -> Taken {
    let mut text = [0u8; CONNECTION];
    match message::receive(from, &mut text) {
        Ok(Received::Message(_, fds)) => decode(&text, fds),
        Ok(Received::Nothing) => Taken::Nothing,
        Ok(Received::Gone) | Err(_) => Taken::Gone,
    }
}

fn decode(text: &[u8; CONNECTION], fds: Vec<OwnedFd>) -> Taken {
    let [tag, _, _, _, first @ .., _, _, _, _] = text;
    let number = |at: usize| first.get(at..at + 4).and_then(|n| n.try_into().ok()).map_or(0, u32::from_ne_bytes);
    let long = first.get(4..12).and_then(|n| n.try_into().ok()).map_or(0, u64::from_ne_bytes);
    let mut fds = fds.into_iter();
    match (*tag, fds.next(), fds.next()) {
        (BETWEEN_REQUESTS, Some(fd), None) => Taken::Connection((fd, ConnectionState::BetweenRequests)),
        (NEW, Some(fd), None) => Taken::Connection((fd, ConnectionState::New)),
        (PARTIAL, Some(fd), Some(bytes)) => {
            let request = PartialRequest { bytes, size: number(12), until: Moment::at_millis(long) };
            Taken::Connection((fd, ConnectionState::Partial(request)))
        }
        (RETAINED, Some(fd), None) => {
            Taken::Copy(fd, RetainedPlace { slot: number(0), index: number(12), serial: long })
        }
        _ => Taken::Rescan,
    }
}

/// Whether the next message of a queue is a connection. Does not take it.
#[must_use]
pub(crate) fn holds_connection(queue: &OwnedFd) -> bool {
    let mut tag = [0u8; 1];
    let peeked = recv(queue.as_raw_fd(), &mut tag, MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT);
    peeked == Ok(1) && tag != RESCAN
}

/// How many connections wait in a queue.
#[must_use]
pub(crate) fn waiting(queue: &OwnedFd) -> u64 {
    backlog::unread(queue) / CONNECTION as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::shared;

    #[test]
    fn a_connection_arrives_with_its_kind_and_a_look_without_one() {
        let (out, inn) = message::pair().unwrap();
        let (ours, theirs) = message::pair().unwrap();
        send(&out, (theirs, ConnectionState::New)).unwrap();
        send_rescan(&out);
        assert!(holds_connection(&inn));
        let Taken::Connection((fd, ConnectionState::New)) = take(inn.as_fd()) else { panic!("no connection") };
        message::send(&fd, b"x", &[]).unwrap();
        assert!(matches!(message::receive(&ours, &mut [0; 4]).unwrap(), Received::Message(1, _)));
        assert!(!holds_connection(&inn));
        assert!(matches!(take(inn.as_fd()), Taken::Rescan));
        assert!(matches!(take(inn.as_fd()), Taken::Nothing));
    }

    #[test]
    fn a_full_queue_gives_the_connection_back() {
        let (out, _inn) = message::pair().unwrap();
        let mut sent = 0;
        let back = loop {
            let (a, _b) = message::pair().unwrap();
            match send(&out, (a, ConnectionState::BetweenRequests)) {
                Ok(()) => sent += 1,
                Err((connection, e)) => break (connection, e),
            }
        };
        assert!(sent > 100);
        assert_eq!(back.1.raw_os_error(), Some(libc::EAGAIN));
    }

    #[test]
    fn an_unfinished_request_travels_with_its_connection() {
        let (out, inn) = message::pair().unwrap();
        let (_ours, theirs) = message::pair().unwrap();
        let bytes = shared::file_of("rest", b"half").unwrap();
        let unfinished = PartialRequest { bytes, size: 4, until: Moment::at_millis(1 << 40) };
        send(&out, (theirs, ConnectionState::Partial(unfinished))).unwrap();
        assert_eq!(waiting(&inn.try_clone().unwrap()), 1);
        let Taken::Connection((_, ConnectionState::Partial(came))) = take(inn.as_fd()) else { panic!("no connection") };
        assert_eq!((came.size, came.until), (4, Moment::at_millis(1 << 40)));
        assert_eq!(shared::content_of(came.bytes).unwrap(), b"half");
        message::send(&out, &[PARTIAL; CONNECTION], &[]).unwrap();
        assert!(matches!(take(inn.as_fd()), Taken::Rescan), "nothing without a descriptor");
    }

    #[test]
    fn a_copy_arrives_with_its_place() {
        let (out, inn) = message::pair().unwrap();
        let (ours, theirs) = message::pair().unwrap();
        let place = RetainedPlace { slot: 7, index: 30, serial: 1 << 40 };
        send_copy(&out, theirs.as_fd(), place).unwrap();
        drop(theirs);
        let Taken::Copy(copy, came) = take(inn.as_fd()) else { panic!("no copy") };
        assert_eq!(came, place);
        message::send(&copy, b"x", &[]).unwrap();
        assert!(matches!(message::receive(&ours, &mut [0; 4]).unwrap(), Received::Message(1, _)));
    }
}

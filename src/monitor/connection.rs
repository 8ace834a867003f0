//! A connection: reads requests and writes answers without waiting.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};

use super::answer::{self, Answers};
use super::http;
use super::views::Views;
use crate::sys::clock::Moment;

/// A request must have arrived, and its answer been taken, in this time.
const ACTIVE: Duration = Duration::from_secs(5);
/// A kept connection may be idle for so long. Prometheus asks once a minute at least.
const IDLE: Duration = Duration::from_secs(120);

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    fd: OwnedFd,
    received: Vec<u8>,
    /// What has to be sent, from there on.
    answer: Vec<u8>,
    sent: usize,
    /// It is closed then.
    pub(super) until: Moment,
    /// It is closed when the answer is sent.
    last: bool,
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waits {
    ToReceive,
    ToSend,
    /// It has ended.
    No,
}

impl Connection {
    pub(super) fn new(fd: OwnedFd, now: Moment) -> Self {
        Self { fd, received: Vec::new(), answer: Vec::new(), sent: 0, until: now + ACTIVE, last: false }
    }

    /// How many bytes of an answer the client has not taken, and those before them.
    pub(super) fn unsent(&self) -> usize {
        self.answer.len()
    }

    /// Goes on as far as that is possible.
    pub(super) fn advance(&mut self, answers: &mut Answers, views: &mut Views, now: Moment) -> Waits {
        // One request a turn, so that a client that sends many does not keep others waiting.
        if self.answer.is_empty() {
            let open = match self.receive() {
                Ok(open) => open,
                Err(Errno::EAGAIN | Errno::EINTR) => true,
                Err(_) => return Waits::No,
            };
            // A client that sends no more may wait for answers to what it has sent.
            if !open && self.received.is_empty() {
                return Waits::No;
            }
            match http::read(&self.received) {
                Ok(None) if !open => return Waits::No,
                Ok(None) => return Waits::ToReceive,
                Ok(Some(mut request)) => {
                    request.keeps &= !answers.leaving;
                    self.received.drain(..request.length.min(self.received.len()));
                    self.answer = answers.to(&request, views, now);
                    self.last |= !request.keeps;
                }
                Err(refusal) => {
                    self.answer = answer::refused(refusal);
                    self.last = true;
                }
            }
            self.until = now + ACTIVE;
        }
        match self.send() {
            Ok(true) if self.last => Waits::No,
            Ok(true) => {
                self.until = now + if self.received.is_empty() { IDLE } else { ACTIVE };
                // A request that has arrived already is answered next.
                if self.received.is_empty() { Waits::ToReceive } else { Waits::ToSend }
            }
            Ok(false) | Err(Errno::EAGAIN | Errno::EINTR) => Waits::ToSend,
            Err(_) => Waits::No,
        }
    }

    /// Receives as much as a request may have. False: the client has closed the connection.
    fn receive(&mut self) -> Result<bool, Errno> {
        let mut bytes = [0; http::LONGEST];
        let room = http::LONGEST.saturating_sub(self.received.len());
        let Some(room) = bytes.get_mut(..room).filter(|room| !room.is_empty()) else { return Ok(true) };
        let count = recv(self.fd.as_raw_fd(), room, MsgFlags::MSG_DONTWAIT)?;
        self.received.extend_from_slice(bytes.get(..count).unwrap_or_default());
        Ok(count > 0)
    }

    /// Sends what the client takes. True: it has taken all.
    fn send(&mut self) -> Result<bool, Errno> {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        while let Some(rest) = self.answer.get(self.sent..).filter(|rest| !rest.is_empty()) {
            self.sent += send(self.fd.as_raw_fd(), rest, flags)?;
        }
        (self.answer, self.sent) = (Vec::new(), 0);
        Ok(true)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

//! Reports of a zygote to the supervisor: JSON in the packets of a one-way pipe, without blocking, in order.

use std::collections::VecDeque;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::de::DeserializeOwned;

use super::messages::ToSupervisor;
use crate::sys::packets::{self, LONGEST};
use crate::sys::peer_pipe::{PeerPipe, Read};

/// The receiving side, in the supervisor.
#[derive(Debug)]
pub(crate) struct ReportReceiver<R> {
    pipe: PeerPipe,
    kinds: PhantomData<fn() -> R>,
}

/// What `ReportReceiver::receive` returns.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received<R> {
    /// A message.
    Message(R),
    /// There is no message at the moment.
    Nothing,
    /// A process keeps the pipe locked.
    Locked,
    /// The other side has closed its end, or has sent something that is no message.
    Gone,
}

impl<R: DeserializeOwned> ReportReceiver<R> {
    /// Makes a pipe for the reports of that group's zygote: the receiving side, and the descriptor of the other side.
    ///
    /// # Errors
    /// `EMFILE`.
    pub(crate) fn pair(group: &str) -> io::Result<(Self, OwnedFd)> {
        let (reading, writing) = packets::pair()?;
        Ok((Self::new(reading, group), writing))
    }

    /// A receiver over the reading end of a pipe.
    #[must_use]
    pub(crate) fn new(fd: OwnedFd, group: &str) -> Self {
        Self { pipe: PeerPipe::new(fd, &format!("[group {group}]")), kinds: PhantomData }
    }

    /// Finds out whether a process keeps the pipe locked.
    pub(crate) fn probe(&self) {
        self.pipe.probe();
    }

    /// Takes one message.
    pub(crate) fn receive(&self) -> Received<R> {
        let mut buffer = [0; LONGEST];
        match self.pipe.read(&mut buffer) {
            Ok(Read::Bytes(length)) => {
                let message = buffer.get(..length).and_then(|bytes| serde_json::from_slice(bytes).ok());
                message.map_or(Received::Gone, Received::Message)
            }
            Ok(Read::Nothing) => Received::Nothing,
            Ok(Read::Locked) => Received::Locked,
            Ok(Read::Closed) | Err(_) => Received::Gone,
        }
    }
}

impl<R> AsFd for ReportReceiver<R> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// The sending side, in a zygote.
#[derive(Debug)]
pub(crate) struct ReportSender {
    fd: OwnedFd,
    waiting: VecDeque<Vec<u8>>,
}

impl ReportSender {
    /// A sender over the writing end of a pipe.
    #[must_use]
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self { fd, waiting: VecDeque::new() }
    }

    /// Sends a message, or queues it if the kernel can't take it now. That the supervisor has gone is noticed by the
    /// end of the orders.
    pub(crate) fn send(&mut self, message: &ToSupervisor) {
        self.send_packet(message.packet());
    }

    /// The same for a message that is encoded already.
    pub(crate) fn send_packet(&mut self, packet: Vec<u8>) {
        self.waiting.push_back(packet);
        self.flush();
    }

    /// Sends queued messages as far as the kernel takes them.
    pub(crate) fn flush(&mut self) {
        while let Some(packet) = self.waiting.front() {
            match packets::send(&self.fd, packet) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Ok(()) | Err(_) => drop(self.waiting.pop_front()),
            }
        }
    }

    /// Whether messages wait for the supervisor to read.
    #[must_use]
    pub(crate) fn is_backed_up(&self) -> bool {
        !self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_keep_their_order_past_what_the_kernel_holds() {
        let (receiver, theirs) = ReportReceiver::<ToSupervisor>::pair("www").unwrap();
        let mut sender = ReportSender::new(theirs);
        for slot in 0..2000 {
            sender.send(&ToSupervisor::ForkFailed { pool: 0, slot, errno: 1 });
        }
        assert!(sender.is_backed_up());
        let mut next = 0;
        while next < 2000 {
            match receiver.receive() {
                Received::Message(message) => {
                    assert_eq!(message, ToSupervisor::ForkFailed { pool: 0, slot: next, errno: 1 });
                    next += 1;
                }
                Received::Nothing => sender.flush(),
                Received::Gone | Received::Locked => panic!("gone"),
            }
        }
        drop(sender);
        assert_eq!(receiver.receive(), Received::Gone);
    }

    #[test]
    fn nonsense_is_the_end() {
        let nonsense: [&[u8]; 4] = [b"{\"Forked\":", b"\xff", b"7", &[b'['; LONGEST]];
        for bytes in nonsense {
            let (receiver, theirs) = ReportReceiver::<ToSupervisor>::pair("www").unwrap();
            packets::send(&theirs, bytes).unwrap();
            assert_eq!(receiver.receive(), Received::Gone);
        }
    }
}

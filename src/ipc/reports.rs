//! What a zygote tells the supervisor: JSON in the packets of a one-way pipe, never blocking, in order.

use std::collections::VecDeque;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::de::DeserializeOwned;

use super::messages::ToSupervisor;
use crate::sys::packets::{self, LONGEST};

/// The hearing side.
#[derive(Debug)]
pub struct ReportReceiver<R> {
    fd: OwnedFd,
    kinds: PhantomData<fn() -> R>,
}

/// What `ReportReceiver::receive` found.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<R> {
    /// A message.
    Message(R),
    /// None at the moment.
    Nothing,
    /// The other side has gone or speaks nonsense.
    Gone,
}

impl<R: DeserializeOwned> ReportReceiver<R> {
    /// A pipe: this side of it, and the descriptor of the other.
    ///
    /// # Errors
    /// `EMFILE`.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let (reading, writing) = packets::pair()?;
        Ok((Self::new(reading), writing))
    }

    /// Over the reading end of a pipe.
    #[must_use]
    pub fn new(fd: OwnedFd) -> Self {
        Self { fd, kinds: PhantomData }
    }

    /// Takes one message.
    pub fn receive(&self) -> Received<R> {
        let mut buffer = [0; LONGEST];
        match packets::receive(&self.fd, &mut buffer) {
            Ok(packets::Received::Packet(length)) => {
                let message = buffer.get(..length).and_then(|bytes| serde_json::from_slice(bytes).ok());
                message.map_or(Received::Gone, Received::Message)
            }
            Ok(packets::Received::Nothing) => Received::Nothing,
            Ok(packets::Received::Gone) | Err(_) => Received::Gone,
        }
    }
}

impl<R> AsFd for ReportReceiver<R> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The speaking side, in a zygote.
#[derive(Debug)]
pub struct ReportSender {
    fd: OwnedFd,
    waiting: VecDeque<Vec<u8>>,
}

impl ReportSender {
    /// Over the writing end of a pipe.
    #[must_use]
    pub fn new(fd: OwnedFd) -> Self {
        Self { fd, waiting: VecDeque::new() }
    }

    /// Says something, or queues what the kernel can't take now. A lost supervisor is noticed elsewhere.
    pub fn send(&mut self, message: &ToSupervisor) {
        self.waiting.push_back(message.packet());
        self.flush();
    }

    /// Says what was queued, as far as it goes.
    pub fn flush(&mut self) {
        while let Some(packet) = self.waiting.front() {
            match packets::send(&self.fd, packet) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Ok(()) | Err(_) => drop(self.waiting.pop_front()),
            }
        }
    }

    /// Whether something waits for the supervisor to hear.
    #[must_use]
    pub fn is_backed_up(&self) -> bool {
        !self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_keep_their_order_past_what_the_kernel_holds() {
        let (receiver, theirs) = ReportReceiver::<ToSupervisor>::pair().unwrap();
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
                Received::Gone => panic!("gone"),
            }
        }
        drop(sender);
        assert_eq!(receiver.receive(), Received::Gone);
    }

    #[test]
    fn nonsense_is_the_end() {
        let nonsense: [&[u8]; 4] = [b"{\"Forked\":", b"\xff", b"7", &[b'['; LONGEST]];
        for bytes in nonsense {
            let (receiver, theirs) = ReportReceiver::<ToSupervisor>::pair().unwrap();
            packets::send(&theirs, bytes).unwrap();
            assert_eq!(receiver.receive(), Received::Gone);
        }
    }
}

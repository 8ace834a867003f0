//! A channel between a zygote and one of its workers, in both directions: JSON in SOCK_SEQPACKET messages. It never
//! blocks and keeps the order, however slow the other side is.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::sys::message::{self, Received};

/// The longest message in bytes. A longer one is an error, it is not cut.
const LONGEST: usize = 16 * 1024;

/// The most messages that wait for a side that doesn't read, since a worker's request may run for weeks. Beyond that
/// the oldest is dropped: either a later message replaces it, or the worker's slot says the same.
const MOST_WAITING: usize = 64;

/// One side of a channel: sends `S`, receives `R`.
#[derive(Debug)]
pub(crate) struct Channel<S, R> {
    fd: OwnedFd,
    waiting: VecDeque<(Vec<u8>, Vec<OwnedFd>)>,
    kinds: PhantomData<fn(S) -> R>,
}

/// What `Channel::receive` returns.
#[derive(Debug)]
pub(crate) enum Incoming<R> {
    /// A message and its descriptors.
    Message(R, Vec<OwnedFd>),
    /// There is no message at the moment.
    Nothing,
    /// The other side has closed its end.
    Gone,
    /// The other side has sent something that is no message.
    Nonsense,
}

impl<S: Serialize, R: DeserializeOwned> Channel<S, R> {
    /// A channel over one end of a `message::pair`.
    #[must_use]
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self { fd, waiting: VecDeque::new(), kinds: PhantomData }
    }

    /// Sends a message, or queues it if the kernel can't take it now. `receive` notices that the peer has gone.
    pub(crate) fn send(&mut self, message: &S, fds: Vec<OwnedFd>) {
        let Ok(bytes) = serde_json::to_vec(message) else { return };
        self.waiting.push_back((bytes, fds));
        self.flush();
        if self.waiting.len() > MOST_WAITING {
            self.waiting.pop_front();
        }
    }

    /// Sends queued messages as far as the kernel takes them. Call it when the descriptor is writable.
    pub(crate) fn flush(&mut self) {
        while let Some((bytes, fds)) = self.waiting.front() {
            let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
            match message::send(&self.fd, bytes, &fds) {
                Err(e) if message::is_for_later(&e) => return,
                Ok(()) | Err(_) => drop(self.waiting.pop_front()),
            }
        }
    }

    /// Whether messages wait for the other side to read.
    #[must_use]
    pub(crate) fn is_backed_up(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Takes one message.
    pub(crate) fn receive(&mut self) -> Incoming<R> {
        let mut buffer = [0u8; LONGEST];
        match message::receive(&self.fd, &mut buffer) {
            Ok(Received::Nothing) => Incoming::Nothing,
            Ok(Received::Message(length, fds)) => match serde_json::from_slice(&buffer[..length]) {
                Ok(message) => Incoming::Message(message, fds),
                Err(_) => Incoming::Nonsense,
            },
            Ok(Received::Gone) => Incoming::Gone,
            Err(_) => Incoming::Nonsense,
        }
    }
}

impl<S, R> AsFd for Channel<S, R> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ToWorker, WorkerSays};
    use super::*;

    #[test]
    fn messages_keep_their_order_and_the_last_past_what_the_kernel_holds() {
        let (a, b) = message::pair().unwrap();
        let mut zygote = Channel::<ToWorker, WorkerSays>::new(a);
        let mut worker = Channel::<WorkerSays, ToWorker>::new(b);
        for reopened in 0..2000 {
            zygote.send(&ToWorker::AccessLog { reopened }, Vec::new());
        }
        assert!(zygote.is_backed_up());
        let mut heard = Vec::new();
        while heard.last() != Some(&1999) {
            match worker.receive() {
                Incoming::Message(ToWorker::AccessLog { reopened }, _) => heard.push(reopened),
                Incoming::Nothing => zygote.flush(),
                other => panic!("{other:?}"),
            }
        }
        // The messages that the kernel held, and the last of those that waited.
        assert!(heard.is_sorted() && heard.first() == Some(&0), "{heard:?}");
        assert!(heard.len() < 2000 && heard.ends_with(&(2000 - 64..2000).collect::<Vec<_>>()), "{heard:?}");
        drop(zygote);
        assert!(matches!(worker.receive(), Incoming::Gone));
    }

    #[test]
    fn nonsense_is_the_end_of_a_channel() {
        let (a, b) = message::pair().unwrap();
        message::send(&a, b"{\"Failed\":", &[]).unwrap();
        assert!(matches!(Channel::<ToWorker, WorkerSays>::new(b).receive(), Incoming::Nonsense));
    }
}

//! Orders of the supervisor to a zygote or base zygote: JSON in SOCK_SEQPACKET messages, with descriptors. Nothing comes back this
//! way: the supervisor's end is shut for reading before a zygote gets the other end.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use serde::Serialize;

use crate::sys::clock::Moment;
use crate::sys::message;

/// The most orders that may wait for a zygote, in addition to those about its workers.
const MOST: usize = 1024;
/// The most orders about one worker that may wait: fork, retire, two signals.
const MOST_OF_WORKER: usize = 4;
/// A zygote that takes no order for so long while some wait counts as stalled.
const PATIENCE: Duration = Duration::from_secs(10);

/// The sending side, in the supervisor.
#[derive(Debug)]
pub(crate) struct OrderSender {
    fd: OwnedFd,
    waiting: VecDeque<(Vec<u8>, Vec<OwnedFd>)>,
    most: usize,
    /// Since when the first of the waiting orders waits.
    since: Option<Moment>,
    overrun: bool,
}

impl OrderSender {
    /// Makes a pair: the sending side, and the descriptor of the other side, which can only receive.
    ///
    /// # Errors
    /// `EMFILE`.
    pub(crate) fn pair(workers: usize) -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = message::pair()?;
        message::refuse_all(&ours)?;
        Ok((Self::new(ours, workers), theirs))
    }

    /// A sender over one end of a pair, to a zygote with places for so many workers.
    #[must_use]
    pub(crate) fn new(fd: OwnedFd, workers: usize) -> Self {
        let most = MOST.saturating_add(workers.saturating_mul(MOST_OF_WORKER));
        Self { fd, waiting: VecDeque::new(), most, since: None, overrun: false }
    }

    /// Sends an order, or queues it if the kernel can't take it now. If too many wait already, the zygote counts as
    /// stalled.
    pub(crate) fn send(&mut self, now: Moment, order: &impl Serialize, fds: Vec<OwnedFd>) {
        let Ok(bytes) = serde_json::to_vec(order) else { return };
        self.overrun |= self.waiting.len() >= self.most;
        if !self.overrun {
            self.waiting.push_back((bytes, fds));
            self.flush(now);
        }
    }

    /// Sends queued orders as far as the kernel takes them.
    pub(crate) fn flush(&mut self, now: Moment) {
        while let Some((bytes, fds)) = self.waiting.front() {
            let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
            match message::send(&self.fd, bytes, &fds) {
                Err(e) if message::is_for_later(&e) => {
                    self.since.get_or_insert(now);
                    return;
                }
                Ok(()) | Err(_) => drop(self.waiting.pop_front()),
            }
            self.since = None;
        }
    }

    /// Whether messages wait for the zygote to read.
    #[must_use]
    pub(crate) fn is_backed_up(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether the zygote has stopped reading: it takes no orders, or too many wait for it.
    #[must_use]
    pub(crate) fn is_stalled(&self, now: Moment) -> bool {
        self.overrun || self.since.is_some_and(|since| now.since(since) >= PATIENCE)
    }

    /// The descriptor, and those of orders that were not sent, whose other ends may hold data already.
    #[must_use]
    pub(crate) fn into_fds(self) -> (OwnedFd, Vec<OwnedFd>) {
        (self.fd, self.waiting.into_iter().flat_map(|(_, fds)| fds).collect())
    }
}

impl AsFd for OrderSender {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Channel, Incoming, ToZygote};
    use super::*;

    fn retire(slot: u32) -> ToZygote {
        ToZygote::Retire { pool: 0, slot }
    }

    #[test]
    fn orders_keep_their_order_past_what_the_kernel_holds() {
        let (mut orders, theirs) = OrderSender::pair(300).unwrap();
        let mut zygote = Channel::<(), ToZygote>::new(theirs);
        (0..2000).for_each(|slot| orders.send(Moment::default(), &retire(slot), Vec::new()));
        assert!(orders.is_backed_up() && !orders.is_stalled(Moment::at_millis(9_999)));
        let mut next = 0;
        while next < 2000 {
            match zygote.receive() {
                Incoming::Message(message, _) => {
                    assert_eq!(message, retire(next));
                    next += 1;
                }
                Incoming::Nothing => orders.flush(Moment::at_millis(9_999)),
                Incoming::Gone | Incoming::Nonsense => panic!("gone"),
            }
        }
        assert!(!orders.is_stalled(Moment::at_millis(1 << 40)));
        drop(orders);
        assert!(matches!(zygote.receive(), Incoming::Gone));
    }

    #[test]
    fn who_takes_nothing_is_given_up() {
        let (mut orders, _theirs) = OrderSender::pair(0).unwrap();
        while !orders.is_backed_up() {
            orders.send(Moment::at_millis(100), &retire(0), Vec::new());
        }
        assert!(!orders.is_stalled(Moment::at_millis(10_099)) && orders.is_stalled(Moment::at_millis(10_100)));
        for slot in 0..5000 {
            orders.send(Moment::at_millis(100), &retire(slot), vec![std::fs::File::open("/dev/null").unwrap().into()]);
            assert!(orders.waiting.len() <= MOST);
        }
        assert!(orders.is_stalled(Moment::at_millis(100)));
        assert_eq!(orders.into_fds().1.len(), 1023, "one before them had none");
    }

    #[test]
    fn nothing_can_be_sent_against_the_stream() {
        let (mut orders, theirs) = OrderSender::pair(1).unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        for fds in [&[][..], &[file.as_fd()]] {
            let refused = message::send(&theirs, b"\"Stays\"", fds).unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(libc::EPIPE));
        }
        orders.send(Moment::default(), &retire(7), Vec::new());
        assert!(matches!(Channel::<(), ToZygote>::new(theirs).receive(), Incoming::Message(..)));
    }
}

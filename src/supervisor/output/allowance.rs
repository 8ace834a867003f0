//! How much of a process's output is read into the log: a flood is let go, counted, and told in one line a second.

use crate::sys::clock::Millis;

/// Bytes a second of one pipe.
const RATE: u64 = 1 << 20;
const SECOND: u64 = 1000;

/// One pipe's allowance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Allowance {
    /// When the present second began.
    since: Millis,
    taken: u64,
    dropped: u64,
}

impl Allowance {
    /// How many of `count` bytes that have come are for the log; the rest is dropped.
    pub(super) fn take(&mut self, now: Millis, count: u64) -> u64 {
        if now.since(self.since) >= SECOND {
            (self.since, self.taken) = (now, 0);
        }
        let granted = count.min(RATE - self.taken);
        self.taken += granted;
        self.dropped += count - granted;
        granted
    }

    /// So many bytes were dropped before they came here.
    pub(super) fn drop_all(&mut self, count: u64) {
        self.dropped += count;
    }

    /// The number of bytes that were dropped, once their second is over or `always`.
    pub(super) fn settle(&mut self, now: Millis, always: bool) -> Option<u64> {
        let over = always || now.since(self.since) >= SECOND;
        let dropped = if over { std::mem::take(&mut self.dropped) } else { 0 };
        (dropped > 0).then_some(dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_in_a_second_is_dropped_and_told_once() {
        let mut allowance = Allowance::default();
        let at = |ms: u64| Millis(5000 + ms);
        assert_eq!(allowance.take(at(0), RATE - 10), RATE - 10);
        assert_eq!(allowance.take(at(500), 30), 10);
        assert_eq!(allowance.take(at(900), 7), 0);
        assert_eq!(allowance.settle(at(900), false), None);
        assert_eq!(allowance.settle(at(1000), false), Some(27));
        assert_eq!(allowance.settle(at(1000), true), None);
        assert_eq!(allowance.take(at(1000), 100), 100);
    }
}

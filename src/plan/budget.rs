//! How much one peer may say: messages by a bucket of tokens, text for the log by bytes a second.

use crate::sys::clock::Millis;

/// Tokens are counted in thousandths, so that each millisecond brings some.
const TOKEN: u64 = 1000;
/// A peer that has used up its tokens is heard again when so many have come together, so that a flood wakes its reader seldom.
const HANDFUL: u64 = 8;
const SECOND: u64 = 1000;

/// A bucket of tokens: each message takes one, time brings new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    capacity: u64,
    /// Tokens a second.
    rate: u64,
    /// Thousandths.
    left: u64,
    /// When `left` was right.
    at: Millis,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub fn new(now: Millis, capacity: u64, rate: u64) -> Self {
        let capacity = capacity.max(HANDFUL) * TOKEN;
        Self { capacity, rate: rate.max(1), left: capacity, at: now }
    }

    /// What a zygote with so many pools and places for workers may say of its own accord.
    #[must_use]
    pub fn of_zygote(now: Millis, pools: u64, workers: u64) -> Self {
        const BURST: u64 = 256;
        const RATE: u64 = 64;
        Self::new(now, BURST + ANSWERS * workers, RATE * pools)
    }

    fn refill(&mut self, now: Millis) {
        let gained = now.since(self.at).saturating_mul(self.rate);
        self.left = self.left.saturating_add(gained).min(self.capacity);
        self.at = self.at.max(now);
    }

    /// Takes a token, if there is one.
    pub fn take(&mut self, now: Millis) -> bool {
        self.refill(now);
        let there = self.left >= TOKEN;
        if there {
            self.left -= TOKEN;
        }
        there
    }

    /// Something was asked for: its answers are no chatter.
    pub fn credit(&mut self, tokens: u64) {
        self.left = self.left.saturating_add(tokens * TOKEN).min(self.capacity);
    }

    /// When a peer without tokens is to be heard again.
    #[must_use]
    pub fn again(&self) -> Millis {
        let missing = (HANDFUL * TOKEN).saturating_sub(self.left);
        self.at.plus(missing.div_ceil(self.rate).max(1))
    }
}

/// Messages that a worker's life takes: it exists, it waits, it leaves, it has ended.
pub const ANSWERS: u64 = 4;

/// Bytes of text that go into the log: what is more in a second is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Bytes a second.
    rate: u64,
    /// When the present second began.
    since: Millis,
    taken: u64,
    dropped: u64,
}

impl Allowance {
    /// So many bytes a second.
    #[must_use]
    pub fn new(rate: u64) -> Self {
        Self { rate, since: Millis::default(), taken: 0, dropped: 0 }
    }

    fn begin(&mut self, now: Millis) {
        if now.since(self.since) >= SECOND {
            (self.since, self.taken) = (now, 0);
        }
    }

    /// How many of `count` bytes that have come are for the log; the rest is dropped and counted.
    pub fn take(&mut self, now: Millis, count: u64) -> u64 {
        self.begin(now);
        let granted = count.min(self.rate - self.taken);
        self.taken += granted;
        self.dropped += count - granted;
        granted
    }

    /// So many bytes were dropped before they came here.
    pub fn drop_all(&mut self, count: u64) {
        self.dropped += count;
    }

    /// Whether a line of `count` bytes is for the log, whole; if not, it is counted as one.
    pub fn take_line(&mut self, now: Millis, count: u64) -> bool {
        self.begin(now);
        let fits = count <= self.rate - self.taken;
        if fits {
            self.taken += count;
        } else {
            self.dropped += 1;
        }
        fits
    }

    /// The number of bytes or lines that were dropped, once their second is over or `always`.
    pub fn settle(&mut self, now: Millis, always: bool) -> Option<u64> {
        let over = always || now.since(self.since) >= SECOND;
        let dropped = if over { std::mem::take(&mut self.dropped) } else { 0 };
        (dropped > 0).then_some(dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spend(bucket: &mut Bucket, now: Millis) -> u64 {
        (0..).take_while(|_| bucket.take(now)).count() as u64
    }

    #[test]
    fn a_burst_then_what_time_brings() {
        let start = Millis(10_000);
        let mut bucket = Bucket::of_zygote(start, 1, 5);
        assert_eq!(spend(&mut bucket, start), 256 + 4 * 5);
        assert_eq!(bucket.again(), start.plus(125), "eight tokens at 64 a second");
        assert_eq!(spend(&mut bucket, start.plus(15)), 0);
        let again = bucket.again();
        assert_eq!(spend(&mut bucket, again), 8);
        assert_eq!(spend(&mut bucket, start.plus(1125)), 64);
        assert_eq!(spend(&mut bucket, start.plus(1_000_000)), 276, "no more than it holds");
    }

    #[test]
    fn what_was_asked_for_is_paid() {
        let start = Millis(10_000);
        let mut bucket = Bucket::new(start, 100, 1);
        assert_eq!(spend(&mut bucket, start), 100);
        bucket.credit(ANSWERS);
        assert_eq!(spend(&mut bucket, start), 4);
        bucket.credit(1_000_000);
        assert_eq!(spend(&mut bucket, start), 100, "no more than it holds");
    }

    #[test]
    fn a_clock_that_stands_or_jumps_does_no_harm() {
        let mut bucket = Bucket::new(Millis(50), 8, 10);
        assert_eq!(spend(&mut bucket, Millis(0)), 8);
        assert!(!bucket.take(Millis(0)));
        assert_eq!(spend(&mut bucket, Millis(u64::MAX)), 8);
    }

    #[test]
    fn more_pools_have_more_to_say() {
        let start = Millis(0);
        let mut bucket = Bucket::of_zygote(start, 3, 0);
        assert_eq!(spend(&mut bucket, start), 256);
        assert_eq!(spend(&mut bucket, start.plus(1000)), 3 * 64);
    }

    #[test]
    fn what_is_too_much_in_a_second_is_dropped_and_told_once() {
        let mut allowance = Allowance::new(1000);
        let at = |ms: u64| Millis(5000 + ms);
        assert_eq!(allowance.take(at(0), 990), 990);
        assert_eq!(allowance.take(at(500), 30), 10);
        assert_eq!(allowance.take(at(900), 7), 0);
        assert_eq!(allowance.settle(at(900), false), None);
        assert_eq!(allowance.settle(at(1000), false), Some(27));
        assert_eq!(allowance.settle(at(1000), true), None);
        assert_eq!(allowance.take(at(1000), 100), 100);
    }

    #[test]
    fn lines_are_whole_or_counted() {
        let mut allowance = Allowance::new(1000);
        let at = |ms: u64| Millis(5000 + ms);
        assert!(allowance.take_line(at(0), 600));
        assert!(!allowance.take_line(at(1), 600));
        assert!(allowance.take_line(at(2), 400));
        assert!(!allowance.take_line(at(3), 1));
        assert_eq!(allowance.settle(at(3), true), Some(2));
        assert!(allowance.take_line(at(1000), 1000));
    }
}

//! How much one peer may send: messages by a token bucket, text for the log by bytes a second.

use std::time::Duration;

use crate::sys::clock::{self, Moment};

/// Tokens are counted in thousandths, so that each millisecond brings some.
const TOKEN: u64 = 1000;
/// A peer that has used up its tokens is read again when it has so many, so that a flood wakes its reader seldom.
const HANDFUL: u64 = 8;
const SECOND: Duration = Duration::from_secs(1);

/// A bucket of tokens: each message takes one, time brings new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bucket {
    capacity: u64,
    /// Tokens a second.
    rate: u64,
    /// Thousandths.
    left: u64,
    /// When `left` was right.
    at: Moment,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub(crate) fn new(now: Moment, capacity: u64, rate: u64) -> Self {
        let capacity = capacity.max(HANDFUL) * TOKEN;
        Self { capacity, rate: rate.max(1), left: capacity, at: now }
    }

    /// The number of unrequested messages that a zygote with this number of pools and slots may send.
    #[must_use]
    pub(crate) fn of_zygote(now: Moment, pools: u64, workers: u64) -> Self {
        const BURST: u64 = 256;
        const RATE: u64 = 64;
        Self::new(now, BURST + ANSWERS * workers, RATE * pools)
    }

    fn refill(&mut self, now: Moment) {
        let gained = clock::millis(now.since(self.at)).saturating_mul(self.rate);
        self.left = self.left.saturating_add(gained).min(self.capacity);
        self.at = self.at.max(now);
    }

    /// Takes a token, if there is one.
    pub(crate) fn take(&mut self, now: Moment) -> bool {
        self.refill(now);
        let there = self.left >= TOKEN;
        if there {
            self.left -= TOKEN;
        }
        there
    }

    /// An order was sent: the answers to it are paid for.
    pub(crate) fn credit(&mut self, tokens: u64) {
        self.left = self.left.saturating_add(tokens * TOKEN).min(self.capacity);
    }

    /// When to read a peer without tokens again.
    #[must_use]
    pub(crate) fn again(&self) -> Moment {
        let missing = (HANDFUL * TOKEN).saturating_sub(self.left);
        self.at + Duration::from_millis(missing.div_ceil(self.rate).max(1))
    }
}

/// Messages about one worker's life: forked, accepting, left, exited.
pub(crate) const ANSWERS: u64 = 4;

/// Lines for the log, by bytes a second. Lines beyond that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// Bytes a second.
    rate: u64,
    /// When the present second began.
    since: Moment,
    taken: u64,
    dropped: u64,
}

impl Allowance {
    /// So many bytes a second.
    #[must_use]
    pub(crate) fn new(rate: u64) -> Self {
        Self { rate, since: Moment::default(), taken: 0, dropped: 0 }
    }

    fn begin(&mut self, now: Moment) {
        if now.since(self.since) >= SECOND {
            (self.since, self.taken) = (now, 0);
        }
    }

    /// Whether to log a line of `count` bytes; if not, it is counted.
    pub(crate) fn take_line(&mut self, now: Moment, count: u64) -> bool {
        self.begin(now);
        let fits = count <= self.rate - self.taken;
        if fits {
            self.taken += count;
        } else {
            self.dropped += 1;
        }
        fits
    }

    /// The number of lines that were dropped, once their second is over or `always`.
    pub(crate) fn settle(&mut self, now: Moment, always: bool) -> Option<u64> {
        let over = always || now.since(self.since) >= SECOND;
        let dropped = if over { std::mem::take(&mut self.dropped) } else { 0 };
        (dropped > 0).then_some(dropped)
    }
}

/// The output of all processes of a group in a second: how much of it is read and how much is logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Intake {
    /// When the present second began.
    since: Moment,
    /// Bytes that were read, each look at a pipe as at least `LOOK` of them.
    read: u64,
    /// Bytes of whole lines, with date and prefix.
    logged: u64,
}

impl Intake {
    /// Bytes a second that the log grows by; what comes beyond is dropped.
    pub(crate) const LOGGED: u64 = 1 << 20;
    /// Bytes a second that are read, so that also what is dropped costs little time. The rest waits in its pipe.
    pub(crate) const READ: u64 = 4 << 20;
    /// Each read counts as this many bytes at least: it costs time, however little it brings.
    const LOOK: u64 = 512;

    fn begin(&mut self, now: Moment) {
        if now.since(self.since) >= SECOND {
            *self = Self { since: now, read: 0, logged: 0 };
        }
    }

    /// So many bytes were read.
    pub(crate) fn read(&mut self, now: Moment, count: u64) {
        self.begin(now);
        self.read = self.read.saturating_add(count.max(Self::LOOK));
    }

    /// When to read the pipes again, if there was too much in this second.
    pub(crate) fn rests(&mut self, now: Moment) -> Option<Moment> {
        self.begin(now);
        (self.read >= Self::READ).then(|| self.since + SECOND)
    }

    /// Whether to log a line of `count` bytes. After the first dropped line, the rest of that second is dropped too.
    pub(crate) fn log(&mut self, now: Moment, count: u64) -> bool {
        self.begin(now);
        // The first one of a second is taken, however long it is.
        let fits = self.logged == 0 || self.logged.saturating_add(count) <= Self::LOGGED;
        self.logged = if fits { self.logged.saturating_add(count.max(1)) } else { Self::LOGGED };
        fits
    }

    /// Whether all further lines of this second are dropped.
    pub(crate) fn is_full(&mut self, now: Moment) -> bool {
        self.begin(now);
        self.logged >= Self::LOGGED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spend(bucket: &mut Bucket, now: Moment) -> u64 {
        (0..).take_while(|_| bucket.take(now)).count() as u64
    }

    #[test]
    fn a_burst_then_what_time_brings() {
        let start = Moment::at_millis(10_000);
        let mut bucket = Bucket::of_zygote(start, 1, 5);
        assert_eq!(spend(&mut bucket, start), 256 + 4 * 5);
        assert_eq!(bucket.again(), start + Duration::from_millis(125), "eight tokens at 64 a second");
        assert_eq!(spend(&mut bucket, start + Duration::from_millis(15)), 0);
        let again = bucket.again();
        assert_eq!(spend(&mut bucket, again), 8);
        assert_eq!(spend(&mut bucket, start + Duration::from_millis(1125)), 64);
        assert_eq!(spend(&mut bucket, start + Duration::from_millis(1_000_000)), 276, "no more than it holds");
    }

    #[test]
    fn what_was_asked_for_is_paid() {
        let start = Moment::at_millis(10_000);
        let mut bucket = Bucket::new(start, 100, 1);
        assert_eq!(spend(&mut bucket, start), 100);
        bucket.credit(ANSWERS);
        assert_eq!(spend(&mut bucket, start), 4);
        bucket.credit(1_000_000);
        assert_eq!(spend(&mut bucket, start), 100, "no more than it holds");
    }

    #[test]
    fn a_clock_that_stands_or_jumps_does_no_harm() {
        let mut bucket = Bucket::new(Moment::at_millis(50), 8, 10);
        assert_eq!(spend(&mut bucket, Moment::at_millis(0)), 8);
        assert!(!bucket.take(Moment::at_millis(0)));
        assert_eq!(spend(&mut bucket, Moment::at_millis(u64::MAX)), 8);
    }

    #[test]
    fn more_pools_have_more_to_say() {
        let start = Moment::at_millis(0);
        let mut bucket = Bucket::of_zygote(start, 3, 0);
        assert_eq!(spend(&mut bucket, start), 256);
        assert_eq!(spend(&mut bucket, start + Duration::from_millis(1000)), 3 * 64);
    }

    #[test]
    fn the_log_grows_by_so_much_in_a_second() {
        let (mut intake, at) = (Intake::default(), |ms: u64| Moment::at_millis(5000 + ms));
        assert!(intake.log(at(0), Intake::LOGGED - 10) && !intake.is_full(at(0)));
        assert!(intake.log(at(1), 10) && intake.is_full(at(1)));
        assert!(!intake.log(at(999), 1));
        assert!(!intake.is_full(at(1000)) && intake.log(at(1000), 90));
        assert!(!intake.log(at(1001), Intake::LOGGED), "too long");
        assert!(!intake.log(at(1002), 1), "what comes after a gap waits for the next second");
        assert!(intake.log(at(2000), 2 * Intake::LOGGED), "the first one");
        assert!(!intake.log(at(2001), 1));
    }

    #[test]
    fn so_much_is_read_in_a_second_in_so_many_looks() {
        let (mut intake, at) = (Intake::default(), |ms: u64| Moment::at_millis(5000 + ms));
        intake.read(at(10), Intake::READ - 512);
        assert_eq!(intake.rests(at(20)), None);
        intake.read(at(20), 1);
        assert_eq!(intake.rests(at(30)), Some(at(1010)));
        assert_eq!(intake.rests(at(1009)), Some(at(1010)));
        assert_eq!(intake.rests(at(1010)), None);
        let looks = (0..).take_while(|_| {
            intake.read(at(1010), 0);
            intake.rests(at(1010)).is_none()
        });
        assert_eq!(looks.count(), 8191);
    }

    #[test]
    fn lines_are_whole_or_counted() {
        let mut allowance = Allowance::new(1000);
        let at = |ms: u64| Moment::at_millis(5000 + ms);
        assert!(allowance.take_line(at(0), 600));
        assert!(!allowance.take_line(at(1), 600));
        assert!(allowance.take_line(at(2), 400));
        assert!(!allowance.take_line(at(3), 1));
        assert_eq!(allowance.settle(at(3), false), None);
        assert_eq!(allowance.settle(at(3), true), Some(2));
        assert!(allowance.take_line(at(1000), 1000));
    }
}

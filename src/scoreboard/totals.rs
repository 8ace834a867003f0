//! A pool's counters: one sealed memory per pool, the same for all its generations, so that a reload loses no count.
//! Several write them, by atomic operations; they steer nothing but what a status page shows, and
//! when a worker looks for a log that was opened anew.

use std::time::Duration;

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;

use crate::sys::clock::Moment;
use crate::sys::shared::{self, Words};

/// The counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// Requests begun.
    Requests = 0,
    /// Kept connections given to the zygote.
    Parked = 1,
    /// Times a worker was woken for another connection while it held one.
    Disrupted = 2,
    /// Workers inside a request.
    Active = 3,
    /// The most of them at once.
    ActiveMax = 4,
    /// Connections that wait to be accepted, at the supervisor's last look.
    Queue = 5,
    /// The most that it ever saw.
    QueueMax = 6,
    /// How many may wait.
    QueueLimit = 7,
    /// Times that `pm.max_children` kept the pool from growing.
    LimitReached = 8,
    /// Requests that were logged as slow.
    Slow = 9,
    /// The most memory of a request, in bytes.
    MemoryPeak = 10,
    /// When the pool started, in seconds since 1970.
    Started = 11,
    /// Not 0: somebody has looked at the pool's status, so CPU times are wanted.
    Watched = 12,
    /// How many times the supervisor has opened access logs anew; only it writes that.
    Reopened = 13,
    /// Clients that `listen.allowed_clients` kept out since that was last logged.
    Refused = 14,
    /// When it was, in milliseconds of the monotonic clock; 0: never.
    RefusalTold = 15,
    /// Not 0: the whole is about to stop, and nobody should send more requests; only the supervisor writes that.
    Leaving = 16,
    /// Forms that were cut off.
    Incomplete = 17,
    /// Requests whose clients had gone while they waited, dropped.
    Abandoned = 18,
    /// Settings that came with requests and were refused since that was last logged.
    SettingsRefused = 19,
    /// When it was, as `RefusalTold`.
    SettingTold = 20,
}

/// The time between two lines about clients that were kept out, or about their settings: they can't fill the log.
const TELL_EVERY: Duration = Duration::from_secs(60);

const WORDS: usize = 24;

/// The counters, mapped.
#[derive(Debug)]
pub struct Totals {
    words: Words,
}

impl Totals {
    /// Memory for a pool that starts at that second since 1970.
    ///
    /// # Errors
    /// `EMFILE`, `ENOMEM`.
    pub fn create(started: u64) -> io::Result<OwnedFd> {
        let fd = shared::create("cgi-fpm-totals", WORDS)?;
        Self::map(std::os::fd::AsFd::as_fd(&fd))?.set(Counter::Started, started);
        Ok(fd)
    }

    /// Maps it.
    ///
    /// # Errors
    /// When the memory isn't a sealed one of the right size.
    pub fn map(fd: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self { words: Words::map(fd, WORDS)? })
    }

    /// The value.
    #[must_use]
    pub fn get(&self, counter: Counter) -> u64 {
        self.words.word(counter as usize).load(Ordering::Relaxed)
    }

    /// Sets it.
    pub fn set(&self, counter: Counter, value: u64) {
        self.words.word(counter as usize).store(value, Ordering::Relaxed);
    }

    /// So many more.
    pub fn add(&self, counter: Counter, more: u64) {
        self.words.word(counter as usize).fetch_add(more, Ordering::Relaxed);
    }

    /// Begins with the numbers that another memory has at this moment.
    pub fn carry_on(&self, from: &Self) {
        use Counter::{
            Abandoned, ActiveMax, Disrupted, Incomplete, LimitReached, MemoryPeak, Parked, QueueMax, Requests, Slow,
            Started, Watched,
        };
        let all = [Requests, Parked, Disrupted, ActiveMax, QueueMax, LimitReached, Slow, MemoryPeak, Started, Watched];
        for counter in all.into_iter().chain([Incomplete, Abandoned]) {
            self.set(counter, from.get(counter));
        }
    }

    /// One less.
    pub fn take_back(&self, counter: Counter) {
        self.words.word(counter as usize).fetch_sub(1, Ordering::Relaxed);
    }

    /// To `value`, unless it is more already.
    pub fn raise(&self, counter: Counter, value: u64) {
        if value > self.get(counter) {
            self.words.word(counter as usize).fetch_max(value, Ordering::Relaxed);
        }
    }

    /// A worker's request begins, of at most `most` at once.
    pub(super) fn enter(&self, most: u64) {
        let active = self.words.word(Counter::Active as usize).fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        self.raise(Counter::ActiveMax, active.min(most));
    }

    /// It has ended; or its worker has, inside of it.
    pub fn leave(&self) {
        let less = |active: u64| active.checked_sub(1);
        let _ = self.words.word(Counter::Active as usize).fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// A client was kept out. If that is to be logged now: how many others were since the last time.
    #[must_use]
    pub fn refuse(&self, now: Moment) -> Option<u64> {
        self.tell(Counter::Refused, Counter::RefusalTold, now)
    }

    /// The same for a setting that came with a request.
    #[must_use]
    pub fn refuse_setting(&self, now: Moment) -> Option<u64> {
        self.tell(Counter::SettingsRefused, Counter::SettingTold, now)
    }

    /// One more of what `count` counts. If that is to be logged now: how many others were since `told`.
    fn tell(&self, count: Counter, told: Counter, now: Moment) -> Option<u64> {
        let told = self.words.word(told as usize);
        let last = told.load(Ordering::Relaxed);
        let due = last == 0 || now.since(Moment::at_millis(last)) >= TELL_EVERY;
        // One of several workers that come here at once.
        if due && told.compare_exchange(last, now.as_millis().max(1), Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            return Some(self.words.word(count as usize).swap(0, Ordering::Relaxed));
        }
        self.add(count, 1);
        None
    }

    /// The supervisor has looked at the pool's listening sockets.
    pub fn note_queue(&self, waiting: u64, limit: u64) {
        self.set(Counter::Queue, waiting);
        self.set(Counter::QueueLimit, limit);
        self.raise(Counter::QueueMax, waiting);
    }
}

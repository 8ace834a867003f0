//! A pool's counters: one sealed shared memory per pool for all its generations, so that a reload loses no count.
//! Several processes write them by atomic operations. Only status pages and the monitor depend on them, and when a worker looks
//! for an access log that was opened again.
//!
//! The memory is as large as the program made it that created it. One of a former version has fewer words: what has no word in it
//! is not counted, and reads as 0.

use std::time::Duration;

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use super::code_cache::{self, CacheView};
use super::counter::{Counter, RISING};
use super::histogram::{self, Histogram};
use crate::engine::CodeCache;
use crate::sys::clock::Moment;
use crate::sys::shared::{self, ReadOnlyWords, Words};

/// The classes of HTTP statuses by which requests are counted.
pub(crate) const CLASSES: [&str; 5] = ["other", "2xx", "3xx", "4xx", "5xx"];

/// The time between two log lines about refused clients or settings, so that clients cannot fill the log.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The words that each memory has, also one of a former version.
const OLDEST: usize = 24;
/// The words of counters.
const COUNTERS: usize = 48;
/// Where the histograms of durations begin, one for each class of statuses.
const DURATIONS: usize = 64;
/// Where the histogram of waits begins.
const WAITS: usize = DURATIONS + CLASSES.len() * histogram::WORDS;
/// Where the numbers of the opcode cache begin.
const CACHE: usize = WAITS + histogram::WORDS;
const WORDS: usize = CACHE + code_cache::WORDS;

/// What goes on in another memory of the pool, beside what rises.
const CARRIED: [Counter; 2] = [Counter::Started, Counter::Watched];

/// The place of a status in `CLASSES`.
fn class(status: u16) -> usize {
    match status / 100 {
        hundreds @ 2..=5 => usize::from(hundreds) - 1,
        _ => 0,
    }
}

/// The counters, mapped.
#[derive(Debug)]
pub(crate) struct Totals {
    words: Words,
    /// The values, as long as no other process has the memory. A page of shared memory that was never touched takes no memory,
    /// and most pools of a large server sleep.
    private: Option<Box<[AtomicU64; COUNTERS]>>,
    /// The words of the memory.
    count: usize,
    /// In place of words that the memory does not have.
    nowhere: AtomicU64,
}

impl Totals {
    /// Creates the memory. All counters are 0.
    ///
    /// # Errors
    /// `EMFILE`, `ENOMEM`.
    pub(crate) fn create() -> io::Result<OwnedFd> {
        shared::create("cgi-fpm-totals", WORDS)
    }

    /// Maps the memory.
    ///
    /// # Errors
    /// The file isn't sealed or has another size.
    pub(crate) fn map(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let count = shared::words_in(fd)?.clamp(OLDEST, WORDS);
        Ok(Self { words: Words::map(fd, count)?, private: None, count, nowhere: AtomicU64::new(0) })
    }

    /// Whether a former version has made the memory, which has no place for what this one counts.
    #[must_use]
    pub(crate) fn is_smaller(&self) -> bool {
        self.count < WORDS
    }

    /// The same, without touching the memory before `publish`. The first values; those that are missing are 0.
    ///
    /// # Errors
    /// As `map`.
    pub(crate) fn map_unpublished(fd: BorrowedFd<'_>, values: &[u64]) -> io::Result<Self> {
        let value = |at: usize| AtomicU64::new(values.get(at).copied().unwrap_or_default());
        Ok(Self { private: Some(Box::new(std::array::from_fn(value))), ..Self::map(fd)? })
    }

    /// Writes the values into the memory: another process is about to get it.
    pub(crate) fn publish(&mut self) {
        for (at, value) in self.private.take().iter().flat_map(|values| values.iter().enumerate()) {
            self.shared(at).store(value.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// The values, if they are not published.
    #[must_use]
    pub(crate) fn unpublished(&self) -> Option<Vec<u64>> {
        self.private.as_ref().map(|values| values.iter().map(|value| value.load(Ordering::Relaxed)).collect())
    }

    fn word(&self, counter: Counter) -> &AtomicU64 {
        let at = counter as usize;
        self.private.as_ref().and_then(|values| values.get(at)).unwrap_or_else(|| self.shared(at))
    }

    fn shared(&self, at: usize) -> &AtomicU64 {
        if at < self.count { self.words.word(at) } else { &self.nowhere }
    }

    /// The value.
    #[must_use]
    pub(crate) fn get(&self, counter: Counter) -> u64 {
        let word = self.word(counter);
        if std::ptr::eq(word, &self.nowhere) { 0 } else { word.load(Ordering::Relaxed) }
    }

    /// Sets it.
    pub(crate) fn set(&self, counter: Counter, value: u64) {
        self.word(counter).store(value, Ordering::Relaxed);
    }

    /// Adds a number to a counter.
    pub(crate) fn add(&self, counter: Counter, more: u64) {
        self.word(counter).fetch_add(more, Ordering::Relaxed);
    }

    /// Copies the values of another memory.
    pub(crate) fn carry_on(&mut self, from: &Self) {
        for counter in RISING.into_iter().chain(CARRIED) {
            self.set(counter, from.get(counter));
        }
        if from.private.is_none() {
            // Histograms and the numbers of the opcode cache are only in the memory.
            self.publish();
            for at in DURATIONS..WORDS.min(from.count) {
                self.shared(at).store(from.words.word(at).load(Ordering::Relaxed), Ordering::Relaxed);
            }
        }
    }

    /// Counts a request that has ended: two additions.
    pub(super) fn ended(&self, status: u16, micros: u64) {
        self.note_time(DURATIONS + class(status) * histogram::WORDS, micros);
    }

    /// Counts a request that has waited so long until a worker took it.
    pub(crate) fn waited(&self, micros: u64) {
        self.note_time(WAITS, micros);
    }

    fn note_time(&self, base: usize, micros: u64) {
        self.shared(base + histogram::bucket(micros)).fetch_add(1, Ordering::Relaxed);
        self.shared(base + histogram::SUM).fetch_add(micros, Ordering::Relaxed);
    }

    /// Whether this worker is the one to note the numbers of the opcode cache now, in microseconds of the monotonic clock.
    #[must_use]
    pub(crate) fn claim_code_cache(&self, now: u64) -> bool {
        !self.is_smaller() && code_cache::claim(|at| self.shared(CACHE + at), now)
    }

    /// Stores the numbers of the opcode cache of a zygote that was ready at that moment. `None`: it has none.
    pub(crate) fn note_code_cache(&self, born: Moment, cache: Option<&CodeCache>) {
        code_cache::note(|at| self.shared(CACHE + at), born.as_millis(), cache);
    }

    /// Takes one from a counter.
    pub(crate) fn take_back(&self, counter: Counter) {
        self.word(counter).fetch_sub(1, Ordering::Relaxed);
    }

    /// Raises a counter to `value`, unless it is higher already.
    pub(crate) fn raise(&self, counter: Counter, value: u64) {
        if value > self.get(counter) {
            self.word(counter).fetch_max(value, Ordering::Relaxed);
        }
    }

    /// Counts a worker as active. At most `most` can be.
    pub(super) fn enter(&self, most: u64) {
        let active = self.word(Counter::Active).fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        self.raise(Counter::ActiveMax, active.min(most));
    }

    /// Counts a worker as no longer active: its request has ended, or the worker has.
    pub(crate) fn leave(&self) {
        let less = |active: u64| active.checked_sub(1);
        let _ = self.word(Counter::Active).fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Counts a refused client. Returns the number of refusals since the last log line if a line is due.
    #[must_use]
    pub(crate) fn refuse(&self, now: Moment) -> Option<u64> {
        self.tell(Counter::Refused, Counter::RefusalTold, now)
    }

    /// The same for a setting that came with a request.
    #[must_use]
    pub(crate) fn refuse_setting(&self, now: Moment) -> Option<u64> {
        self.tell(Counter::SettingsRefused, Counter::SettingTold, now)
    }

    /// Adds one to `count`. Returns the count since the time in `told` if a log line is due.
    fn tell(&self, count: Counter, told: Counter, now: Moment) -> Option<u64> {
        let told = self.word(told);
        let last = told.load(Ordering::Relaxed);
        let due = last == 0 || now.since(Moment::at_millis(last)) >= LOG_INTERVAL;
        // Only one of several workers that come here at the same time logs the line.
        if due && told.compare_exchange(last, now.as_millis().max(1), Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            return Some(self.word(count).swap(0, Ordering::Relaxed));
        }
        self.add(count, 1);
        None
    }

    /// Stores what the supervisor has read from the pool's listening sockets.
    pub(crate) fn note_queue(&self, waiting: u64, limit: u64) {
        self.set(Counter::Queue, waiting);
        self.set(Counter::QueueLimit, limit);
        self.raise(Counter::QueueMax, waiting);
    }
}

/// The counters as another process reads them, which cannot write them.
#[derive(Debug)]
pub(crate) struct TotalsView {
    words: ReadOnlyWords,
    count: usize,
}

impl TotalsView {
    /// Maps the memory.
    ///
    /// # Errors
    /// The file isn't sealed or has another size.
    pub(crate) fn map(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let count = shared::words_in(fd)?.clamp(OLDEST, WORDS);
        Ok(Self { words: ReadOnlyWords::map(fd, count)?, count })
    }

    fn word(&self, at: usize) -> u64 {
        if at < self.count { self.words.read(at) } else { 0 }
    }

    /// The value.
    #[must_use]
    pub(crate) fn get(&self, counter: Counter) -> u64 {
        self.word(counter as usize)
    }

    /// The durations of requests whose status is of that class (`CLASSES`).
    #[must_use]
    pub(crate) fn durations(&self, class: usize) -> Histogram {
        self.histogram(DURATIONS + class.min(CLASSES.len() - 1) * histogram::WORDS)
    }

    /// How long requests have waited.
    #[must_use]
    pub(crate) fn waits(&self) -> Histogram {
        self.histogram(WAITS)
    }

    /// What workers last saw of the opcode cache.
    #[must_use]
    pub(crate) fn code_cache(&self) -> CacheView {
        code_cache::view(|at| self.word(CACHE + at))
    }

    fn histogram(&self, base: usize) -> Histogram {
        let counts = std::array::from_fn(|at| self.word(base + at));
        Histogram { counts, sum: self.word(base + histogram::SUM) }
    }
}

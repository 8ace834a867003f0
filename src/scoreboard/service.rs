//! What the supervisor publishes about itself for the monitor: one sealed shared memory for all generations and images. Only the
//! supervisor writes it; the monitor has a descriptor that is open for reading.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;

use crate::sys::shared::{self, ReadOnlyWords, Words};

/// A fact about the supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fact {
    /// When its event loop last turned, in milliseconds of the monotonic clock.
    Turned = 0,
    /// When it started, in seconds since 1970.
    Started = 1,
    /// Not 0: the start was complete.
    Ready = 2,
    /// Not 0: it is about to stop.
    Leaving = 3,
    /// Reloads after which all groups had their new configuration.
    ReloadsDone = 4,
    /// Reloads that some groups could not follow.
    ReloadsPartial = 5,
    /// Reloads that were refused, or that no group could follow.
    ReloadsFailed = 6,
    /// When the last reload has ended, in seconds since 1970.
    ReloadEnded = 7,
    /// Not 0: the last reload was refused, or a group could not follow it.
    ReloadFailed = 8,
    /// Log lines that were dropped.
    LinesDropped = 9,
    /// Bytes of workers' output that were dropped.
    OutputDropped = 10,
    /// How many times the monitor was started.
    MonitorStarts = 11,
}

/// More words than facts, so that another version finds its own.
const WORDS: usize = 64;

/// The facts, as the supervisor writes them.
#[derive(Debug)]
pub(crate) struct Service {
    fd: OwnedFd,
    words: Words,
}

impl Service {
    /// Creates the memory. All facts are 0.
    ///
    /// # Errors
    /// `EMFILE`, `ENOMEM`.
    pub(crate) fn create() -> io::Result<Self> {
        Self::adopt(shared::create("cgi-fpm-service", WORDS)?)
    }

    /// Takes over that of a former image.
    ///
    /// # Errors
    /// The file isn't sealed or is too small.
    pub(crate) fn adopt(fd: OwnedFd) -> io::Result<Self> {
        let words = Words::map(fd.as_fd(), WORDS)?;
        Ok(Self { fd, words })
    }

    /// Writes a fact.
    pub(crate) fn set(&self, fact: Fact, value: u64) {
        self.words.word(fact as usize).store(value, Ordering::Relaxed);
    }

    /// Adds to a fact that is a counter.
    pub(crate) fn add(&self, fact: Fact, more: u64) {
        self.words.word(fact as usize).fetch_add(more, Ordering::Relaxed);
    }

    /// The present value.
    #[must_use]
    pub(crate) fn get(&self, fact: Fact) -> u64 {
        self.words.word(fact as usize).load(Ordering::Relaxed)
    }
}

impl Service {
    /// Its supervisor has served before, for an unknown time.
    pub(crate) fn begin_as_ready(&self, now: u64) {
        self.set(Fact::Started, now);
        self.set(Fact::Ready, 1);
    }

    /// The start or a reload is complete; `partial`: some groups keep what they had.
    pub(crate) fn reload_done(&self, partial: bool, now: u64) {
        if self.get(Fact::Ready) == 0 {
            return self.set(Fact::Ready, 1);
        }
        self.add(if partial { Fact::ReloadsPartial } else { Fact::ReloadsDone }, 1);
        self.set(Fact::ReloadFailed, u64::from(partial));
        self.set(Fact::ReloadEnded, now);
    }

    /// A reload had no effect.
    pub(crate) fn reload_failed(&self, now: u64) {
        self.add(Fact::ReloadsFailed, 1);
        self.set(Fact::ReloadFailed, 1);
        self.set(Fact::ReloadEnded, now);
    }
}

impl AsFd for Service {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The facts, as the monitor reads them.
#[derive(Debug)]
pub(crate) struct ServiceView(ReadOnlyWords);

impl ServiceView {
    /// Maps the memory.
    ///
    /// # Errors
    /// The file isn't sealed or is too small.
    pub(crate) fn map(fd: BorrowedFd<'_>) -> io::Result<Self> {
        ReadOnlyWords::map(fd, WORDS).map(Self)
    }

    /// The present value.
    #[must_use]
    pub(crate) fn get(&self, fact: Fact) -> u64 {
        self.0.read(fact as usize)
    }
}

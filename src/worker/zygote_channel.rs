//! A worker's channel to its zygote. The access log reads it in the middle of a request; other messages are then kept
//! until the worker asks for them.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::ipc::{Channel, Incoming, ToWorker, WorkerSays};
use crate::sys::{fd::lift, socket};

/// An access log, and how many times the logs had been opened again when this one was opened.
pub(crate) type AccessLogFile = (OwnedFd, u64);

/// The channel to the zygote, and the messages that have come over it.
#[derive(Debug)]
pub(super) struct ZygoteChannel {
    channel: RefCell<Channel<WorkerSays, ToWorker>>,
    gone: Cell<bool>,
    retired: Cell<bool>,
    parting: Cell<bool>,
    /// The former file is closed as soon as a new one has come, so that a rotated log isn't kept open.
    access_log: RefCell<Option<OwnedFd>>,
    reopened: Cell<u64>,
}

impl ZygoteChannel {
    /// Makes it over that channel, with the access log that the worker has inherited.
    #[must_use]
    pub(super) fn new(channel: Channel<WorkerSays, ToWorker>, access_log: Option<AccessLogFile>) -> Self {
        let (file, reopened) = access_log.unzip();
        Self {
            channel: RefCell::new(channel),
            gone: Cell::new(false),
            retired: Cell::new(false),
            parting: Cell::new(false),
            access_log: RefCell::new(file),
            reopened: Cell::new(reopened.unwrap_or(0)),
        }
    }

    /// Sends a message to the zygote.
    pub(super) fn say(&self, says: WorkerSays) {
        self.channel.borrow_mut().send(&says, Vec::new());
    }

    /// Lends the descriptor that is readable when a message has come.
    pub(super) fn with_descriptor<T>(&self, work: impl FnOnce(BorrowedFd<'_>) -> T) -> T {
        work(self.channel.borrow().as_fd())
    }

    /// Receives one message. Returns false if there was none.
    pub(super) fn hear(&self) -> bool {
        match self.channel.borrow_mut().receive() {
            Incoming::Message(ToWorker::AccessLog { reopened }, mut fds) => {
                if let Some(fd) = fds.pop() {
                    self.access_log.replace(Some(lift(fd)));
                    self.reopened.set(reopened);
                }
                true
            }
            Incoming::Message(ToWorker::Retire, _) => {
                self.retired.set(true);
                true
            }
            Incoming::Message(ToWorker::Part, _) => {
                self.parting.set(true);
                true
            }
            Incoming::Nothing => false,
            Incoming::Gone | Incoming::Nonsense => {
                self.gone.set(true);
                false
            }
        }
    }

    /// Waits for a message, up to `limit`.
    fn await_message(&self, limit: Duration) -> bool {
        !self.gone.get() && socket::await_input(self.channel.borrow().as_fd(), Instant::now() + limit) == Ok(true)
    }

    /// Whether this worker has to exit because the pool needs fewer.
    #[must_use]
    pub(super) fn is_retired(&self) -> bool {
        self.retired.get()
    }

    /// Whether the zygote is about to exit.
    #[must_use]
    pub(super) fn is_zygote_leaving(&self) -> bool {
        self.parting.get()
    }

    /// Whether the zygote has gone.
    #[must_use]
    pub(super) fn is_zygote_gone(&self) -> bool {
        self.gone.get()
    }

    /// Receives messages until the access log is the one that was opened for the `reopened`th time. It has come or is
    /// on its way, because it is sent before it is counted. If it doesn't come, the present one stays. The count is
    /// in memory that other processes can write, so each value is waited for only once.
    pub(super) fn follow_access_log(&self, reopened: u64, limit: Duration) {
        while reopened > self.reopened.get() {
            if !self.await_message(limit) {
                self.reopened.set(reopened);
                return;
            }
            self.hear();
        }
    }

    /// Calls `work` with the access log, if there is one.
    pub(super) fn with_access_log(&self, work: impl FnOnce(BorrowedFd<'_>)) {
        if let Some(file) = &*self.access_log.borrow() {
            work(file.as_fd());
        }
    }
}

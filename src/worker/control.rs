//! What its zygote tells a worker. It may be heard in the middle of a request, for the access log's sake; what else came
//! then waits until the worker looks.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::ipc::{Channel, Incoming, ToWorker, WorkerSays};
use crate::sys::{fd::lift, socket};

/// The access log of a worker: where it goes, and how many times logs had been opened anew when this one was opened.
pub type LogFile = (OwnedFd, u64);

/// The channel to the zygote, and what has come over it.
#[derive(Debug)]
pub struct Control {
    channel: RefCell<Channel<WorkerSays, ToWorker>>,
    gone: Cell<bool>,
    access_log: RefCell<Option<LogFile>>,
}

impl Control {
    /// Over that channel.
    #[must_use]
    pub fn new(channel: Channel<WorkerSays, ToWorker>) -> Self {
        Self { channel: RefCell::new(channel), gone: Cell::new(false), access_log: RefCell::new(None) }
    }

    /// Tells the zygote.
    pub fn say(&self, says: WorkerSays) {
        self.channel.borrow_mut().send(&says, Vec::new());
    }

    /// Lends the descriptor that is readable when something has come.
    pub fn with_descriptor<T>(&self, work: impl FnOnce(BorrowedFd<'_>) -> T) -> T {
        work(self.channel.borrow().as_fd())
    }

    /// Takes one message in. False: there was none.
    pub fn hear(&self) -> bool {
        match self.channel.borrow_mut().receive() {
            Incoming::Message(ToWorker::AccessLog { reopened }, mut fds) => {
                if let Some(fd) = fds.pop() {
                    self.access_log.replace(Some((lift(fd), reopened)));
                }
                true
            }
            Incoming::Nothing => false,
            Incoming::Gone => {
                self.gone.set(true);
                false
            }
        }
    }

    /// Waits until a message has come or the zygote is gone, for so long at most.
    pub fn await_message(&self, limit: Duration) -> bool {
        !self.gone.get() && socket::await_input(self.channel.borrow().as_fd(), Instant::now() + limit) == Ok(true)
    }

    /// The zygote is gone.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.gone.get()
    }

    /// The access log that came last and wasn't taken yet.
    #[must_use]
    pub fn take_access_log(&self) -> Option<LogFile> {
        self.access_log.take()
    }
}

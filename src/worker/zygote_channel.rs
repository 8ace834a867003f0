//! What its zygote tells a worker. It may be heard in the middle of a request, for the access log's sake; what else came
//! then waits until the worker looks.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::ipc::{Channel, Incoming, ToWorker, WorkerSays};
use crate::sys::{fd::lift, socket};

/// The access log of a worker: where it goes, and how many times logs had been opened anew when this one was opened.
pub type AccessLogFile = (OwnedFd, u64);

/// The channel to the zygote, and what has come over it.
#[derive(Debug)]
pub struct ZygoteChannel {
    channel: RefCell<Channel<WorkerSays, ToWorker>>,
    gone: Cell<bool>,
    retired: Cell<bool>,
    parting: Cell<bool>,
    /// The former one is closed as soon as another has come: nobody needs to keep a file that was rotated away.
    access_log: RefCell<Option<OwnedFd>>,
    reopened: Cell<u64>,
}

impl ZygoteChannel {
    /// Over that channel, with the access log that the worker has from its beginning.
    #[must_use]
    pub fn new(channel: Channel<WorkerSays, ToWorker>, access_log: Option<AccessLogFile>) -> Self {
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

    /// Waits until a message has come, for so long at most.
    fn await_message(&self, limit: Duration) -> bool {
        !self.gone.get() && socket::await_input(self.channel.borrow().as_fd(), Instant::now() + limit) == Ok(true)
    }

    /// The pool needs fewer workers: this one is to leave.
    #[must_use]
    pub fn is_retired(&self) -> bool {
        self.retired.get()
    }

    /// The zygote is about to go.
    #[must_use]
    pub fn is_zygote_leaving(&self) -> bool {
        self.parting.get()
    }

    /// The zygote is gone.
    #[must_use]
    pub fn is_zygote_gone(&self) -> bool {
        self.gone.get()
    }

    /// Takes in messages until the access log is the one that was opened anew for that time. It is here or on its way, because
    /// it is sent before it is counted; where it doesn't come, the present one stays. The count is in memory that others can
    /// write, so each is waited for once only.
    pub fn follow_access_log(&self, reopened: u64, limit: Duration) {
        while reopened > self.reopened.get() {
            if !self.await_message(limit) {
                self.reopened.set(reopened);
                return;
            }
            self.hear();
        }
    }

    /// Works on the access log, if there is one.
    pub fn with_access_log(&self, work: impl FnOnce(BorrowedFd<'_>)) {
        if let Some(file) = &*self.access_log.borrow() {
            work(file.as_fd());
        }
    }
}

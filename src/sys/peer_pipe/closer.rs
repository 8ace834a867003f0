//! A child that closes pipes, and the pipes that it has been told to close.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::pipe::{Label, PATIENCE};
use super::reader::{Answer, KEPT, Reader};
use crate::sys::clock::{self, Moment};

/// Closing takes some microseconds, so a pipe that is the first one for so long is locked.
const FIRST: Duration = Duration::from_millis(50);

/// The child, and its pipes.
#[derive(Debug)]
pub(super) struct Closer {
    child: Reader,
    held: Option<Label>,
    /// With the time of the order, the oldest first.
    pipes: VecDeque<(Label, Moment)>,
    /// Since when the first one is the first, or when to unlock it again.
    since: Moment,
}

impl Closer {
    pub(super) fn start() -> Option<Self> {
        let child = Reader::start().ok()?;
        Some(Self { child, held: None, pipes: VecDeque::new(), since: clock::now() })
    }

    /// Gives it a pipe. False: it takes no order, since it waits for a lock.
    pub(super) fn hold(&mut self, pipe: BorrowedFd<'_>, label: Label) -> bool {
        let taken = self.child.order_hold(pipe).is_ok();
        self.held = taken.then_some(label);
        taken
    }

    /// Tells it to close the pipe that it holds.
    pub(super) fn close(&mut self) {
        let Some(pipe) = self.held.take() else { return };
        if self.child.order_close().is_ok() {
            self.pipes.push_back((pipe, clock::now()));
        }
    }

    /// Takes its answers. False: it has ended.
    pub(super) fn look(&mut self) -> bool {
        loop {
            match self.child.look(&mut []) {
                Answer::Closed => {
                    self.pipes.pop_front();
                    self.since = clock::now();
                }
                answer => return !matches!(answer, Answer::Gone),
            }
        }
    }

    /// Whether it has nothing to do.
    pub(super) fn is_idle(&self) -> bool {
        self.pipes.is_empty()
    }

    /// The pipe whose lock it waits for, if it has waited too long.
    pub(super) fn locked(&self, now: Moment) -> Option<&Label> {
        let (pipe, ordered) = self.pipes.front()?;
        let late = now.since(*ordered) >= KEPT + PATIENCE;
        (late && now.since(self.since) >= FIRST).then_some(pipe)
    }

    /// Its first pipe is being unlocked: `locked` does not return it before that time.
    pub(super) fn wait_until(&mut self, time: Moment) {
        self.since = time;
    }
}

//! A short-lived child that becomes the user who controls a directory and opens or changes a file there. It can do only what that
//! user may do. If a file system hangs, only the child hangs. It has no capabilities and no descriptors except those that it
//! needs, other processes of the user cannot look into it, and it has a time limit.

mod known_users;
mod report;
mod work;

use std::cell::Cell;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::time::{Duration, Instant};

use super::{Entry, Op, time_limit};
use crate::sys::process::Forked;
use crate::sys::task_child::TaskChild;
use crate::sys::{message, single_threaded};
pub(super) use report::Report;

/// How long a child is waited for after its answer or SIGKILL. One that a hanging mount holds takes longer.
const LAST_MOMENT: Duration = Duration::from_millis(10);

/// A child at work.
#[derive(Debug)]
pub(super) struct UserChild {
    child: TaskChild,
    channel: OwnedFd,
    user: u32,
    limit: Duration,
    deadline: Instant,
    answered: Cell<bool>,
}

impl UserChild {
    /// Starts a child for that user, which walks the rest of an entry's path from this directory and carries out `op`.
    pub(super) fn start(user: u32, (dir, entry): (&OwnedFd, &Entry), keep: &[RawFd], op: &Op) -> io::Result<Self> {
        let (ours, theirs) = message::pair()?;
        let known = known_users::find(user);
        match single_threaded::fork()? {
            Forked::Child => work::run(user, known, (dir, entry), keep, op, &theirs),
            Forked::Parent(pid) => {
                let limit = time_limit::limit_of(user);
                Ok(Self {
                    child: TaskChild::new(pid),
                    channel: ours,
                    user,
                    limit,
                    deadline: Instant::now() + limit,
                    answered: Cell::new(false),
                })
            }
        }
    }

    /// Its report, if it arrives by then.
    pub(super) fn report(&self, until: Option<Instant>) -> Option<io::Result<Report>> {
        let until = until.unwrap_or_else(Instant::now).min(self.deadline);
        let (answered, stopped) = self.child.await_input(&self.channel, until);
        if answered != Ok(false) || stopped || Instant::now() >= self.deadline {
            time_limit::charge(self.user, (Instant::now() + self.limit).saturating_duration_since(self.deadline));
        }
        self.answered.set(answered == Ok(true));
        match answered {
            Ok(true) => Some(report::receive(&self.channel).and_then(|(identity, report)| {
                if let Some(identity) = identity.filter(|identity| identity.uid == self.user) {
                    known_users::keep(identity);
                }
                report
            })),
            Ok(false) if stopped => {
                let text = format!("user {} has stopped the helper process, which is now killed", self.user);
                Some(Err(io::Error::other(text)))
            }
            Ok(false) if Instant::now() < self.deadline => None,
            Ok(false) => {
                let text = format!(
                    "a directory of user {} did not answer within {} ms: does a file system hang there?",
                    self.user,
                    self.limit.as_millis()
                );
                Some(Err(io::Error::other(text)))
            }
            Err(e) => Some(Err(e.into())),
        }
    }
}

impl Drop for UserChild {
    fn drop(&mut self) {
        // One that has not answered may not be killable: a hanging mount may hold it.
        self.child.kill(if self.answered.get() { LAST_MOMENT } else { Duration::ZERO });
    }
}

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

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::Id;
use nix::unistd::Pid;

use super::{Entry, Op, time_limit};
use crate::sys::proc_stat::{self, Origin};
use crate::sys::process::{self, Forked};
use crate::sys::{message, pidfd, single_threaded, socket};
pub(super) use report::Report;

/// How long a child is waited for after its answer or SIGKILL. One that a hanging mount holds takes longer.
const LAST_MOMENT: Duration = Duration::from_millis(10);

/// How often the parent checks whether the user has stopped the child.
const STOP_CHECK: Duration = Duration::from_millis(25);

/// A child at work.
#[derive(Debug)]
pub(super) struct UserChild {
    pid: Pid,
    child: Option<pidfd::Process>,
    origin: Option<Origin>,
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
                let child = pidfd::Process::open(pid).ok();
                let origin = proc_stat::origin(pid);
                Ok(Self {
                    pid,
                    child,
                    origin,
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
        let (answered, stopped) = self.wait(until);
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

impl UserChild {
    /// Whether it has answered by then, and whether its user has stopped it. A stopped child is not waited for.
    fn wait(&self, until: Instant) -> (Result<bool, Errno>, bool) {
        loop {
            let answered = socket::await_input(&self.channel, until.min(Instant::now() + STOP_CHECK));
            if answered != Ok(false) {
                return (answered, false);
            }
            let stopped = match &self.child {
                Some(child) => child.was_stopped(),
                None => process::has_been_stopped(Id::Pid(self.pid)),
            };
            if stopped || Instant::now() >= until {
                return (answered, stopped);
            }
        }
    }
}

impl Drop for UserChild {
    /// Kills the child and waits only for a moment: a hanging mount may hold it for longer. It is then reaped together with the
    /// next child that ends.
    fn drop(&mut self) {
        match &self.child {
            Some(child) => {
                let _ = child.signal(Signal::SIGKILL);
                // One that has not answered may not be killable.
                let limit = if self.answered.get() { LAST_MOMENT } else { Duration::ZERO };
                if child.ends_within(limit) {
                    child.reap();
                }
            }
            // A seccomp filter refuses pidfd_open. The pid may belong to another process by now, so its origin is compared.
            None if self.origin.is_some() && proc_stat::origin(self.pid) == self.origin => {
                process::kill(self.pid, Signal::SIGKILL);
            }
            None => {}
        }
    }
}

//! How far a reload has come, and the process that checks the new program.

use std::os::fd::OwnedFd;

use nix::unistd::Pid;

use crate::supervisor::output::Bounded;
use crate::sys::clock::Millis;

/// A check that takes longer is killed, and the reload refused.
pub(super) const CHECK_LIMIT: u64 = 30_000;

/// One reload under way, one wished for: more would only repeat these.
#[derive(Debug, Default)]
pub struct Reload {
    pub(super) wished: bool,
    pub(super) check: Option<Check>,
    pub(super) said_waiting: bool,
}

/// Device, inode, size, time of change.
pub(super) type FileMark = Option<(u64, u64, u64, i64, i64)>;

#[derive(Debug)]
pub(super) struct Check {
    pub(super) pid: Pid,
    /// What the files were when it began.
    pub(super) files: Vec<FileMark>,
    pub(super) output: OwnedFd,
    pub(super) token: u64,
    pub(super) said: Bounded,
    pub(super) deadline: Millis,
}

impl Reload {
    pub fn is_check(&self, pid: Pid) -> bool {
        self.check.as_ref().is_some_and(|c| c.pid == pid)
    }

    pub fn deadline(&self) -> Option<Millis> {
        self.check.as_ref().map(|c| c.deadline)
    }
}

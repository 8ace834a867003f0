//! How far a reload has come, and the process that checks the new program.

use std::os::fd::OwnedFd;

use nix::unistd::Pid;

use crate::plan;
use crate::supervisor::output::Bounded;
use crate::sys::peer_pipe::PeerPipe;

/// One reload at most is under way.
#[derive(Debug, Default)]
pub(crate) struct Reload {
    /// The decision.
    pub(super) plan: plan::reload::Reload,
    /// The check that runs.
    pub(super) check: Option<CheckProcess>,
}

/// Identifies a file and its content.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FileMark {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    /// Seconds since 1970.
    pub(super) modified: i64,
    /// Nanoseconds after that.
    pub(super) nanos: i64,
}

/// A child that checks whether the new program can take over.
#[derive(Debug)]
pub(super) struct CheckProcess {
    pub(super) pid: Pid,
    /// Program, library and configuration as they were when it began; `None`: a file that could not be found.
    pub(super) files: Vec<Option<FileMark>>,
    /// Its stdout and stderr.
    pub(super) output: PeerPipe,
    /// The poller's token of that pipe.
    pub(super) token: u64,
    /// Its output.
    pub(super) printed: Bounded,
    /// Where it writes which generations' files have changed, if that matters.
    pub(super) answer: Option<OwnedFd>,
}

impl Reload {
    /// Whether that child is the check.
    pub(crate) fn is_check(&self, pid: Pid) -> bool {
        self.check.as_ref().is_some_and(|check| check.pid == pid)
    }

    /// When the check has to have ended.
    pub(crate) fn deadline(&self) -> Option<crate::sys::clock::Moment> {
        self.plan.deadline()
    }
}

//! How far a reload has come, and the process that checks the new program.

use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

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
    /// The program and its library, as they were when this image began.
    pub(super) image: [Option<FileMark>; 2],
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

impl FileMark {
    /// The mark of the file at that path; `None`: it could not be found.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let m = std::fs::metadata(path).ok()?;
        let (device, inode, size) = (m.dev(), m.ino(), m.size());
        Some(Self { device, inode, size, modified: m.mtime(), nanos: m.mtime_nsec() })
    }
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

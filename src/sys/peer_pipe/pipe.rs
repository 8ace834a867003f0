//! A pipe as the children that read and close it are told of it.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::sys::stat::fstat;

/// A pipe that is locked so long is unlocked by force. A process that holds the lock by chance needs some milliseconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// A pipe and the owner of its writers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pipe<'a> {
    pub fd: BorrowedFd<'a>,
    pub owner: &'a str,
}

impl Pipe<'_> {
    pub(super) fn label(self) -> Label {
        Label { inode: fstat(self.fd).map_or(0, |stat| stat.st_ino), owner: self.owner.to_owned() }
    }
}

/// The same for the log and for the kernel.
#[derive(Debug, Clone)]
pub(super) struct Label {
    /// Its inode, as in `/proc/PID/fd`.
    pub inode: u64,
    /// The group or pool of its writers.
    pub owner: String,
}

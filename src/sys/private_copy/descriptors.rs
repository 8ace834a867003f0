//! Descriptors that were opened since a moment. The only one that is understood is the lock of opcache: an empty file without a name,
//! in which processes lock bytes (fcntl(2), `F_SETLK`).

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::path::PathBuf;

use nix::sys::memfd::MFdFlags;
use nix::sys::stat::{FileStat, SFlag, stat};

use super::{Obstacle, System as _};
use crate::sys::{fd, shared};

/// The descriptors that were open at a moment.
#[derive(Debug)]
pub struct OpenDescriptors(BTreeSet<RawFd>);

impl OpenDescriptors {
    /// Those that are open now.
    #[must_use]
    pub fn now() -> Self {
        // The list has the descriptor that it was read from, which is closed by now.
        Self(fd::open_numbers().into_iter().filter(|raw| target(*raw).is_some()).collect())
    }

    /// The lock file that was opened since then, if there is one.
    ///
    /// # Errors
    /// Another descriptor was opened, or more than one lock.
    pub(super) fn lock_since(&self) -> Result<Option<Lock>, Obstacle> {
        let mut lock = None;
        for raw in fd::open_numbers().into_iter().filter(|raw| !self.0.contains(raw)) {
            let Some(target) = target(raw) else { continue };
            let stat = stat(link(raw).as_str()).of("stat")?;
            if lock.is_some() || !is_lock(&stat) {
                return Err(Obstacle::Descriptor(target.to_string_lossy().into_owned()));
            }
            lock = Some(Lock { raw, file: (stat.st_dev, stat.st_ino) });
        }
        Ok(lock)
    }
}

/// A lock file, under a number that PHP uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lock {
    pub(super) raw: RawFd,
    /// Its device and inode.
    file: (u64, u64),
}

impl Lock {
    /// Puts a new lock file at its number (dup3(2)). Locks of bytes belong to a file and a process: processes that share a file could
    /// keep each other waiting for ever.
    pub(super) fn replace(self) -> Result<(), Obstacle> {
        let present = stat(link(self.raw).as_str()).of("stat")?;
        if (present.st_dev, present.st_ino) != self.file {
            return Err(Obstacle::Descriptor(link(self.raw)));
        }
        let own = shared::memory_file("opcache_lock", MFdFlags::empty()).of("memfd_create")?;
        // SAFETY: the number still has the lock file that PHP has opened (`lock_since`), so no other value owns it. PHP only locks
        // bytes in it, and finds an equal file under the number, in which no byte is locked.
        let done = unsafe { libc::dup3(own.as_raw_fd(), self.raw, libc::O_CLOEXEC) };
        if done < 0 { Err(io::Error::last_os_error()).of("dup3") } else { Ok(()) }
    }
}

fn link(raw: RawFd) -> String {
    format!("/proc/self/fd/{raw}")
}

/// What the descriptor is open for; `None`: it is closed.
fn target(raw: RawFd) -> Option<PathBuf> {
    std::fs::read_link(link(raw)).ok()
}

/// Whether it is an empty file that has no name, such as a memfd.
fn is_lock(stat: &FileStat) -> bool {
    let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
    kind == SFlag::S_IFREG && stat.st_nlink == 0 && stat.st_size == 0
}

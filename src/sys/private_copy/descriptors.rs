//! Descriptors that were opened since a moment. The only one that is understood is the lock of opcache: an empty file without a name,
//! in which processes lock bytes (fcntl(2), `F_SETLK`).
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::os::fd::RawFd;
use std::path::PathBuf;

use nix::sys::stat::{FileStat, SFlag, stat};

use super::{Obstacle, System as _};
use crate::sys::fd;

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
    pub(super) fn lock_since(&self) -> Result<Option<RawFd>, Obstacle> {
        let mut lock = None;
        for raw in fd::open_numbers().into_iter().filter(|raw| !self.0.contains(raw)) {
            let Some(target) = target(raw) else { continue };
            let stat = stat(link(raw).as_str()).of("stat")?;
            if lock.is_some() || !is_lock(&stat) {
                return Err(Obstacle::Descriptor(target.to_string_lossy().into_owned()));
            }
            lock = Some(raw);
        }
        Ok(lock)
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

//! The directory that a worker returns to after each script.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::env::current_dir;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open};
use nix::sys::stat::{FileStat, Mode, fstat, fstatat};
use nix::unistd::{chdir, fchdir};

use super::clock;

/// The working directory at some time, to return to.
///
/// fchdir(2) takes a third of the time of chdir(2), which looks up each part of the path. So the directory is kept open (`O_PATH`)
/// where its path leads to it.
#[derive(Debug)]
pub struct WorkingDirectory {
    path: PathBuf,
    is_root: bool,
    kept: Option<OwnedFd>,
    /// When it was last there, in microseconds of `CLOCK_MONOTONIC`. It is looked for no more often than every `FRESH`, since a
    /// look takes longer than fchdir.
    seen: Cell<u64>,
}

/// In microseconds: it may be noticed so much later that the directory was removed.
const FRESH: u64 = 10_000;

impl WorkingDirectory {
    /// The present one. `None`: it has no path.
    #[must_use]
    pub fn present() -> Option<Self> {
        let path = current_dir().ok()?;
        let kept = open_present(&path).ok().flatten();
        let is_root = path == Path::new("/");
        Some(Self { path, is_root, kept, seen: Cell::new(0) })
    }

    /// Returns to it. If it was removed, or cannot be reached by its path, the process stays where it is.
    pub fn enter(&self) {
        let _ = match &self.kept {
            Some(kept) if self.is_root || self.is_there(kept) => fchdir(kept),
            Some(_) => Ok(()),
            None => chdir(&self.path),
        };
    }

    fn is_there(&self, kept: &OwnedFd) -> bool {
        let now = clock::micros();
        if now.saturating_sub(self.seen.get()) < FRESH {
            return true;
        }
        let exists = exists(kept);
        if exists {
            self.seen.set(now);
        }
        exists
    }
}

/// Opens the directory of that path, unless it is not the present one any more.
fn open_present(path: &Path) -> nix::Result<Option<OwnedFd>> {
    let opened = open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    // Not `stat(".")`, which looks "." up and so must be able to enter the directory.
    let here = fstatat(AT_FDCWD, "", AtFlags::AT_EMPTY_PATH)?;
    let number = |stat: FileStat| (stat.st_dev, stat.st_ino);
    Ok((number(fstat(opened.as_fd())?) == number(here)).then_some(opened))
}

/// A directory that was removed has no link.
fn exists(directory: &OwnedFd) -> bool {
    fstat(directory).is_ok_and(|stat| stat.st_nlink > 0)
}

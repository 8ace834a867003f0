//! Removing the file of a socket, unless another socket has taken its place.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Instant;

use nix::sys::stat::SFlag;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::RULES;
use crate::sys::named_file::statx::statx;
use crate::sys::named_file::{Answer, Controller, Entry, Task};
use crate::sys::sock_diag::FileId;

/// A removal that may still be going on in a child.
#[derive(Debug)]
pub struct Removal(Task);

/// Removes the file at that path if it belongs to this socket.
#[must_use]
pub fn remove(path: &Path, socket: &OwnedFd) -> Removal {
    let id = FileId::of(socket).ok().flatten();
    Removal(Task::start(path, RULES, &[], Box::new(move |entry| remove_in(entry, id))))
}

/// The note of an answer: the file belongs to another socket.
const FOREIGN: u32 = 1;

fn remove_in(entry: &Entry, id: Option<FileId>) -> io::Result<Answer> {
    let file = entry.hold()?;
    if !statx(&file, OsStr::new(""))?.is(SFlag::S_IFSOCK) {
        return Ok(Answer::default());
    }
    if !may_change(entry, &file, id) {
        return Ok(Answer { file: None, note: FOREIGN });
    }
    unlinkat(entry.dir(), &entry.name, UnlinkatFlags::NoRemoveDir)?;
    Ok(Answer::default())
}

/// Whether the file belongs to the socket with that id. Where the kernel does not tell, it may be removed or renamed only if no other
/// user can have put it there, or with that user's own rights.
pub(super) fn may_change(entry: &Entry, file: &OwnedFd, id: Option<FileId>) -> bool {
    let same = id.and_then(|id| id.is(file));
    same.unwrap_or_else(|| entry.controller != Controller::Shared && !entry.through)
}

impl Removal {
    /// Whether it is over by then.
    pub fn is_over(&mut self, until: Instant) -> bool {
        self.0.is_over(Some(until))
    }

    /// Waits for its end. False: the path belongs to another socket, whose file stays.
    ///
    /// # Errors
    /// The file could not be removed. A missing file is no error.
    pub fn wait(self) -> io::Result<bool> {
        match self.0.wait() {
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(true),
            done => Ok(done?.answer.note != FOREIGN),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::net::UnixListener;

    use super::super::{Proof, find};
    use super::*;

    #[test]
    fn only_our_own_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let ours = OwnedFd::from(UnixListener::bind(&path).unwrap());
        fs::remove_file(&path).unwrap();
        assert!(remove(&path, &ours).wait().unwrap(), "where there is none");
        let other = OwnedFd::from(UnixListener::bind(&path).unwrap());
        assert_eq!(find(&path).unwrap().is_of(&ours), Proof::Foreign);
        assert!(!remove(&path, &ours).wait().unwrap() && path.exists());
        assert!(remove(&path, &other).wait().unwrap() && !path.exists());
    }
}

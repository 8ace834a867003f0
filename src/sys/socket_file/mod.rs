//! Files of unix sockets. Each is held by a descriptor, so that a change reaches that file even if
//! another one takes its place: directories of sockets often belong to a pool's user, who must not be able to direct root's chown at other files.
#![forbid(unsafe_code)]

mod access;
mod bind;
mod placing;
mod removal;

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::stat::SFlag;

pub use access::{Access, Failure};
pub use bind::{Binding, NotBound, Place};
pub use placing::{Placing, place};
pub use removal::{Removal, remove};

use super::named_file::statx::{Attributes, statx};
use super::named_file::{Answer, Controller, Entry, Finished, Rules, Task};
use super::sock_diag::FileId;

/// The file of a unix socket.
#[derive(Debug)]
pub struct SocketFile {
    file: OwnedFd,
    controller: Controller,
    /// The group that a new file in its directory gets, where that is the directory's (set-group-ID bit).
    group: Option<u32>,
    /// A user who can replace a part of the path to it.
    pub through: Option<u32>,
}

/// Whether a file belongs to a socket of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// It does: the kernel says so, or it does not tell but no other user can have put it there.
    Ours,
    /// It belongs to another socket.
    Foreign,
    /// Unknown: the kernel does not tell, and another user may have put it there.
    None,
}

/// A symbolic link as the last name is not followed, so it is no socket.
const RULES: Rules = Rules { follow: false, owners: None };

/// Finds the socket at that path.
///
/// # Errors
/// Those of the walk to it; `ENOTSOCK`.
pub fn find(path: &Path) -> io::Result<SocketFile> {
    Search::begin(path).wait()
}

/// A search for the socket at a path, which may be going on in a child.
#[derive(Debug)]
pub struct Search(Task);

impl Search {
    /// Begins to look.
    #[must_use]
    pub fn begin(path: &Path) -> Self {
        Self(Task::start(path, RULES, &[], Box::new(find_in)))
    }

    /// Whether it is over by then.
    pub fn is_over(&mut self, until: Instant) -> bool {
        self.0.is_over(Some(until))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Those of the walk to it; `ENOTSOCK`.
    pub fn wait(self) -> io::Result<SocketFile> {
        SocketFile::of(self.0.wait()?)
    }
}

/// Whether no file has the path that is searched. False as well where that cannot be told.
#[must_use]
pub fn has_gone(search: Search) -> bool {
    search.wait().is_err_and(|e| e.raw_os_error() == Some(libc::ENOENT))
}

fn find_in(entry: &Entry) -> io::Result<Answer> {
    let file = entry.hold()?;
    let seen = statx(&file, OsStr::new(""))?;
    // A second hard link may be the name of a socket in another directory.
    if !seen.is(SFlag::S_IFSOCK) || seen.links != 1 {
        return Err(Errno::ENOTSOCK.into());
    }
    Ok(Answer { file: Some(file), note: group_of(entry).map_or(0, |group| group.saturating_add(1)) })
}

/// The group of the directory, if new files get that one (set-group-ID bit).
fn group_of(entry: &Entry) -> Option<u32> {
    let directory = if entry.controller == Controller::Own {
        let parent = entry.name.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        nix::sys::stat::stat(parent).ok().map(|stat| (stat.st_mode, stat.st_gid))
    } else {
        statx(entry.dir(), OsStr::new(".")).ok().map(|Attributes { mode, gid, .. }| (mode, gid))
    };
    directory.filter(|(mode, _)| mode & libc::S_ISGID != 0).map(|(_, gid)| gid)
}

impl SocketFile {
    fn of(finished: Finished) -> io::Result<Self> {
        let Finished { answer: Answer { file, note }, controller, through } = finished;
        let file = file.ok_or(Errno::EBADF)?;
        Ok(Self { file, controller, group: note.checked_sub(1), through })
    }

    /// Whether it is the file of this socket.
    #[must_use]
    pub fn is_of(&self, socket: &OwnedFd) -> Proof {
        match FileId::of(socket).ok().flatten().and_then(|id| id.is(&self.file)) {
            Some(true) => Proof::Ours,
            Some(false) => Proof::Foreign,
            None if self.through.is_some() => Proof::None,
            None => match self.controller {
                Controller::Own | Controller::Root | Controller::Sticky => Proof::Ours,
                Controller::Shared | Controller::User(_) => Proof::None,
            },
        }
    }
}

/// Whether the kernel tells which file a socket is bound to.
#[must_use]
pub fn can_prove(socket: &OwnedFd) -> bool {
    FileId::of(socket).is_ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn links_and_other_files_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let [socket, link, file, twin] = ["s", "l", "f", "t"].map(|name| dir.path().join(name));
        let _listener = UnixListener::bind(&socket).unwrap();
        fs::write(&file, b"").unwrap();
        symlink(&socket, &link).unwrap();
        let none = dir.path().join("none");
        for wrong in [&link, &file, &none, &file.join("below")] {
            assert!(find(wrong).is_err(), "{}", wrong.display());
            assert_eq!(has_gone(Search::begin(wrong)), *wrong == none, "{}", wrong.display());
        }
        assert!(!has_gone(Search::begin(&socket)));
        fs::hard_link(&socket, &twin).unwrap();
        assert!(find(&socket).is_err());
    }
}

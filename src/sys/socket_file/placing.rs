//! Putting the file of a socket in the place of another one's.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{Mode, SFlag};

use super::RULES;
use super::removal::may_change;
use crate::sys::named_file::statx::statx;
use crate::sys::named_file::{Answer, Entry, Task};
use crate::sys::sock_diag::FileId;

/// A file that is being put in its place, maybe by a child.
#[derive(Debug)]
pub struct Placing(Task);

/// Begins to rename the file of this socket. It replaces the file of another socket, and no file of another kind. Both paths are in
/// the same directory.
#[must_use]
pub fn place(from: &Path, to: &Path, socket: &OwnedFd) -> Placing {
    let id = FileId::of(socket).ok().flatten();
    let name = to.file_name().unwrap_or_default().to_owned();
    Placing(Task::start(from, RULES, &[], Box::new(move |entry| place_in(entry, &name, id))))
}

fn place_in(entry: &Entry, name: &OsStr, id: Option<FileId>) -> io::Result<Answer> {
    let to = entry.name.with_file_name(name);
    match entry.hold() {
        Ok(file) if may_change(entry, &file, id) => {}
        // The child of a former image of the supervisor has renamed it.
        Err(_) if is_in_place(entry, &to, id) => return Ok(Answer::default()),
        held => return Err(held.err().unwrap_or_else(|| Errno::ENOENT.into())),
    }
    if statx(entry.dir(), to.as_os_str()).is_ok_and(|seen| !seen.is(SFlag::S_IFSOCK)) {
        return Err(Errno::EEXIST.into());
    }
    renameat(entry.dir(), &entry.name, entry.dir(), &to)?;
    Ok(Answer::default())
}

/// Whether the file of the socket has that name.
fn is_in_place(entry: &Entry, name: &Path, id: Option<FileId>) -> bool {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let held = openat(entry.dir(), name, flags, Mode::empty());
    held.is_ok_and(|held| id.is_some_and(|id| id.is(&held) == Some(true)))
}

impl Placing {
    /// Whether it is over by then.
    pub fn is_over(&mut self, until: Instant) -> bool {
        self.0.is_over(Some(until))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Those of the walk to the file and of rename; `EEXIST`: another kind of file has its place.
    pub fn wait(self) -> io::Result<()> {
        self.0.wait().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[test]
    fn it_replaces_sockets_only() {
        let dir = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| dir.path().join(name));
        let ours = UnixListener::bind(&from).unwrap();
        ours.set_nonblocking(true).unwrap();
        let socket = OwnedFd::from(ours.try_clone().unwrap());
        fs::write(&to, "a file").unwrap();
        assert_eq!(place(&from, &to, &socket).wait().unwrap_err().raw_os_error(), Some(libc::EEXIST));
        fs::remove_file(&to).unwrap();
        let other = OwnedFd::from(UnixListener::bind(&to).unwrap());
        assert!(place(&from, &to, &other).wait().is_err(), "the file is another socket's");
        place(&from, &to, &socket).wait().unwrap();
        let _client = UnixStream::connect(&to).unwrap();
        assert!(ours.accept().is_ok() && !from.exists());
        if super::super::can_prove(&socket) {
            place(&from, &to, &socket).wait().unwrap();
        }
        assert!(place(&from, &to, &other).wait().is_err(), "the file is another socket's");
    }
}

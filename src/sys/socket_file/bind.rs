//! Binding a socket to a path, in place of a file that no process serves any more.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, connect, socket};
use nix::sys::stat::{Mode, SFlag, fchmod, umask};
use nix::unistd::{UnlinkatFlags, fchdir, unlinkat};

use super::{RULES, SocketFile, find_in};
use crate::sys::named_file::statx::statx;
use crate::sys::named_file::{self, Answer, Controller, Entry, Task, mounts};

/// Why a socket was not bound.
#[derive(Debug)]
pub enum NotBound {
    /// Another process listens there.
    Served,
    /// The system's reason.
    Error(io::Error),
}

impl From<io::Error> for NotBound {
    fn from(error: io::Error) -> Self {
        Self::Error(error)
    }
}

/// The note of an answer: a process listens there.
const SERVED: u32 = u32::MAX;

/// A socket that is being bound to a path, maybe by a child.
#[derive(Debug)]
pub struct Binding(Task);

impl Binding {
    /// Begins to bind a socket, after removing the file of one that no process serves. The new file has exactly this mode, whatever
    /// the caller's umask is.
    ///
    /// # Errors
    /// `EINVAL`, `ENAMETOOLONG`: the path cannot be an address.
    pub fn begin(unbound: &OwnedFd, path: &Path, mode: u32) -> io::Result<Self> {
        let address = UnixAddr::new(path)?;
        // bind gives the file the mode of the socket (unix(7)).
        fchmod(unbound, Mode::from_bits_truncate(mode))?;
        let raw = unbound.as_raw_fd();
        let op = move |entry: &Entry| bind_in(entry, raw, &address);
        Ok(Self(Task::start(path, RULES, &[raw], Box::new(op))))
    }

    /// Whether it is over by then.
    pub fn is_over(&mut self, until: Instant) -> bool {
        self.0.is_over(Some(until))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Those of the walk to the path and of bind.
    pub fn wait(self) -> Result<SocketFile, NotBound> {
        let outcome = self.0.wait()?;
        if outcome.answer.note == SERVED {
            return Err(NotBound::Served);
        }
        Ok(SocketFile::of(outcome)?)
    }
}

fn bind_in(entry: &Entry, raw: RawFd, address: &UnixAddr) -> io::Result<Answer> {
    if is_served_in(entry, address)? {
        return Ok(Answer { file: None, note: SERVED });
    }
    if statx(entry.dir(), entry.name.as_os_str()).is_ok_and(|seen| seen.is(SFlag::S_IFSOCK)) {
        let _ = unlinkat(entry.dir(), &entry.name, UnlinkatFlags::NoRemoveDir);
    }
    let old = umask(Mode::empty());
    let mut bound = bind(raw, address);
    if bound == Err(Errno::EACCES) && matches!(entry.controller, Controller::User(_)) {
        // The path leads through directories of root's that the user cannot enter.
        bound = fchdir(entry.dir()).and_then(|()| bind(raw, &UnixAddr::new(&entry.name)?));
    }
    umask(old);
    bound?;
    find_in(entry)
}

/// Whether a process listens there. It connects to the file that was checked: a connection to a file on a user's FUSE mount would
/// wait for that user's program.
fn is_served_in(entry: &Entry, address: &UnixAddr) -> io::Result<bool> {
    if entry.controller == Controller::Own {
        return Ok(is_served(address));
    }
    let held = match entry.hold() {
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => return Ok(false),
        held => held?,
    };
    if statx(&held, OsStr::new(""))?.is(SFlag::S_IFLNK) || !mounts::are_known() {
        return Ok(is_served(address));
    }
    Ok(is_served(&UnixAddr::new(&named_file::name_of(&held))?))
}

/// Whether a process listens there. `EAGAIN` says that its queue is full, which is not waited for.
fn is_served(address: &UnixAddr) -> bool {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let probe = socket(AddressFamily::Unix, SockType::Stream, flags, None);
    let answer = probe.and_then(|probe| connect(probe.as_raw_fd(), address));
    matches!(answer, Ok(()) | Err(Errno::EAGAIN))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_listener_is_found_without_waiting_for_room_in_its_queue() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let address = UnixAddr::new(&path).unwrap();
        assert!(!is_served(&address));
        let listener = UnixListener::bind(&path).unwrap();
        crate::sys::listen::listen(&listener, 0).unwrap();
        // Connections stay in the queue after their clients have closed them.
        assert!((0..3).all(|_| is_served(&address)));
        drop(listener);
        assert!(!is_served(&address));
    }
}

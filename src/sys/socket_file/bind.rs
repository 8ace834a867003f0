//! Binding a socket to a path, in place of a file that no process serves any more.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, connect, socket};
use nix::sys::stat::{Mode, SFlag, fchmod, umask};
use nix::unistd::{Uid, UnlinkatFlags, fchdir, unlinkat};

use super::{RULES, SocketFile, find_in};
use crate::sys::named_file::statx::statx;
use crate::sys::named_file::{self, Answer, Controller, Entry, Finished, Task, mount_list};

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

/// What a path is to the socket that is bound to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Its address. getsockname(2) returns the whole path, if no other user can redirect it.
    Final,
    /// The name of its file until that is renamed. The path may be longer than an address.
    Temporary,
}

/// The note of an answer: a process listens there.
const SERVED: u32 = u32::MAX;
/// The note of an answer: the user may not connect to the file, which is held. Root has to.
const UNKNOWN: u32 = u32::MAX - 1;

/// A socket that is being bound to a path, maybe by a child.
#[derive(Debug)]
pub struct Binding {
    task: Task,
    path: PathBuf,
    place: Place,
    unbound: RawFd,
    /// Root has connected to the file that is there, and no process serves it.
    is_dead: bool,
    result: Option<Result<SocketFile, NotBound>>,
}

impl Binding {
    /// Begins to bind a socket, after removing the file of one that no process serves. The new file has exactly this mode, whatever
    /// the caller's umask is. The socket stays open until the end.
    ///
    /// # Errors
    /// `EINVAL`, `ENAMETOOLONG`: the path cannot be an address.
    pub fn begin(unbound: &OwnedFd, path: &Path, mode: u32, place: Place) -> io::Result<Self> {
        if place == Place::Final {
            UnixAddr::new(path)?;
        }
        // bind gives the file the mode of the socket (unix(7)).
        fchmod(unbound, Mode::from_bits_truncate(mode))?;
        let unbound = unbound.as_raw_fd();
        let task = start(unbound, path, place, None);
        Ok(Self { task, path: path.to_owned(), place, unbound, is_dead: false, result: None })
    }

    /// Whether it is over by then.
    pub fn is_over(&mut self, until: Instant) -> bool {
        while self.result.is_none() {
            let Some(outcome) = self.task.poll(Some(until)) else { return false };
            self.result = self.examine(outcome);
        }
        true
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Those of the walk to the path and of bind.
    pub fn wait(mut self) -> Result<SocketFile, NotBound> {
        // The time limits of the users on the path bound the wait.
        const LONG: Duration = Duration::from_secs(3600);
        self.is_over(Instant::now() + LONG);
        self.result.unwrap_or_else(|| Err(NotBound::Error(Errno::ETIMEDOUT.into())))
    }

    /// The result. `None`: another task has begun.
    fn examine(&mut self, outcome: io::Result<Finished>) -> Option<Result<SocketFile, NotBound>> {
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(e) => return Some(Err(NotBound::Error(e))),
        };
        match &outcome.answer {
            Answer { note: SERVED, .. } => Some(Err(NotBound::Served)),
            // Another file has taken the place of the dead one.
            Answer { note: UNKNOWN, .. } if self.is_dead => Some(Err(NotBound::Error(Errno::EADDRINUSE.into()))),
            Answer { note: UNKNOWN, file: Some(held) } => match dead(held) {
                Ok(None) => Some(Err(NotBound::Served)),
                Ok(number) => {
                    self.is_dead = true;
                    self.task = start(self.unbound, &self.path, self.place, number);
                    None
                }
                Err(e) => Some(Err(NotBound::Error(e))),
            },
            _ => Some(SocketFile::of(outcome).map_err(NotBound::Error)),
        }
    }
}

/// Connects to a file that is not on a mount of a user's, so the answer comes at once. The file's number if no process serves it.
fn dead(held: &OwnedFd) -> io::Result<Option<FileNumber>> {
    let served = is_served(&UnixAddr::new(&named_file::name_of(held))?)?;
    if served { Ok(None) } else { FileNumber::of(held).map(Some) }
}

/// Device and inode of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileNumber((u32, u32), u64);

impl FileNumber {
    fn of(held: &OwnedFd) -> io::Result<Self> {
        let seen = statx(held, OsStr::new(""))?;
        Ok(Self(seen.device, seen.inode))
    }
}

/// Starts the task. `dead`: a file that no process serves.
fn start(unbound: RawFd, path: &Path, place: Place, dead: Option<FileNumber>) -> Task {
    let whole = path.to_owned();
    let op = move |entry: &Entry| bind_in(entry, unbound, &whole, place, dead);
    Task::start(path, RULES, &[unbound], Box::new(op))
}

fn bind_in(entry: &Entry, raw: RawFd, whole: &Path, place: Place, dead: Option<FileNumber>) -> io::Result<Answer> {
    match probe(entry, whole, dead)? {
        Found::None => {}
        Found::Served => return Ok(Answer { file: None, note: SERVED }),
        Found::Unknown(held) => return Ok(Answer { file: Some(held), note: UNKNOWN }),
        Found::Dead => {
            let _ = unlinkat(entry.dir(), &entry.name, UnlinkatFlags::NoRemoveDir);
        }
    }
    let old = umask(Mode::empty());
    let bound = if place == Place::Temporary || entry.redirectable {
        bind_by_name(entry, raw)
    } else {
        match UnixAddr::new(whole).and_then(|address| bind(raw, &address)) {
            // The path leads through directories of root's that the user cannot enter.
            Err(Errno::EACCES) if matches!(entry.controller, Controller::User(_)) => bind_by_name(entry, raw),
            bound => bound.map_err(io::Error::from),
        }
    };
    umask(old);
    bound?;
    find_in(entry)
}

/// Binds it in the directory that is held open, wherever the path leads by now. The address of the socket is the name alone.
fn bind_by_name(entry: &Entry, raw: RawFd) -> io::Result<()> {
    let address = UnixAddr::new(&entry.name)?;
    let here = openat(AT_FDCWD, ".", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty());
    if entry.controller != Controller::Own {
        fchdir(entry.dir())?;
    }
    let bound = bind(raw, &address);
    if let Ok(here) = here {
        fchdir(here)?;
    }
    Ok(bound?)
}

/// What has the path now.
enum Found {
    /// No socket.
    None,
    /// A socket that a process serves.
    Served,
    /// One that none serves.
    Dead,
    /// A socket to which this process may not connect.
    Unknown(OwnedFd),
}

/// Looks at the file at the path. It connects to the file that was checked: a connection to a file on a user's FUSE mount would wait
/// for that user's program.
fn probe(entry: &Entry, whole: &Path, dead: Option<FileNumber>) -> io::Result<Found> {
    let held = match entry.hold() {
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => return Ok(Found::None),
        held => held?,
    };
    if !statx(&held, OsStr::new(""))?.is(SFlag::S_IFSOCK) {
        return Ok(Found::None);
    }
    if dead == Some(FileNumber::of(&held)?) {
        return Ok(Found::Dead);
    }
    let by_path = entry.controller == Controller::Own || !mount_list::is_known();
    let address = if by_path { UnixAddr::new(whole) } else { UnixAddr::new(&named_file::name_of(&held)) };
    match is_served(&address?) {
        Ok(true) => Ok(Found::Served),
        Ok(false) => Ok(Found::Dead),
        // A file of ours without permissions: a start was killed before it had set them.
        Err(e) if e.raw_os_error() == Some(libc::EACCES) && is_own(entry, &held) => Ok(Found::Dead),
        Err(e) if e.raw_os_error() == Some(libc::EACCES) && matches!(entry.controller, Controller::User(_)) => {
            Ok(Found::Unknown(held))
        }
        Err(e) => Err(e),
    }
}

fn is_own(entry: &Entry, held: &OwnedFd) -> bool {
    let owner = statx(held, OsStr::new("")).map(|seen| seen.uid);
    entry.controller == Controller::Own && owner.is_ok_and(|uid| uid == Uid::effective().as_raw())
}

/// Whether a process has the socket open. `EAGAIN` says that its queue is full, which is not waited for; `EPROTOTYPE`, that it is
/// a socket of another type.
///
/// # Errors
/// `EACCES` and others that do not tell.
fn is_served(address: &UnixAddr) -> io::Result<bool> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let probe = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    match connect(probe.as_raw_fd(), address) {
        Ok(()) | Err(Errno::EAGAIN | Errno::EPROTOTYPE) => Ok(true),
        Err(Errno::ECONNREFUSED | Errno::ENOENT) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixDatagram, UnixListener};

    use super::*;

    #[test]
    fn a_listener_is_found_without_waiting_for_room_in_its_queue() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let address = UnixAddr::new(&path).unwrap();
        let is_served = || is_served(&address).unwrap();
        assert!(!is_served());
        let listener = UnixListener::bind(&path).unwrap();
        crate::sys::listen::listen(&listener, 0).unwrap();
        // Connections stay in the queue after their clients have closed them.
        assert!((0..3).all(|_| is_served()));
        drop(listener);
        assert!(!is_served());
        std::fs::remove_file(&path).unwrap();
        let datagrams = UnixDatagram::bind(&path).unwrap();
        assert!(is_served());
        drop(datagrams);
        assert!(!is_served());
    }

    /// The walk has come to the directory. Then a part of the path to it becomes a link to another directory.
    #[test]
    fn a_path_that_others_redirect_leads_nowhere_else() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        use std::os::unix::fs::{PermissionsExt, symlink};
        let place = tempfile::tempdir().unwrap();
        let [shared, dir, other, away] = ["s", "s/dir", "other", "s/away"].map(|name| place.path().join(name));
        for path in [&shared, &dir, &other] {
            std::fs::create_dir(path).unwrap();
        }
        std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o777)).unwrap();
        let path = dir.join("socket");
        for place in [Place::Final, Place::Temporary] {
            let fd = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
            let (raw, whole, names) = (fd.as_raw_fd(), path.clone(), (dir.clone(), away.clone(), other.clone()));
            let op = move |entry: &Entry| {
                let (dir, away, other) = &names;
                std::fs::rename(dir, away)?;
                symlink(other, dir)?;
                let bound = bind_in(entry, raw, &whole, place, None);
                std::fs::remove_file(dir)?;
                std::fs::rename(away, dir)?;
                bound
            };
            let before = std::env::current_dir().unwrap();
            let done = Task::start(&path, RULES, &[raw], Box::new(op)).wait();
            assert_eq!(std::fs::read_dir(&other).unwrap().count(), 0, "{place:?}: it was bound elsewhere");
            assert!(done.is_ok() && path.exists(), "{place:?}: {done:?}");
            assert_eq!(std::env::current_dir().unwrap(), before);
            std::fs::remove_file(&path).unwrap();
        }
    }
}

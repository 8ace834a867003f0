//! The files of unix sockets, each held by a descriptor: what is changed is that file, whatever is put in its place meanwhile.
//! Directories of sockets often belong to a pool's user, who must not be able to turn root's chown on other files.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, connect, socket};
use nix::sys::stat::{Mode, SFlag, fchmod, umask};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchdir, fchownat, unlinkat};

use super::named_file::mounts;
use super::named_file::statx::{Attributes, statx};
use super::named_file::{self, Answer, Controller, Entry, Finished, Rules, Task};
use super::sock_diag::FileId;

/// Who may connect.
#[derive(Debug, Clone, Copy)]
pub struct Access<'a> {
    /// Owner.
    pub uid: u32,
    /// Group; `None`: that which a socket made in its directory would have.
    pub gid: Option<u32>,
    /// Permission bits.
    pub mode: u32,
    /// Users who may connect beside these.
    pub acl_users: &'a [u32],
    /// Groups that may.
    pub acl_groups: &'a [u32],
}

/// What could not be done, and why.
#[derive(Debug)]
pub struct Failure {
    /// A verb, as in "failed to … the socket".
    pub what: &'static str,
    /// The system's reason.
    pub error: io::Error,
}

/// A socket's file.
#[derive(Debug)]
pub struct SocketFile {
    file: OwnedFd,
    controller: Controller,
    /// The group that its directory passes on.
    group: Option<u32>,
    /// A user who can put something else into a place on the way to it.
    pub through: Option<u32>,
}

/// Whether a file is that of a socket of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The kernel says so; or it doesn't tell, but nobody else can have put it there.
    Ours,
    /// It is somebody else's.
    Foreign,
    /// The kernel doesn't tell, and it may be somebody else's.
    None,
}

/// Why a socket was not bound.
#[derive(Debug)]
pub enum NotBound {
    /// Somebody listens there.
    Served,
    /// The system's reason.
    Error(io::Error),
}

impl From<io::Error> for NotBound {
    fn from(error: io::Error) -> Self {
        Self::Error(error)
    }
}

/// A link in the last place stands for itself, and that is no socket.
const RULES: Rules = Rules { follow: false, owners: None };
/// Somebody listens there.
const SERVED: u32 = u32::MAX;

/// Binds a socket in place of a dead one. Its mode is `mode`, as far as the umask allows: the caller's is not asked.
///
/// # Errors
/// Those of the way to it and of bind.
pub fn bind_to(unbound: &OwnedFd, path: &Path, mode: u32) -> Result<SocketFile, NotBound> {
    let address = UnixAddr::new(path).map_err(io::Error::from)?;
    // The file gets the mode of the socket (unix(7)).
    fchmod(unbound, Mode::from_bits_truncate(mode)).map_err(io::Error::from)?;
    let raw = unbound.as_raw_fd();
    let op = move |entry: &Entry| bind_in(entry, raw, &address);
    let outcome = Task::start(path, RULES, &[raw], Box::new(op)).wait()?;
    if outcome.answer.note == SERVED {
        return Err(NotBound::Served);
    }
    Ok(SocketFile::of(outcome)?)
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
        // On the way there are directories of root's that its user can't enter.
        bound = fchdir(entry.dir()).and_then(|()| bind(raw, &UnixAddr::new(&entry.name)?));
    }
    umask(old);
    bound?;
    find_in(entry)
}

/// Whether somebody listens there. What is asked is the file that was looked at: a connection to a file on a user's FUSE
/// mount waits for that user's program.
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

/// Whether somebody listens there. One whose queue is full does, and isn't waited for.
fn is_served(address: &UnixAddr) -> bool {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let probe = socket(AddressFamily::Unix, SockType::Stream, flags, None);
    let answer = probe.and_then(|probe| connect(probe.as_raw_fd(), address));
    matches!(answer, Ok(()) | Err(Errno::EAGAIN))
}

/// Finds the socket at that path.
///
/// # Errors
/// Those of the way to it; `ENOTSOCK`.
pub fn find(path: &Path) -> io::Result<SocketFile> {
    SocketFile::of(named_file::run(path, RULES, find_in)?)
}

/// Whether there is nothing at that path. What can't be looked at may be there.
#[must_use]
pub fn has_gone(path: &Path) -> bool {
    find(path).is_err_and(|e| e.raw_os_error() == Some(libc::ENOENT))
}

fn find_in(entry: &Entry) -> io::Result<Answer> {
    let file = entry.hold()?;
    let seen = statx(&file, OsStr::new(""))?;
    // A further name could be that of a socket elsewhere.
    if !seen.is(SFlag::S_IFSOCK) || seen.links != 1 {
        return Err(Errno::ENOTSOCK.into());
    }
    Ok(Answer { file: Some(file), note: group_of(entry).map_or(0, |group| group.saturating_add(1)) })
}

/// A directory with the set-group-id bit passes its group on.
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
    fn of(outcome: Finished) -> io::Result<Self> {
        let Finished { answer: Answer { file, note }, controller, through } = outcome;
        let file = file.ok_or(Errno::EBADF)?;
        Ok(Self { file, controller, group: note.checked_sub(1), through })
    }

    /// Whether it is that of this socket.
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

    /// Whether there is nothing to change.
    #[must_use]
    pub fn has(&self, access: &Access<'_>) -> bool {
        let Ok(seen) = statx(&self.file, OsStr::new("")) else { return false };
        let wanted = (access.uid, self.gid(access), access.mode);
        (seen.uid, seen.gid, seen.mode & 0o7777) == wanted
            && access.acl_users.is_empty()
            && access.acl_groups.is_empty()
    }

    fn gid(&self, access: &Access<'_>) -> u32 {
        access.gid.or(self.group).unwrap_or_else(|| Gid::effective().as_raw())
    }

    /// Gives it its owner, group, mode and access list; a list that it had before goes. It must have been proven to be ours.
    ///
    /// # Errors
    /// This process may not change it.
    pub fn set_access(&self, access: &Access<'_>) -> Result<(), Failure> {
        let failed = |what| move |error: io::Error| Failure { what, error };
        let before = statx(&self.file, OsStr::new("")).map_err(failed("look at"))?;
        let gid = self.gid(access);
        if (before.uid, before.gid) != (access.uid, gid) {
            let (uid, gid) = (Uid::from_raw(access.uid), Gid::from_raw(gid));
            fchownat(&self.file, "", Some(uid), Some(gid), AtFlags::AT_EMPTY_PATH)
                .map_err(|e| failed("chown()")(e.into()))?;
        }
        let name = named_file::name_of(&self.file);
        if access.acl_users.is_empty() && access.acl_groups.is_empty() {
            super::acl::remove(&name).map_err(failed("clear the ACL of"))?;
            return fs::set_permissions(&name, fs::Permissions::from_mode(access.mode)).map_err(failed("chmod()"));
        }
        // The list holds the mode, too: nobody who stays in it is shut out for a moment.
        super::acl::set(&name, access.acl_users, access.acl_groups, access.mode).map_err(failed("set the ACL of"))
    }
}

/// A socket's file that is being removed.
pub struct Removal(Task);

/// Removes the file of this socket from that path, if it is there and is that one.
#[must_use]
pub fn remove(path: &Path, socket: &OwnedFd) -> Removal {
    let id = FileId::of(socket).ok().flatten();
    Removal(Task::start(path, RULES, &[], Box::new(move |entry| remove_in(entry, id))))
}

/// It is somebody else's.
const FOREIGN: u32 = 1;

fn remove_in(entry: &Entry, id: Option<FileId>) -> io::Result<Answer> {
    let file = entry.hold()?;
    if !statx(&file, OsStr::new(""))?.is(SFlag::S_IFSOCK) {
        return Ok(Answer::default());
    }
    // A user removes nothing that isn't that user's to remove.
    let may = match id.and_then(|id| id.is(&file)) {
        Some(same) => same,
        None => entry.controller != Controller::Shared && !entry.through,
    };
    if !may {
        return Ok(Answer { file: None, note: FOREIGN });
    }
    unlinkat(entry.dir(), &entry.name, UnlinkatFlags::NoRemoveDir)?;
    Ok(Answer::default())
}

impl Removal {
    /// False: another socket is in its place, and stays there.
    ///
    /// # Errors
    /// It could not be removed; where it is gone, that is none.
    pub fn wait(self) -> io::Result<bool> {
        match self.0.wait() {
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(true),
            done => Ok(done?.answer.note != FOREIGN),
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
    use std::os::unix::fs::{MetadataExt, symlink};
    use std::os::unix::net::UnixListener;

    use super::*;

    fn access() -> Access<'static> {
        Access { uid: Uid::effective().as_raw(), gid: None, mode: 0o640, acl_users: &[], acl_groups: &[] }
    }

    #[test]
    fn a_socket_gets_its_mode_and_loses_its_list() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = OwnedFd::from(UnixListener::bind(&path).unwrap());
        let file = find(&path).unwrap();
        assert_eq!(file.is_of(&listener), Proof::Ours);
        let listed = Access { acl_users: &[65534], ..access() };
        match file.set_access(&listed) {
            Err(Failure { error, .. }) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {}
            other => other.unwrap(),
        }
        file.set_access(&access()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        assert!(file.has(&access()) && !file.has(&listed) && !file.has(&Access { mode: 0o600, ..access() }));
    }

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
            assert_eq!(has_gone(wrong), *wrong == none, "{}", wrong.display());
        }
        assert!(!has_gone(&socket));
        fs::hard_link(&socket, &twin).unwrap();
        assert!(find(&socket).is_err());
    }

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

    #[test]
    fn who_listens_is_known_without_waiting_for_room_in_the_queue() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let address = UnixAddr::new(&path).unwrap();
        assert!(!is_served(&address));
        let listener = UnixListener::bind(&path).unwrap();
        crate::sys::listen::listen(&listener, 0).unwrap();
        // Those that wait stay there, closed or not.
        assert!((0..3).all(|_| is_served(&address)));
        drop(listener);
        assert!(!is_served(&address));
    }
}

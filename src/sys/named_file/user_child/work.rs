//! The child's part: it becomes the user, walks the rest of the path and carries out the operation.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, SFlag};
use nix::unistd::{Uid, User};

use super::super::Op;
use super::super::controller::{Controller, refuse_foreign_mount};
use super::super::entry::Entry;
use super::super::names::{directory, names};
use super::super::statx::{Attributes, statx};
use super::report::{self, Report};
use crate::sys::ids::{self, Identity};
use crate::sys::{fd, message, process};

/// Does it all, sends the report and ends the process.
pub(super) fn run(
    user: u32,
    known: Option<Identity>,
    (dir, begun): (&OwnedFd, &Entry),
    keep: &[RawFd],
    op: &Op,
    channel: &OwnedFd,
) -> ! {
    // No other process of the user can look into this one (PR_SET_DUMPABLE).
    let _ = process::set_dumpable(false);
    // SAFETY: this is a forked child that ends below by `exit_now`. It uses only these descriptors, and the operation only those of
    // `keep`, as `Task::start` asks for.
    unsafe { fd::close_all_but(&[keep, &[dir.as_raw_fd(), channel.as_raw_fd()]].concat()) };
    let is_new = known.is_none();
    let identity = known.unwrap_or_else(|| look_up(user));
    let report = become_user(&identity).and_then(|()| walk(user, dir, begun)).and_then(|end| match end {
        End::Here(entry) => op(&entry).map(Report::Done),
        End::Elsewhere(dir, rest) => Ok(Report::Elsewhere(dir, rest)),
    });
    let (bytes, file) = report::encode(Some(&identity).filter(|_| is_new), report);
    let file: Vec<BorrowedFd<'_>> = file.iter().map(AsFd::as_fd).collect();
    let sent = message::send(channel, &bytes, &file);
    process::exit_now(i32::from(sent.is_err()))
}

/// The database of users may be a server that does not answer. In the child, the time limit covers that as well.
fn look_up(user: u32) -> Identity {
    /// The group of a user that has no entry: it gives access to nothing.
    const NOGROUP: u32 = 65534;
    let entry = User::from_uid(Uid::from_raw(user)).ok().flatten();
    let gid = entry.as_ref().map_or(NOGROUP, |entry| entry.gid.as_raw());
    let name = entry.map(|entry| entry.name).unwrap_or_default();
    Identity { uid: user, gid, groups: ids::supplementary(&name, gid) }
}

fn become_user(identity: &Identity) -> io::Result<()> {
    let user = identity.uid;
    ids::become_identity(identity, &user.to_string(), &[]).map_err(|e| {
        io::Error::other(format!("its directory belongs to user {user}, and this process cannot become that user: {e}"))
    })?;
    // The change of user may have reset it.
    process::set_dumpable(false)?;
    process::die_with_parent(Signal::SIGKILL)
}

/// Where the child's walk ends.
enum End {
    Here(Entry),
    /// In a directory of another user's, with this rest of the path.
    Elsewhere(OwnedFd, PathBuf),
}

/// Walks down directories of this user's. At a directory of another owner the parent has to decide. Symbolic links are followed
/// with this user's rights, but not magic links (`RESOLVE_NO_MAGICLINKS`), which lead to open files of a process.
fn walk(user: u32, dir: &OwnedFd, begun: &Entry) -> io::Result<End> {
    let mut left = names(&begun.name);
    let mut redirectable = begun.redirectable;
    let mut dir = dir.try_clone()?;
    let entry = |dir: OwnedFd, name: OsString, linked, redirectable| {
        End::Here(Entry {
            dir: Some(dir),
            name: name.into(),
            controller: Controller::User(user),
            magic: false,
            linked,
            through: false,
            shared: false,
            redirectable,
        })
    };
    loop {
        let name = left.pop_front().unwrap_or_else(|| ".".into());
        if left.is_empty() {
            return Ok(entry(dir, name, false, redirectable));
        }
        if name == ".." || statx(&dir, &name)?.is(SFlag::S_IFLNK) {
            left.push_front(name);
            let last = left.pop_back().unwrap_or_default();
            let dir = by_links(dir.as_fd(), &left.iter().collect::<PathBuf>())?;
            refuse_foreign_mount(&dir, &statx(&dir, OsStr::new(""))?)?;
            return Ok(entry(dir, last, true, redirectable));
        }
        // A group, or everybody, may replace what is in it.
        redirectable |= is_open_to_others(&statx(&dir, OsStr::new(""))?);
        dir = directory(dir.as_fd(), &name)?;
        let seen = statx(&dir, OsStr::new(""))?;
        refuse_foreign_mount(&dir, &seen)?;
        if seen.uid != user {
            return Ok(End::Elsewhere(dir, left.iter().collect()));
        }
    }
}

fn is_open_to_others(directory: &Attributes) -> bool {
    directory.mode & 0o022 != 0 && directory.mode & libc::S_ISVTX == 0
}

fn by_links(at: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    match openat2(at, path, how) {
        // Linux before 5.6 has no openat2, and the seccomp filter of an old container refuses it. This process has no open file
        // that a magic link could give access to.
        Err(nix::errno::Errno::ENOSYS | nix::errno::Errno::EPERM) => Ok(openat(at, path, flags, Mode::empty())?),
        opened => Ok(opened?),
    }
}

//! The way to a file, name by name, as far as only root can change it. Where another user's directory or link begins, the
//! way ends here: that user has to go the rest (`user_child.rs`).
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use nix::fcntl::{AT_FDCWD, OFlag, openat, readlinkat};
use nix::sys::stat::{Mode, SFlag};

use super::mounts;
use super::statx::{Attributes, statx};

/// Who can put something else into a name's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controller {
    /// This process is not root's: it is nobody's deputy, and goes where it may.
    Own,
    /// Root alone.
    Root,
    /// All may add names, but only the owner of a file can replace it: /tmp.
    Sticky,
    /// Others than root, whoever they are: a group, or all.
    Shared,
    /// Root, and that user.
    User(u32),
}

/// A name in a directory that is held open.
#[derive(Debug)]
pub struct Entry {
    /// The directory; `None`: the name is a whole path.
    pub(super) dir: Option<OwnedFd>,
    /// One name; where another user has to go on, the rest of the path.
    pub name: PathBuf,
    /// Who keeps the directory.
    pub controller: Controller,
    /// A link of the system's to an open file (/proc/self/fd/2), which has no name to go to.
    pub magic: bool,
    /// A user's link has led here.
    pub linked: bool,
    /// A user's directory has, which this one is in though it isn't that user's.
    pub through: bool,
}

/// What is wanted of a walk.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// A link in the last place stands for what it leads to.
    pub follow: bool,
    /// Whose file may lie in a directory that all can write to, beside root's. `None`: anybody's.
    pub owners: Option<Vec<u32>>,
}

impl Entry {
    /// The directory.
    #[must_use]
    pub fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_ref().map_or(AT_FDCWD, AsFd::as_fd)
    }

    /// The directory, to keep.
    ///
    /// # Errors
    /// Those of open.
    pub fn directory(&self) -> io::Result<OwnedFd> {
        let name = match self.name.parent().filter(|_| self.dir.is_none()) {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        Ok(openat(self.dir(), name, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?)
    }

    /// Opens it. Links are followed only where it is nobody else's. Another user's FUSE mount on the file itself is refused
    /// before it is opened: every write, and even the close, would wait for that user's program.
    ///
    /// # Errors
    /// Those of openat; a user's FUSE mount.
    pub fn open(&self, flags: OFlag, mode: Mode) -> io::Result<OwnedFd> {
        if self.controller == Controller::Own || self.magic {
            return Ok(openat(self.dir(), &self.name, flags | OFlag::O_CLOEXEC, mode)?);
        }
        let by_name = || Ok(openat(self.dir(), &self.name, flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, mode)?);
        if flags.contains(OFlag::O_CREAT | OFlag::O_EXCL) {
            // A new file lies where its directory does.
            return by_name();
        }
        let held = self.hold()?;
        if statx(&held, OsStr::new(""))?.is(SFlag::S_IFLNK) {
            return Err(io::Error::from_raw_os_error(libc::ELOOP));
        }
        // Exactly the file that was looked at, whatever is mounted there meanwhile. Its name here is a link.
        let reopen = (flags | OFlag::O_CLOEXEC) & !OFlag::O_NOFOLLOW;
        match openat(AT_FDCWD, &super::name_of(&held), reopen, Mode::empty()) {
            Err(nix::errno::Errno::ENOENT) if !mounts::are_known() => by_name(),
            opened => Ok(opened?),
        }
    }

    /// The file itself, whatever it is, without opening it.
    ///
    /// # Errors
    /// Those of openat; a user's FUSE mount.
    pub fn hold(&self) -> io::Result<OwnedFd> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let held = openat(self.dir(), &self.name, flags, Mode::empty())?;
        if self.controller != Controller::Own && !self.magic {
            let (file, dir) = (statx(&held, OsStr::new(""))?, statx(self.dir(), OsStr::new("."))?);
            // The mount of the directory has been looked at on the way.
            if file.mount.is_none() || file.mount != dir.mount {
                refuse_foreign_mount(&held, &file)?;
            }
        }
        Ok(held)
    }
}

/// Goes from the root directory.
///
/// # Errors
/// Those of openat; a file that isn't one of `Rules::owners`.
pub fn walk(path: &Path, rules: &Rules) -> io::Result<Entry> {
    if path.as_os_str().is_empty() {
        return Err(io::Error::from_raw_os_error(libc::ENOENT));
    }
    let start = if path.is_absolute() { "/" } else { "." };
    let dir = directory(AT_FDCWD, OsStr::new(start))?;
    // Whatever its owner: this is where all trust begins.
    Walk { mount: statx(&dir, OsStr::new(""))?.mount, dir, controller: Controller::Root, left: names(path), links: 0 }
        .go(rules)
}

/// Goes on from a directory that a user's process has come to; `None`: it is a user's as well.
///
/// # Errors
/// As above.
pub(super) fn walk_on(dir: OwnedFd, rest: &Path, rules: &Rules) -> io::Result<Entry> {
    let seen = statx(&dir, OsStr::new(""))?;
    let controller = controller_of(&dir, &seen)?;
    Walk { mount: seen.mount, dir, controller, left: names(rest), links: 0 }.go(rules)
}

struct Walk {
    dir: OwnedFd,
    mount: Option<u64>,
    controller: Controller,
    left: VecDeque<OsString>,
    links: u32,
}

/// As many as the kernel follows.
const MOST_LINKS: u32 = 40;

impl Walk {
    fn go(mut self, rules: &Rules) -> io::Result<Entry> {
        loop {
            if matches!(self.controller, Controller::User(_)) {
                return Ok(self.end());
            }
            // The root directory itself, or a link to it, has no name.
            let name = self.left.pop_front().unwrap_or_else(|| ".".into());
            let seen = if self.left.is_empty() {
                match self.last(&name, rules)? {
                    Some(seen) => seen,
                    None => return Ok(self.with(name).end()),
                }
            } else {
                statx(&self.dir, &name)?
            };
            if !seen.is(SFlag::S_IFLNK) {
                self.enter(&name)?;
            } else if !self.follow(&name, &seen)? {
                return Ok(self.with(name).end());
            }
        }
    }

    /// What stands in the last place, if it is a link that is to be followed: otherwise this is the entry.
    fn last(&mut self, name: &OsStr, rules: &Rules) -> io::Result<Option<Attributes>> {
        let seen = match statx(&self.dir, name) {
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => return Ok(None),
            seen => seen?,
        };
        if seen.is(SFlag::S_IFLNK) && rules.follow {
            return Ok(Some(seen));
        }
        if seen.uid != 0 && self.controller != Controller::Root {
            let open_to_all = statx(&self.dir, OsStr::new(""))?.mode & 0o002 != 0;
            if let Some(owners) = rules.owners.as_ref().filter(|owners| open_to_all && !owners.contains(&seen.uid)) {
                return Err(strangers(seen.uid, owners));
            }
            self.controller = Controller::User(seen.uid);
        }
        Ok(None)
    }

    fn enter(&mut self, name: &OsStr) -> io::Result<()> {
        let dir = directory(self.dir.as_fd(), name)?;
        let seen = statx(&dir, OsStr::new(""))?;
        self.controller = if seen.mount.is_some() && seen.mount == self.mount {
            controller_by_mode(&seen)
        } else {
            controller_of(&dir, &seen)?
        };
        (self.dir, self.mount) = (dir, seen.mount);
        Ok(())
    }

    /// Follows a link of root's; false where it is for somebody else to follow.
    fn follow(&mut self, name: &OsStr, seen: &Attributes) -> io::Result<bool> {
        // Where others can write, it may be a further name of a link that root has made elsewhere.
        if seen.uid != 0 || (self.controller != Controller::Root && seen.links != 1) {
            self.controller = Controller::User(seen.uid);
            return if seen.uid == 0 {
                Err(io::Error::other("it leads through a hard link to a link of root's"))
            } else {
                Ok(false)
            };
        }
        if self.left.is_empty() && self.is_proc() {
            return Ok(false);
        }
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(io::Error::from_raw_os_error(libc::ELOOP));
        }
        let target = PathBuf::from(readlinkat(&self.dir, name)?);
        if target.is_absolute() {
            self.enter_root()?;
        }
        names(&target).into_iter().rev().for_each(|name| self.left.push_front(name));
        Ok(true)
    }

    fn enter_root(&mut self) -> io::Result<()> {
        self.dir = directory(AT_FDCWD, OsStr::new("/"))?;
        self.mount = statx(&self.dir, OsStr::new(""))?.mount;
        self.controller = Controller::Root;
        Ok(())
    }

    fn is_proc(&self) -> bool {
        mounts::identity(&self.dir).is_some_and(|(mount, _)| mount.kind == "proc")
    }

    fn with(mut self, name: OsString) -> Self {
        self.left.push_front(name);
        self
    }

    fn end(self) -> Entry {
        let magic = self.controller == Controller::Root && self.links_to_open_file();
        Entry {
            name: self.left.iter().collect(),
            dir: Some(self.dir),
            controller: self.controller,
            magic,
            linked: false,
            through: false,
        }
    }

    fn links_to_open_file(&self) -> bool {
        let name = self.left.front().filter(|_| self.left.len() == 1);
        let link = name.is_some_and(|name| statx(&self.dir, name).is_ok_and(|seen| seen.is(SFlag::S_IFLNK)));
        link && self.is_proc()
    }
}

/// The owner of a directory, or whoever else may change what is in it.
fn controller_of(dir: &OwnedFd, seen: &Attributes) -> io::Result<Controller> {
    refuse_foreign_mount(dir, seen).map(|()| controller_by_mode(seen))
}

/// The permissions of the group are also the most that an access list can give.
pub(super) fn controller_by_mode(seen: &Attributes) -> Controller {
    match (seen.uid, seen.mode & 0o022, seen.mode & libc::S_ISVTX) {
        (0, 0, _) => Controller::Root,
        (0, _, 0) => Controller::Shared,
        (0, ..) => Controller::Sticky,
        (user, ..) => Controller::User(user),
    }
}

/// Nothing is done on a user's FUSE mount.
pub(super) fn refuse_foreign_mount(file: &OwnedFd, seen: &Attributes) -> io::Result<()> {
    match mounts::served_by(file, seen)? {
        Some(0) | None => Ok(()),
        Some(user) => Err(io::Error::other(format!(
            "it is on a FUSE mount of user {user}, whose program may stop who waits for it: use another place"
        ))),
    }
}

fn strangers(user: u32, owners: &[u32]) -> io::Error {
    let meant = owners.iter().find(|owner| **owner != 0).map(|owner| format!(" or user {owner}")).unwrap_or_default();
    io::Error::other(format!(
        "it is a file of user {user} in a directory that all can write to, and not of root{meant}: remove it, or use another directory"
    ))
}

pub(super) fn directory(at: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(openat(at, name, flags, Mode::empty())?)
}

pub(super) fn names(path: &Path) -> VecDeque<OsString> {
    let name = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    let mut names: VecDeque<OsString> = path.components().filter_map(name).collect();
    // It has to be a directory then.
    if path.as_os_str().as_bytes().ends_with(b"/") {
        names.push_back(".".into());
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(uid: u32, mode: u32) -> Attributes {
        Attributes { mode, uid, gid: 0, links: 2, inode: 1, mount: None }
    }

    #[test]
    fn who_keeps_a_directory_is_seen_in_its_owner_and_mode() {
        let cases = [
            (0, 0o40755, Controller::Root),
            (0, 0o41700, Controller::Root),
            (0, 0o41777, Controller::Sticky),
            (0, 0o41775, Controller::Sticky),
            (0, 0o40775, Controller::Shared),
            (0, 0o40757, Controller::Shared),
            (2001, 0o40700, Controller::User(2001)),
            (2001, 0o41777, Controller::User(2001)),
        ];
        for (uid, mode, controller) in cases {
            assert_eq!(controller_by_mode(&seen(uid, mode)), controller, "{uid} {mode:o}");
        }
    }

    fn walked(path: &str) -> (PathBuf, Controller, bool) {
        let entry = walk(Path::new(path), &Rules { follow: true, owners: None }).unwrap();
        (entry.name, entry.controller, entry.magic)
    }

    #[test]
    fn roots_links_are_followed_as_far_as_they_have_names() {
        assert_eq!(walked("/"), (".".into(), Controller::Root, false));
        assert_eq!(walked("/proc/1/.."), ("..".into(), Controller::Root, false));
        assert_eq!(walked("/dev/null"), ("null".into(), Controller::Root, false));
        assert_eq!(walked("/proc/1/.././/none"), ("none".into(), Controller::Root, false));
        // Own descriptors, whose directory is this user's.
        if nix::unistd::geteuid().is_root() {
            assert_eq!(walked("/proc/self/fd/2"), ("2".into(), Controller::Root, true));
            assert_eq!(walked("/dev/stderr"), ("2".into(), Controller::Root, true));
        }
        let not_a_directory = walk(Path::new("/dev/null/"), &Rules::default()).unwrap_err();
        assert_eq!(not_a_directory.raw_os_error(), Some(libc::ENOTDIR));
        assert_eq!(walk(Path::new(""), &Rules::default()).unwrap_err().raw_os_error(), Some(libc::ENOENT));
        let missing = walk(Path::new("/no/such/file"), &Rules::default()).unwrap_err();
        assert_eq!(missing.raw_os_error(), Some(libc::ENOENT));
    }

    #[test]
    fn a_users_directory_ends_the_way_and_a_users_link_does() {
        let place = tempfile::tempdir().unwrap();
        let user = nix::unistd::geteuid().as_raw();
        std::os::unix::fs::symlink("/dev/null", place.path().join("link")).unwrap();
        let path = |name: &str| place.path().join(name).display().to_string();
        if user == 0 {
            assert_eq!(walked(&path("link")), ("null".into(), Controller::Root, false));
            let kept = walk(&place.path().join("link"), &Rules::default()).unwrap();
            assert_eq!((kept.name, kept.controller), ("link".into(), Controller::Root));
            let owner = Some(nix::unistd::Uid::from_raw(2001));
            nix::unistd::fchownat(
                AT_FDCWD,
                &place.path().join("link"),
                owner,
                None,
                nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW,
            )
            .unwrap();
            assert_eq!(walked(&path("link")), ("link".into(), Controller::User(2001), false));
            nix::unistd::chown(place.path(), owner, None).unwrap();
            assert_eq!(walked(&path("link/../a")), ("link/../a".into(), Controller::User(2001), false));
        } else {
            assert_eq!(walked(&path("a/b")), ("a/b".into(), Controller::User(user), false));
        }
    }
}

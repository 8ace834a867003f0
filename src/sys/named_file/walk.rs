//! Root walks a path name by name, and holds each directory open, as long as only root can have made the way. The walk stops
//! at the first directory or symbolic link of another user. A child that becomes that user walks the rest (`user_child.rs`).
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, readlinkat};
use nix::sys::stat::SFlag;

use super::controller::{Controller, controller_by_mode, controller_of, stranger};
use super::entry::Entry;
use super::mounts;
use super::names::{directory, names};
use super::statx::{Attributes, statx};

/// What a walk accepts.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Follow a symbolic link that is the last name of the path.
    pub follow: bool,
    /// Owners of a file, other than root, that are accepted in a directory where everybody can create files. `None`: any owner.
    pub owners: Option<Vec<u32>>,
}

/// Walks a path from its beginning.
///
/// # Errors
/// Those of openat; a file whose owner is not in `Rules::owners`.
pub(super) fn walk(path: &Path, rules: &Rules) -> io::Result<Entry> {
    if path.as_os_str().is_empty() {
        return Err(io::Error::from_raw_os_error(libc::ENOENT));
    }
    let start = if path.is_absolute() { "/" } else { "." };
    let dir = directory(AT_FDCWD, OsStr::new(start))?;
    // The start is trusted whatever user owns it.
    let mount = statx(&dir, OsStr::new(""))?.mount;
    Walk { mount, dir, controller: Controller::Root, left: names(path), links: 0, shared: false, redirectable: false }
        .go(rules)
}

/// Walks on from a directory that a user's child has come to.
///
/// # Errors
/// Those of `walk`; a FUSE mount of a user.
pub(super) fn walk_on(dir: OwnedFd, rest: &Path, rules: &Rules) -> io::Result<Entry> {
    let seen = statx(&dir, OsStr::new(""))?;
    let controller = controller_of(&dir, &seen)?;
    Walk { mount: seen.mount, dir, controller, left: names(rest), links: 0, shared: false, redirectable: true }
        .go(rules)
}

struct Walk {
    /// The directory that the walk has come to.
    dir: OwnedFd,
    mount: Option<u64>,
    /// Of the entries of `dir`.
    controller: Controller,
    /// Names still to go.
    left: VecDeque<OsString>,
    /// Symbolic links that were followed.
    links: u32,
    /// It has come through a directory in which a group or everybody can replace any entry.
    shared: bool,
    /// It has come out of such a directory, or of a directory of a user's.
    redirectable: bool,
}

/// The kernel follows as many (path_resolution(7)).
const MOST_LINKS: u32 = 40;

impl Walk {
    fn go(mut self, rules: &Rules) -> io::Result<Entry> {
        loop {
            if matches!(self.controller, Controller::User(_)) {
                return Ok(self.end());
            }
            // No name is left at the root directory itself, or at a link to it.
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

    /// Looks at the last name. `Some`: it is a symbolic link to follow. `None`: the walk has come to its entry.
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
                return Err(stranger(seen.uid, owners));
            }
            self.controller = Controller::User(seen.uid);
        }
        Ok(None)
    }

    fn enter(&mut self, name: &OsStr) -> io::Result<()> {
        self.redirectable |= self.controller == Controller::Shared;
        let dir = directory(self.dir.as_fd(), name)?;
        let seen = statx(&dir, OsStr::new(""))?;
        self.controller = if seen.mount.is_some() && seen.mount == self.mount {
            controller_by_mode(&seen)
        } else {
            controller_of(&dir, &seen)?
        };
        self.shared |= self.controller == Controller::Shared;
        (self.dir, self.mount) = (dir, seen.mount);
        Ok(())
    }

    /// Follows a symbolic link of root's. False: it is another user's, or a magic link, and the walk ends at it.
    fn follow(&mut self, name: &OsStr, seen: &Attributes) -> io::Result<bool> {
        // Where others can create entries, they could have hard-linked a symbolic link that root made elsewhere.
        if seen.uid != 0 || (self.controller != Controller::Root && seen.links != 1) {
            self.controller = Controller::User(seen.uid);
            return if seen.uid == 0 {
                Err(io::Error::other("it leads through a hard link to a symbolic link of root's"))
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
        self.redirectable |= self.controller == Controller::Shared;
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
            shared: self.shared,
            redirectable: self.redirectable,
        }
    }

    /// Whether the last name is a magic link of procfs.
    fn links_to_open_file(&self) -> bool {
        let name = self.left.front().filter(|_| self.left.len() == 1);
        let link = name.is_some_and(|name| statx(&self.dir, name).is_ok_and(|seen| seen.is(SFlag::S_IFLNK)));
        link && self.is_proc()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked(path: &str) -> (PathBuf, Controller, bool) {
        let entry = walk(Path::new(path), &Rules { follow: true, owners: None }).unwrap();
        (entry.name, entry.controller, entry.magic)
    }

    #[test]
    fn links_of_roots_are_followed_unless_they_lead_to_an_open_file() {
        assert_eq!(walked("/"), (".".into(), Controller::Root, false));
        assert_eq!(walked("/proc/1/.."), ("..".into(), Controller::Root, false));
        assert_eq!(walked("/dev/null"), ("null".into(), Controller::Root, false));
        assert_eq!(walked("/proc/1/.././/none"), ("none".into(), Controller::Root, false));
        // For others than root, /proc/self/fd is a directory of a user.
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
    fn the_walk_ends_at_a_directory_or_link_of_a_user() {
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

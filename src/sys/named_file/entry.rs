//! A directory entry: a directory that is held open, and a name in it. Whatever happens to the path meanwhile, the entry stays in
//! that directory.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::{Mode, SFlag};

use super::controller::{Controller, refuse_foreign_mount};
use super::mount_list;
use super::statx::statx;

/// A name in a directory that is held open.
#[derive(Debug)]
pub struct Entry {
    /// The directory. `None`: the name is a whole path.
    pub(super) dir: Option<OwnedFd>,
    /// One name. Where a child has to go on as another user, the rest of the path.
    pub name: PathBuf,
    /// Who can put something else in its place.
    pub controller: Controller,
    /// It is a magic link of procfs to an open file, such as `/proc/self/fd/2`: that file may have no name.
    pub magic: bool,
    /// The path led here through a symbolic link of a user's.
    pub linked: bool,
    /// The path led through a directory of a user's, though this directory is not that user's.
    pub through: bool,
    /// The path led through a directory of root's in which a group or everybody can replace any entry.
    pub shared: bool,
    /// A user other than the controller can replace a part of the path to the directory: a call that takes the path could end in
    /// another directory.
    pub redirectable: bool,
}

impl Entry {
    /// A whole path, in a process that is not root.
    pub(super) fn of_path(path: &Path) -> Self {
        Self {
            dir: None,
            name: path.to_owned(),
            controller: Controller::Own,
            magic: false,
            linked: false,
            through: false,
            shared: false,
            redirectable: false,
        }
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_ref().map_or(AT_FDCWD, AsFd::as_fd)
    }

    /// A descriptor of the directory, to keep (`O_PATH`).
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

    /// Opens it. A symbolic link is followed only where this process acts for no other user. Another user's FUSE mount on the file
    /// itself is refused before the file is opened: every write, and even the close, would wait for that user's program.
    ///
    /// # Errors
    /// Those of openat; a user's FUSE mount.
    pub fn open(&self, flags: OFlag, mode: Mode) -> io::Result<OwnedFd> {
        if self.controller == Controller::Own || self.magic {
            return Ok(openat(self.dir(), &self.name, flags | OFlag::O_CLOEXEC, mode)?);
        }
        let by_name = || Ok(openat(self.dir(), &self.name, flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, mode)?);
        if flags.contains(OFlag::O_CREAT | OFlag::O_EXCL) {
            // A new file is on the mount of its directory, which was checked.
            return by_name();
        }
        let held = self.hold()?;
        if statx(&held, OsStr::new(""))?.is(SFlag::S_IFLNK) {
            return Err(io::Error::from_raw_os_error(libc::ELOOP));
        }
        // Opens the file that was checked: its name in /proc leads to it even if a user mounts something over its own name.
        let reopen = (flags | OFlag::O_CLOEXEC) & !OFlag::O_NOFOLLOW;
        match openat(AT_FDCWD, &super::name_of(&held), reopen, Mode::empty()) {
            Err(nix::errno::Errno::ENOENT) if !mount_list::is_known() => by_name(),
            opened => Ok(opened?),
        }
    }

    /// A descriptor of the file itself, which may be of any type, without opening it (`O_PATH`).
    ///
    /// # Errors
    /// Those of openat; a user's FUSE mount.
    pub fn hold(&self) -> io::Result<OwnedFd> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let held = openat(self.dir(), &self.name, flags, Mode::empty())?;
        if self.controller != Controller::Own && !self.magic {
            let (file, dir) = (statx(&held, OsStr::new(""))?, statx(self.dir(), OsStr::new("."))?);
            // The walk has checked the directory's mount already.
            if file.mount.is_none() || file.mount != dir.mount {
                refuse_foreign_mount(&held, &file)?;
            }
        }
        Ok(held)
    }
}

//! Files of root's that have the path of a log in a directory of a user's. php-fpm makes its logs there as root, so one of them is
//! expected after a change to this program. But the user may also have moved another file of root's there.
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;

use nix::errno::Errno;
use nix::fcntl::{OFlag, RenameFlags, renameat2};
use nix::sys::stat::SFlag;

use crate::sys::fd;
use crate::sys::named_file::statx::{Attributes, statx};
use crate::sys::named_file::{self, Controller, Entry};

/// Most files that are set aside at one path.
const MOST: u32 = 10;

/// Holds a file of root's with the path of a log. It has one hard link, so the user cannot have linked a file of another directory
/// here.
pub(super) fn hold(entry: &Entry) -> Option<OwnedFd> {
    let Controller::User(user) = entry.controller else { return None };
    let dir = statx(entry.dir(), OsStr::new(".")).ok()?;
    if entry.linked || dir.uid != user {
        return None;
    }
    let file = entry.hold().ok()?;
    attributes(&file).is_some().then_some(file)
}

fn attributes(file: &OwnedFd) -> Option<Attributes> {
    let seen = statx(file, OsStr::new("")).ok()?;
    (seen.is(SFlag::S_IFREG) && seen.uid == 0 && seen.links == 1).then_some(seen)
}

/// Opens an error log of root's. Only a file is taken that is like those that the supervisor makes.
///
/// # Errors
/// `EACCES`: it is another file.
pub(super) fn open(held: &OwnedFd) -> io::Result<OwnedFd> {
    if attributes(held).is_none_or(|seen| seen.gid != 0 || seen.mode & 0o7777 != 0o600) {
        return Err(Errno::EACCES.into());
    }
    let mut options = OpenOptions::new();
    options.append(true).custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits());
    let file = OwnedFd::from(options.open(named_file::name_of(held))?);
    fd::set_nonblocking(&file, false)?;
    Ok(file)
}

/// Gives the file another name, with the user's rights. Returns the number of the name.
///
/// # Errors
/// Those of rename; `EEXIST`: there are `MOST` such files.
pub(super) fn set_aside(entry: &Entry) -> io::Result<u32> {
    let to = |number| {
        let mut name = OsString::from(&entry.name);
        name.push(suffix(number));
        name
    };
    for number in 0..MOST {
        let flags = RenameFlags::RENAME_NOREPLACE;
        match renameat2(entry.dir(), &entry.name, entry.dir(), to(number).as_os_str(), flags) {
            Err(Errno::EEXIST) => {}
            moved => return Ok(moved.map(|()| number)?),
        }
    }
    Err(Errno::EEXIST.into())
}

/// What a file that was set aside has after its name.
pub(super) fn suffix(number: u32) -> String {
    if number == 0 { ".root".to_owned() } else { format!(".root.{number}") }
}

//! The pid file. It belongs to root, but may be in a directory of a user: Debian's /run/php belongs to www-data.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, unlinkat};

use super::named_file::statx::statx;
use super::named_file::{self, Answer, Controller, Entry, Rules};

/// No pid file has more bytes.
const LONGEST: u64 = 64;

/// In a directory where everybody can create files, only a file of root is accepted.
fn rules() -> Rules {
    Rules { follow: false, owners: Some(vec![0]) }
}

/// Replaces the file by a new one with this pid.
///
/// # Errors
/// Those of unlink, open and write.
pub fn write(path: &Path, pid: u32) -> io::Result<()> {
    let made = named_file::run(path, rules(), |entry| {
        match unlinkat(entry.dir(), &entry.name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(nix::errno::Errno::ENOENT) => {}
            Err(e) => return Err(e.into()),
        }
        let mode = Mode::from_bits_truncate(0o644);
        let file = entry.open(OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW, mode)?;
        Ok(Answer { file: Some(file), note: 0 })
    })?;
    let file = made.answer.file.ok_or(nix::errno::Errno::EBADF)?;
    if matches!(made.controller, Controller::User(_)) {
        fchown(&file, Some(Uid::from_raw(0)), Some(Gid::from_raw(0)))?;
    }
    write!(File::from(file), "{pid}")
}

/// A pid file that another process has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contents {
    /// The pid.
    pub pid: u32,
    /// The owner of the file.
    pub owner: u32,
}

/// The pid in the file, for a process that has not written it. In a directory of a user it is read with that user's rights and time
/// limit. `None`: it contains no pid.
///
/// # Errors
/// Those of open and read; it is no regular file, such as a FIFO.
pub fn read(path: &Path) -> io::Result<Option<Contents>> {
    let rules = Rules { follow: true, owners: None };
    let asked = named_file::run(path, rules, |entry| {
        let (file, text) = open_text(entry, OFlag::empty())?;
        let pid = text.and_then(|text| text.trim().parse().ok());
        Ok(Answer { file: Some(file.into()), note: pid.unwrap_or(0) })
    });
    let Answer { file, note: pid } = asked?.answer;
    let owner = file.map(|file| statx(&file, OsStr::new(""))).transpose()?.map(|seen| seen.uid);
    Ok(owner.filter(|_| pid > 0).map(|owner| Contents { pid, owner }))
}

/// Whether the file holds this pid.
#[must_use]
pub fn holds(path: &Path, pid: u32) -> bool {
    let found =
        named_file::run(path, rules(), move |entry| Ok(Answer { file: None, note: u32::from(is_of(entry, pid)?) }));
    found.is_ok_and(|found| found.answer.note == 1)
}

/// Removes the file if it still holds this pid.
pub fn remove(path: &Path, pid: u32) {
    let _ = named_file::run(path, rules(), move |entry| {
        let ours = match is_of(entry, pid) {
            // The file is root's, in a directory of a user who cannot read it.
            Err(e) if e.raw_os_error() == Some(libc::EACCES) => true,
            ours => ours?,
        };
        if ours {
            unlinkat(entry.dir(), &entry.name, UnlinkatFlags::NoRemoveDir)?;
        }
        Ok(Answer::default())
    });
}

fn is_of(entry: &Entry, pid: u32) -> io::Result<bool> {
    Ok(open_text(entry, OFlag::O_NOFOLLOW)?.1.is_some_and(|text| text == pid.to_string()))
}

/// The file and its beginning. `None`: it is no text.
fn open_text(entry: &Entry, follow: OFlag) -> io::Result<(File, Option<String>)> {
    // O_NONBLOCK: a FIFO in its place must not block this process.
    let file = entry.open(follow | OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY, Mode::empty())?;
    let file = File::from(file);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut text = Vec::new();
    (&file).take(LONGEST).read_to_end(&mut text)?;
    Ok((file, String::from_utf8(text).ok()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_a_file_with_its_own_pid_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let [path, other] = ["pid", "other"].map(|name| dir.path().join(name));
        let pid_of = |path: &Path| read(path).unwrap().map(|contents| contents.pid);
        std::fs::write(&other, "42").unwrap();
        symlink(&other, &path).unwrap();
        assert!(!holds(&path, 42));
        assert_eq!(pid_of(&path), Some(42));
        write(&path, 42).unwrap();
        assert_eq!(pid_of(&path), Some(42));
        assert!(holds(&path, 42) && !holds(&path, 4) && !std::fs::symlink_metadata(&path).unwrap().is_symlink());
        std::fs::write(&other, "42 43").unwrap();
        assert_eq!(pid_of(&other), None);
        remove(&path, 43);
        assert!(path.exists());
        remove(&path, 42);
        assert!(!path.exists() && other.exists());
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
        assert!(!holds(&path, 42));
        assert_eq!(read(&path).unwrap_err().to_string(), "it is not a regular file");
        assert!(write(dir.path(), 42).is_err() && read(dir.path()).is_err());
    }
}

//! Opening log files, which may be in directories of users (`named_file`).
#![forbid(unsafe_code)]

mod roots;

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, SFlag};
use nix::unistd::{Gid, Uid, fchown};

use super::fd;
use super::named_file::statx::statx;
use super::named_file::{self, Answer, Controller, Entry, Finished, Rules, Task};

/// The owner of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The supervisor. A file that is created in a user's directory is given to root.
    Root,
    /// A pool, which runs as this user if it has one.
    Pool(Option<u32>),
}

/// An open log.
#[derive(Debug)]
pub struct Opened {
    /// Open for appending.
    pub file: OwnedFd,
    /// Warnings about its path.
    pub remarks: Vec<String>,
}

/// A log that is being opened. Its directory may be on a file system that hangs.
#[derive(Debug)]
pub struct Opening(Way);

#[derive(Debug)]
enum Way {
    Given(Option<io::Result<OwnedFd>>),
    Asked(Task, Owner, PathBuf),
}

/// A note of an answer: the file was created.
const MADE: u32 = 1;
/// A note of an answer: the file is root's. It is held by `O_PATH`, and root has to open it.
const ROOTS: u32 = 2;
/// The place of a number in a note: one more than that of the name which a file of root's has got.
const ASIDE: u32 = 8;

/// Opens a log for appending. A new one gets mode 0600, as under php-fpm. In a directory of a user it is opened with that user's
/// rights. A FIFO without a reader is opened at once; messages are lost until it has one.
///
/// # Errors
/// Those of open; the file cannot be a log.
pub fn open(path: &Path, owner: Owner) -> io::Result<Opened> {
    start(path, owner).wait()
}

/// Begins to open it, for a caller that cannot wait.
#[must_use]
pub fn start(path: &Path, owner: Owner) -> Opening {
    let owners = match owner {
        Owner::Root | Owner::Pool(None) => vec![0],
        Owner::Pool(Some(user)) => vec![0, user],
    };
    let rules = Rules { follow: true, owners: Some(owners) };
    let op = move |entry: &Entry| open_in(entry, owner);
    Opening(Way::Asked(Task::start(path, rules, &[], Box::new(op)), owner, path.to_owned()))
}

impl Opening {
    /// A log that was open already.
    #[must_use]
    pub fn given(file: io::Result<OwnedFd>) -> Self {
        Self(Way::Given(Some(file)))
    }

    /// The log, if it is open by then (`None`: now). It is returned once.
    pub fn poll(&mut self, until: Option<Instant>) -> Option<io::Result<Opened>> {
        match &mut self.0 {
            Way::Given(file) => file.take().map(|file| Ok(Opened { file: file?, remarks: Vec::new() })),
            Way::Asked(task, owner, path) => task.poll(until).map(|outcome| finish(outcome?, *owner, path)),
        }
    }

    /// Whether it is over by then (`None`: now). The result is kept.
    pub fn is_over(&mut self, until: Option<Instant>) -> bool {
        match &mut self.0 {
            Way::Given(_) => true,
            Way::Asked(task, ..) => task.is_over(until),
        }
    }

    /// Waits until the log is open.
    ///
    /// # Errors
    /// As `open`.
    pub fn wait(self) -> io::Result<Opened> {
        match self.0 {
            Way::Given(file) => {
                Ok(Opened { file: file.unwrap_or_else(|| Err(Errno::EBADF.into()))?, remarks: Vec::new() })
            }
            Way::Asked(task, owner, path) => finish(task.wait()?, owner, &path),
        }
    }
}

fn finish(outcome: Finished, owner: Owner, path: &Path) -> io::Result<Opened> {
    let Finished { answer: Answer { file, note }, controller, through } = outcome;
    let file = file.ok_or(Errno::EBADF)?;
    let file = if note & ROOTS != 0 { roots::open(&file)? } else { file };
    if note & MADE != 0 && owner == Owner::Root && matches!(controller, Controller::User(_)) {
        // If chown fails, the file stays with the user, who controls the directory anyway.
        let _ = fchown(&file, Some(Uid::from_raw(0)), Some(Gid::from_raw(0)));
    }
    let path = path.to_string_lossy();
    let through = through.map(|user| named_file::leads_through(&path, user));
    let aside = (note >> ASIDE).checked_sub(1).map(|number| {
        let suffix = roots::suffix(number);
        format!(
            "the log '{path}' belonged to root, in a directory of a user who may have moved another file there: it is now \
             '{path}{suffix}', and the new log belongs to that user"
        )
    });
    Ok(Opened { file, remarks: through.into_iter().chain(aside).collect() })
}

fn open_in(entry: &Entry, owner: Owner) -> io::Result<Answer> {
    let (file, note) = match open_or_make(entry) {
        Err(e) if e.raw_os_error() == Some(libc::EACCES) => match (roots::hold(entry), owner) {
            (None, _) => return Err(e),
            (Some(held), Owner::Root) => return Ok(Answer { file: Some(held), note: ROOTS }),
            // Workers get the descriptor of an access log, and could do anything with the file.
            (Some(_), Owner::Pool(_)) => {
                let number = roots::set_aside(entry)?;
                let (file, note) = open_or_make(entry)?;
                (file, note | (number + 1) << ASIDE)
            }
        },
        Err(e) if e.raw_os_error() == Some(libc::ELOOP) => return Err(link_of_a_users()),
        opened => opened?,
    };
    check(entry, &file)?;
    // The writer decides whether to wait, not the flag of the descriptor.
    fd::set_nonblocking(&file, false)?;
    Ok(Answer { file: Some(file), note })
}

const FLAGS: OFlag = OFlag::O_WRONLY.union(OFlag::O_APPEND).union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY);

fn open_or_make(entry: &Entry) -> io::Result<(OwnedFd, u32)> {
    let mode = Mode::S_IRUSR | Mode::S_IWUSR;
    let plain = || entry.open(FLAGS, mode).map(|file| (file, 0));
    match plain() {
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => {}
        // A FIFO can be opened for writing only while it has a reader. This process is one for a moment.
        Err(e) if e.raw_os_error() == Some(libc::ENXIO) && is_fifo(entry) => {
            let _reader = entry.open(OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY, mode)?;
            return plain();
        }
        opened => return opened,
    }
    if entry.controller == Controller::Own {
        // The target of a symbolic link may be created as well.
        return entry.open(FLAGS | OFlag::O_CREAT, mode).map(|file| (file, MADE));
    }
    match entry.open(FLAGS | OFlag::O_CREAT | OFlag::O_EXCL, mode) {
        Err(e) if e.raw_os_error() == Some(libc::EEXIST) => plain(),
        made => made.map(|file| (file, MADE)),
    }
}

fn is_fifo(entry: &Entry) -> bool {
    let follow = entry.controller == Controller::Own || entry.magic;
    let flags = if follow { nix::fcntl::AtFlags::empty() } else { nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW };
    let stat = nix::sys::stat::fstatat(entry.dir(), &entry.name, flags);
    stat.is_ok_and(|stat| stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFIFO.bits())
}

/// Whether the file can be a log. Where other users than root can create entries, a file with several hard links is refused: it
/// may be a file of another directory.
fn check(entry: &Entry, file: &OwnedFd) -> io::Result<()> {
    if entry.controller == Controller::Own || entry.magic {
        return Ok(());
    }
    let seen = statx(file, OsStr::new(""))?;
    let open_to_others = entry.controller != Controller::Root;
    if seen.is(SFlag::S_IFREG) && seen.links != 1 && open_to_others {
        return Err(hard_link(seen.links));
    }
    if matches!(entry.controller, Controller::Shared | Controller::Sticky) && seen.uid != 0 {
        return Err(io::Error::other(format!("its owner has just changed to user {}", seen.uid)));
    }
    // A close of a FIFO and a write to it wait for its lock, which a reader may hold without end.
    if seen.is(SFlag::S_IFIFO) && (open_to_others || seen.uid != 0) {
        return Err(fifo_of_a_users());
    }
    let kinds = [SFlag::S_IFREG, SFlag::S_IFIFO, SFlag::S_IFCHR];
    if kinds.into_iter().any(|kind| seen.is(kind)) {
        return Ok(());
    }
    Err(io::Error::other("it is neither a file nor a FIFO nor a character device"))
}

fn hard_link(names: u64) -> io::Error {
    io::Error::other(format!(
        "the file has {names} hard links, and other users than root can create them here: remove it"
    ))
}

fn fifo_of_a_users() -> io::Error {
    io::Error::other(
        "it is a FIFO of a user, or in a directory that not only root controls: a process that reads it could keep the supervisor waiting without end. Use a FIFO of root's in a directory of root's, or a file",
    )
}

fn link_of_a_users() -> io::Error {
    io::Error::other(
        "it is a symbolic link in a directory that not only root controls: configure the path of the file itself",
    )
}

#[cfg(test)]
mod tests {
    use std::fs::{File, OpenOptions};
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_fifo_without_a_reader_is_opened_at_once_and_read_later() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("fifo");
        let mut file = File::from(super::open(&path, Owner::Root).expect("open").file);
        assert_eq!(file.write(b"x").map_err(|e| e.kind()), Err(io::ErrorKind::BrokenPipe));
        let mut reader = OpenOptions::new().read(true).open(&path).expect("reader");
        file.write_all(b"heard").expect("write");
        drop(file);
        let mut heard = String::new();
        reader.read_to_string(&mut heard).expect("read");
        assert_eq!(heard, "heard");
    }
}

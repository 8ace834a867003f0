//! The reading end of a pipe that untrusted processes write to.
//!
//! A process that can write to a pipe can also hold the kernel's lock of that pipe for as long as it likes: splice(2) from a socket
//! that brings nothing waits with the lock held, and so does a write(2) from memory that a user's file system backs. Meanwhile
//! each read(2) and the last close(2) of the pipe wait for the lock, even with `O_NONBLOCK`, and not even SIGKILL ends this wait.
//! poll(2) and epoll do not take the lock.
//!
//! So the supervisor does not read and close such pipes itself. A child does it (`reader`), and answers in a few microseconds. If it
//! does not answer within some milliseconds, the pipe is [`Read::Locked`]; another child reads the other pipes (`readers`). If a
//! pipe stays locked, the processes that have it open are killed (`unlock`).
#![forbid(unsafe_code)]

mod closer;
mod pipe;
mod reader;
mod readers;
mod unlock;

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use crate::sys::clock::Moment;
use crate::sys::socket::{self, Input};
use pipe::Pipe;
use readers::{Away, Outcome, Readers};

/// A pipe that is locked is read again after this time.
pub const PAUSE: Duration = Duration::from_millis(50);
/// Most bytes of one read.
pub const MOST: usize = 16 * 1024;

thread_local! {
    static READERS: RefCell<Readers> = RefCell::new(Readers::default());
}

/// From now on children of this process read and close these pipes. Without this call the process does it itself. The children are
/// forked at once: a child keeps the pages that this process changes later, so it is to be called before the heap grows, and after
/// RLIMIT_NOFILE is set.
pub fn use_readers() {
    READERS.with_borrow_mut(Readers::enable);
}

/// Kills the processes that have kept a pipe locked. Returns who their owners are, each time that this begins. To be called at
/// `deadline` at the latest.
#[must_use]
pub fn unlock_pipes() -> Vec<String> {
    READERS.with_borrow_mut(Readers::tend)
}

/// When to call `unlock_pipes`, if it has something to do.
#[must_use]
pub fn deadline() -> Option<Moment> {
    READERS.with_borrow(Readers::deadline)
}

/// The result of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// That many bytes.
    Bytes(usize),
    /// Nothing waits at the moment.
    Nothing,
    /// All writers have closed it.
    Closed,
    /// A process keeps the pipe locked. The next read tells whether it still does.
    Locked,
}

/// The reading end, non-blocking.
#[derive(Debug)]
pub struct PeerPipe {
    fd: OwnedFd,
    owner: Box<str>,
    /// The read that has not been answered yet.
    away: Cell<Option<Away>>,
    /// Is dropped after `fd`.
    release: Release,
}

impl PeerPipe {
    /// A pipe with a non-blocking reading end. `owner` begins log lines about its writers.
    #[must_use]
    pub fn new(fd: OwnedFd, owner: &str) -> Self {
        Self { fd, owner: owner.into(), away: Cell::new(None), release: Release(false) }
    }

    /// Reads once, at most `MOST` bytes.
    ///
    /// # Errors
    /// Those of read, without `EAGAIN`.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<Read> {
        let outcome = match self.away.take() {
            Some(away) => READERS.with_borrow_mut(|readers| readers.collect(away, buffer)),
            None => match socket::input(&self.fd) {
                Input::None => return Ok(Read::Nothing),
                // No reader has to be asked.
                Input::End => return Ok(Read::Closed),
                Input::Some => READERS.with_borrow_mut(|readers| readers.read(self.pipe(), buffer)),
            },
        };
        match outcome {
            Outcome::Done(Ok(0)) => Ok(Read::Closed),
            Outcome::Done(Ok(count)) => Ok(Read::Bytes(count)),
            Outcome::Done(Err(e)) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => Ok(Read::Nothing),
            Outcome::Done(Err(e)) => Err(e),
            Outcome::Away(away) => {
                self.away.set(Some(away));
                Ok(Read::Locked)
            }
            Outcome::NoReader => Ok(Read::Locked),
        }
    }

    /// Finds out whether the pipe is locked, although nothing is to be read: a process that has it open cannot end before.
    pub fn probe(&self) {
        if self.away.get().is_none()
            && let Outcome::Away(away) = READERS.with_borrow_mut(|all| all.probe(self.pipe()))
        {
            self.away.set(Some(away));
        }
    }

    fn pipe(&self) -> Pipe<'_> {
        Pipe { fd: self.fd.as_fd(), owner: &self.owner }
    }
}

impl Drop for PeerPipe {
    fn drop(&mut self) {
        self.release.0 = READERS.with_borrow_mut(|readers| match self.away.take() {
            // The reader that waits for the lock has the pipe open, so the close of this descriptor is not the last one.
            Some(away) => {
                readers.give_up(away);
                false
            }
            None => readers.hold(self.pipe()),
        });
    }
}

/// Lets the reader close the pipe, after this process has closed its own descriptor: the last close takes the lock.
#[derive(Debug)]
struct Release(bool);

impl Drop for Release {
    fn drop(&mut self) {
        if self.0 {
            READERS.with_borrow_mut(Readers::release);
        }
    }
}

impl AsFd for PeerPipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for PeerPipe {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use nix::fcntl::OFlag;

    use super::*;

    #[test]
    fn without_readers_a_pipe_is_read_here() {
        let (reading, writing) = nix::unistd::pipe2(OFlag::O_NONBLOCK).expect("pipe");
        let (pipe, mut writer) = (PeerPipe::new(reading, "www"), File::from(writing));
        let mut buffer = [0; 8];
        assert_eq!(pipe.read(&mut buffer).expect("read"), Read::Nothing);
        writer.write_all(b"hello").expect("write");
        assert_eq!(pipe.read(&mut buffer).expect("read"), Read::Bytes(5));
        assert_eq!(&buffer[..5], b"hello");
        drop(writer);
        assert_eq!(pipe.read(&mut buffer).expect("read"), Read::Closed);
        assert!(unlock_pipes().is_empty());
    }
}

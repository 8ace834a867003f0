//! Writing to a descriptor whose reader may have stopped reading: a pipe, a terminal, a socket.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};

use crate::sys::fd;

/// A descriptor to write to.
#[derive(Debug)]
pub struct Outlet {
    file: File,
    way: Way,
}

/// How to write there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// A write waits until the reader takes the bytes.
    Patient,
    /// A write never waits: a file.
    Ready,
    /// `O_NONBLOCK` is set. The flag belongs to the open file description, which other processes may share, so the description is
    /// our own, or had the flag already.
    Nonblocking,
    /// A socket: each call says `MSG_DONTWAIT`.
    Socket,
    /// A description that cannot be opened again: poll(2) tells whether it has room. Another writer may fill it in between.
    Looked,
}

/// A pipe that poll(2) calls writable takes this many bytes (`PIPE_BUF`).
const PIPE_BUF: usize = 4096;

impl Outlet {
    /// A descriptor whose writes wait.
    pub(super) fn new(file: File) -> Self {
        Self { file, way: Way::Patient }
    }

    /// The same descriptor with writes that never wait.
    pub(super) fn never_wait(self) -> Self {
        if self.way != Way::Patient {
            return self;
        }
        let file = self.file;
        let kind = file.metadata().map(|m| m.file_type());
        match kind {
            Ok(kind) if kind.is_socket() => Self { file, way: Way::Socket },
            Ok(kind) if kind.is_fifo() || kind.is_char_device() => Self::unwaited(file),
            _ => Self { file, way: Way::Ready },
        }
    }

    fn unwaited(file: File) -> Self {
        let flags = fcntl(&file, FcntlArg::F_GETFL).map(OFlag::from_bits_retain);
        if flags.is_ok_and(|flags| flags.contains(OFlag::O_NONBLOCK)) {
            return Self { file, way: Way::Nonblocking };
        }
        let name = format!("/proc/self/fd/{}", file.as_raw_fd());
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        match OpenOptions::new().append(true).custom_flags(flags.bits()).open(name) {
            Ok(own) => Self { file: File::from(fd::lift(own.into())), way: Way::Nonblocking },
            Err(_) => Self { file, way: Way::Looked },
        }
    }

    pub(super) fn descriptor(&self) -> Option<OwnedFd> {
        self.file.try_clone().ok().map(OwnedFd::from)
    }

    /// Writes as much as the reader takes.
    ///
    /// # Errors
    /// `WouldBlock`: the reader takes nothing at present. Others: those of write(2).
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self.way {
            Way::Patient => insist(&self.file, bytes),
            Way::Ready | Way::Nonblocking => (&self.file).write(bytes),
            Way::Socket => {
                let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
                Ok(send(self.file.as_raw_fd(), bytes, flags)?)
            }
            Way::Looked if has_room(&self.file, PollTimeout::ZERO) => {
                (&self.file).write(&bytes[..bytes.len().min(PIPE_BUF)])
            }
            Way::Looked => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

/// Writes and waits if it must, even where another process has made the description non-blocking.
///
/// # Errors
/// Those of write(2).
pub(super) fn insist(fd: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match nix::unistd::write(&fd, bytes).map_err(io::Error::from) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => _ = has_room(&fd, PollTimeout::NONE),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

fn has_room(fd: impl AsFd, patience: PollTimeout) -> bool {
    // After an error, write(2) tells what it is.
    matches!(poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLOUT)], patience), Ok(1..))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// Writes until the reader takes nothing more.
    fn fill(outlet: &Outlet) -> usize {
        let mut written = 0;
        loop {
            match outlet.write(&[b'x'; 1000]) {
                Ok(count) => written += count,
                Err(e) => {
                    assert_eq!(e.kind(), io::ErrorKind::WouldBlock);
                    return written;
                }
            }
        }
    }

    #[test]
    fn a_pipe_that_nobody_reads_is_not_waited_for_and_stays_what_it_is_for_others() {
        let (read, write) = nix::unistd::pipe().expect("pipe");
        let others = File::from(write.try_clone().expect("dup"));
        let outlet = Outlet::new(File::from(write)).never_wait();
        assert_eq!(outlet.way, Way::Nonblocking);
        let written = fill(&outlet);
        assert!(written >= 32 * 1024, "{written}");
        let flags = fcntl(&others, FcntlArg::F_GETFL).map(OFlag::from_bits_retain);
        assert!(!flags.expect("flags").contains(OFlag::O_NONBLOCK));
        let mut some = [0; 8192];
        File::from(read).read_exact(&mut some).expect("read");
    }

    #[test]
    fn one_that_is_looked_at_is_not_waited_for() {
        let (_read, write) = nix::unistd::pipe().expect("pipe");
        let written = fill(&Outlet { file: File::from(write), way: Way::Looked });
        assert!(written >= 32 * 1024, "{written}");
    }

    #[test]
    fn a_socket_that_nobody_reads_is_not_waited_for() {
        let (_peer, ours) = UnixStream::pair().expect("pair");
        let outlet = Outlet::new(File::from(OwnedFd::from(ours))).never_wait();
        assert_eq!(outlet.way, Way::Socket);
        assert!(fill(&outlet) > 1000);
    }

    #[test]
    fn files_and_what_is_non_blocking_already_are_written_to_as_they_are() {
        let file = tempfile::tempfile().expect("file");
        assert_eq!(Outlet::new(file).never_wait().way, Way::Ready);
        let (_read, write) = nix::unistd::pipe2(OFlag::O_NONBLOCK).expect("pipe");
        assert_eq!(Outlet::new(File::from(write)).never_wait().way, Way::Nonblocking);
    }

    #[test]
    fn who_insists_waits_for_a_reader() {
        let (read, write) = nix::unistd::pipe2(OFlag::O_NONBLOCK).expect("pipe");
        fill(&Outlet { file: File::from(write.try_clone().expect("dup")), way: Way::Nonblocking });
        let reader = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(30));
            let mut some = [0; 32 * 1024];
            let _ = File::from(read.try_clone().expect("dup")).read(&mut some);
            read
        });
        assert!(insist(&write, b"last").is_ok_and(|count| count == 4));
        drop(reader.join());
    }
}

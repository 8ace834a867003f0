//! The listening control socket. It stays open over the exec of a reload, so that no command is refused.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use crate::sys::clock::Moment;
use crate::sys::listen;
use crate::sys::socket_file::{self, Binding, NotBound, Place};

/// A path that cannot be used is tried again after this time.
const AGAIN: Duration = Duration::from_secs(10);
/// While a path is walked by a child.
const LOOK: Duration = Duration::from_millis(20);
/// How long the supervisor waits for the removal of a path.
const REMOVAL: Duration = Duration::from_millis(40);
const BACKLOG: i32 = 64;
const MODE: u32 = 0o600;

/// A path, and the socket there.
#[derive(Debug)]
pub(crate) struct Address {
    path: PathBuf,
    socket: Socket,
    /// It was logged that the path cannot be used.
    told: bool,
}

#[derive(Debug)]
enum Socket {
    /// To be opened then.
    Due(Moment),
    /// A path is being walked.
    Binding(OwnedFd, Box<Binding>),
    Listens(OwnedFd),
}

/// How far the socket is.
#[derive(Debug)]
pub(crate) enum Progress {
    /// It listens.
    Listens,
    /// Not yet.
    Waits,
    /// It cannot be used, for this reason, which was not told before.
    Failed(io::Error),
}

impl Address {
    /// One that is opened next.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, socket: Socket::Due(Moment::default()), told: false }
    }

    /// One whose socket listens already.
    pub(super) fn listening(path: PathBuf, listener: OwnedFd) -> Self {
        Self { path, socket: Socket::Listens(listener), told: false }
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The socket, if it listens.
    pub(crate) fn listener(&self) -> Option<&OwnedFd> {
        if let Socket::Listens(listener) = &self.socket { Some(listener) } else { None }
    }

    /// When to look again.
    pub(crate) fn deadline(&self, now: Moment) -> Option<Moment> {
        match self.socket {
            Socket::Due(at) => Some(at),
            Socket::Binding(..) => Some(now + LOOK),
            Socket::Listens(_) => None,
        }
    }

    /// Goes on to open it.
    pub(crate) fn advance(&mut self, now: Moment) -> Progress {
        match self.step(now) {
            Ok(true) => {
                self.told = false;
                Progress::Listens
            }
            Ok(false) => Progress::Waits,
            Err(e) => {
                self.socket = Socket::Due(now + AGAIN);
                if std::mem::replace(&mut self.told, true) { Progress::Waits } else { Progress::Failed(e) }
            }
        }
    }

    fn step(&mut self, now: Moment) -> io::Result<bool> {
        if matches!(self.socket, Socket::Due(at) if at <= now) {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let fd = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
            let binding = Binding::begin(&fd, &self.path, MODE, Place::Final)?;
            self.socket = Socket::Binding(fd, Box::new(binding));
        }
        if let Socket::Binding(_, binding) = &mut self.socket
            && binding.is_over(Instant::now())
            && let Socket::Binding(fd, binding) = std::mem::replace(&mut self.socket, Socket::Due(now))
        {
            binding.wait().map_err(reason)?;
            listen::listen(&fd, BACKLOG)?;
            self.socket = Socket::Listens(fd);
        }
        Ok(self.listener().is_some())
    }

    /// Removes the file of the socket.
    pub(crate) fn unlink(&self) {
        if let Some(listener) = self.listener() {
            socket_file::remove(&self.path, listener).is_over(Instant::now() + REMOVAL);
        }
    }
}

fn reason(not_bound: NotBound) -> io::Error {
    match not_bound {
        NotBound::Served => io::Error::other("another process listens there"),
        NotBound::Error(e) => e,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn progress(address: &mut Address, at: u64) -> Progress {
        let mut last = address.advance(Moment::at_millis(at));
        for _ in 0..500 {
            if !matches!(last, Progress::Waits) || matches!(address.socket, Socket::Due(_)) {
                break;
            }
            std::thread::sleep(LOOK);
            last = address.advance(Moment::at_millis(at));
        }
        last
    }

    #[test]
    fn the_file_is_for_its_owner_only_and_replaces_a_dead_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fpm.control");
        let mut first = Address::new(path.clone());
        assert!(matches!(progress(&mut first, 1), Progress::Listens));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let mut second = Address::new(path.clone());
        let Progress::Failed(e) = progress(&mut second, 1) else { panic!("{second:?}") };
        assert_eq!(e.to_string(), "another process listens there");
        assert!(matches!(progress(&mut second, 9_000), Progress::Waits), "too early");
        drop(first);
        assert!(matches!(progress(&mut second, 10_001), Progress::Listens));
        second.unlink();
        assert!(!path.exists());
    }
}

//! The listening socket of the monitor. The supervisor opens it, so that the monitor needs no rights, and it stays open while one monitor
//! follows another.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, setsockopt, socket, sockopt};
use nix::unistd::Uid;

use crate::config::MonitorConfig;
use crate::sys::clock::Moment;
use crate::sys::socket_file::{self, Access, Binding, Failure, NotBound, Place, SocketFile};
use crate::sys::{failure, listen};

/// An address that cannot be used is tried again after this time.
const AGAIN: Duration = Duration::from_secs(10);
/// While a path is walked by a child.
const LOOK: Duration = Duration::from_millis(20);
/// How long the supervisor waits for the removal of a path.
const REMOVAL: Duration = Duration::from_millis(40);
const BACKLOG: i32 = 256;

/// An address, and the socket there.
#[derive(Debug)]
pub(crate) struct Address {
    config: MonitorConfig,
    socket: Socket,
    /// It was logged that the address cannot be used.
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
    pub(crate) fn new(config: MonitorConfig) -> Self {
        Self { config, socket: Socket::Due(Moment::default()), told: false }
    }

    /// One whose socket listens already.
    pub(super) fn listening(config: MonitorConfig, listener: OwnedFd) -> Self {
        Self { config, socket: Socket::Listens(listener), told: false }
    }

    /// What it was made of.
    pub(crate) fn config(&self) -> &MonitorConfig {
        &self.config
    }

    /// Whether a configuration leads to the same socket. Then it takes its place.
    pub(crate) fn serves(&mut self, config: &MonitorConfig) -> bool {
        let access = |of: &MonitorConfig| (of.mode, of.owner, of.group);
        let same =
            self.config.listen == config.listen && (access(&self.config) == access(config) || config.tcp().is_some());
        if same {
            self.config.clone_from(config);
        }
        same
    }

    /// The socket, if it listens.
    pub(crate) fn listener(&self) -> Option<&OwnedFd> {
        if let Socket::Listens(listener) = &self.socket { Some(listener) } else { None }
    }

    /// When to look again.
    pub(super) fn deadline(&self, now: Moment) -> Option<Moment> {
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
            self.socket = open(&self.config)?;
        }
        if let Socket::Binding(_, binding) = &mut self.socket
            && binding.is_over(Instant::now())
            && let Socket::Binding(fd, binding) = std::mem::replace(&mut self.socket, Socket::Due(now))
        {
            let file = binding.wait().map_err(reason)?;
            self.give_access(&file)?;
            listen::listen(&fd, BACKLOG)?;
            self.socket = Socket::Listens(fd);
        }
        Ok(self.listener().is_some())
    }

    /// Gives the new file to its owner and group, before anybody can connect.
    fn give_access(&self, file: &SocketFile) -> io::Result<()> {
        let MonitorConfig { mode, owner, group, .. } = self.config;
        if owner.is_none() && group.is_none() {
            return Ok(());
        }
        let uid = owner.unwrap_or_else(|| Uid::effective().as_raw());
        let access = Access { uid, gid: group, mode, acl_users: &[], acl_groups: &[] };
        let failed =
            |Failure { what, error }| io::Error::other(format!("failed to {what} it: {}", failure::reason(&error)));
        file.set_access(&access).map_err(failed)
    }

    /// Closes it for good: also in the process of the monitor, or an address that overlaps with it could not be used before that
    /// process has ended.
    pub(crate) fn give_up(&self) {
        self.unlink();
        if let Some(listener) = self.listener() {
            listen::refuse(listener);
        }
    }

    /// Removes the file of a unix socket. The processes that have the socket go on with it.
    pub(crate) fn unlink(&self) {
        if let (None, Some(listener)) = (self.config.tcp(), self.listener()) {
            socket_file::remove(Path::new(&self.config.listen), listener).is_over(Instant::now() + REMOVAL);
        }
    }
}

fn reason(not_bound: NotBound) -> io::Error {
    match not_bound {
        NotBound::Served => io::Error::other("another process listens there"),
        NotBound::Error(e) => e,
    }
}

fn open(config: &MonitorConfig) -> io::Result<Socket> {
    let new = |family| socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None);
    let Some(address) = config.tcp() else {
        let fd = new(AddressFamily::Unix)?;
        let binding = Binding::begin(&fd, Path::new(&config.listen), config.mode, Place::Final)?;
        return Ok(Socket::Binding(fd, Box::new(binding)));
    };
    let fd = new(if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 })?;
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    setsockopt(&fd, sockopt::TcpNoDelay, &true)?;
    bind(fd.as_raw_fd(), &SockaddrStorage::from(address))?;
    listen::listen(&fd, BACKLOG)?;
    Ok(Socket::Listens(fd))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::os::unix::net::UnixStream;

    use super::*;

    fn config(listen: &str) -> MonitorConfig {
        let allowed_hosts = Vec::new();
        let listen = listen.to_owned();
        MonitorConfig { listen, mode: 0o640, owner: None, group: None, allowed_hosts, show_requests: false }
    }

    fn opened(address: &mut Address) -> bool {
        let listens = |address: &mut Address| match address.advance(Moment::at_millis(1)) {
            Progress::Listens => Some(true),
            Progress::Waits => None,
            Progress::Failed(_) => Some(false),
        };
        (0..500).find_map(|_| listens(address).or_else(|| (std::thread::sleep(LOOK), None).1)).unwrap_or(false)
    }

    #[test]
    fn an_address_that_is_taken_is_told_once_and_tried_again() {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut address = Address::new(config(&other.local_addr().unwrap().to_string()));
        assert!(matches!(address.advance(Moment::at_millis(1)), Progress::Failed(_)));
        let after = |address: &mut Address, at| address.advance(Moment::at_millis(at));
        assert!(matches!(after(&mut address, 10_001), Progress::Waits), "told already");
        let there = other.local_addr().unwrap();
        drop(other);
        assert!(matches!(after(&mut address, 20_000), Progress::Waits), "too early");
        assert!(matches!(after(&mut address, 20_001), Progress::Listens));
        assert!(TcpStream::connect(there).is_ok());
    }

    #[test]
    fn an_address_that_is_given_up_can_be_used_while_a_process_has_its_socket_open() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut former = Address::new(config(&format!("127.0.0.1:{port}")));
        assert!(opened(&mut former));
        let open = former.listener().unwrap().try_clone().unwrap();
        // A connection that goes on.
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let accepted = listen::accept(&open).unwrap();
        assert!(accepted.is_some());
        let mut next = Address::new(config(&format!("0.0.0.0:{port}")));
        assert!(matches!(next.advance(Moment::at_millis(1)), Progress::Failed(_)));
        former.give_up();
        drop(former);
        let mut next = Address::new(config(&format!("0.0.0.0:{port}")));
        assert!(opened(&mut next) && TcpStream::connect(("127.0.0.1", port)).is_ok());
        drop((client, open));
    }

    #[test]
    fn a_path_has_its_mode_and_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("monitor.sock");
        let mut address = Address::new(config(path.to_str().unwrap()));
        assert!(opened(&mut address));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(UnixStream::connect(&path).is_ok());
        assert!(address.serves(&config(path.to_str().unwrap())) && !address.serves(&config("/other")));
        address.unlink();
        assert!(!path.exists());
        // As root, to somebody else; otherwise to ourselves.
        let id = if Uid::effective().is_root() { 65534 } else { Uid::effective().as_raw() };
        let given = MonitorConfig { owner: Some(id), ..config(path.to_str().unwrap()) };
        assert!(!address.serves(&given));
        assert!(opened(&mut Address::new(given)));
        let metadata = std::fs::metadata(&path).unwrap();
        assert_eq!((metadata.uid(), metadata.permissions().mode() & 0o777), (id, 0o640));
    }
}

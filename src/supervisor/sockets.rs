//! Listening sockets: opened once, named by their address, handed from one image of the supervisor to the next.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::path::Path;

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrLike, SockaddrStorage, UnixAddr, bind, connect, listen,
    setsockopt, socket, sockopt,
};

use crate::config::{self, ListenAddr, Pool};
use crate::log;
use crate::sys::fd;

/// One listening socket.
#[derive(Debug)]
pub struct Listener {
    /// The address, as the configuration has it, or as resolved.
    pub name: String,
    /// The socket.
    pub fd: OwnedFd,
    /// Named by the present configuration.
    pub wanted: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Sockets {
    /// In the order of opening.
    pub all: Vec<Listener>,
}

impl Sockets {
    /// Nothing is wanted until `open` names it.
    pub fn forget_wishes(&mut self) {
        self.all.iter_mut().for_each(|l| l.wanted = false);
    }

    /// The descriptors a pool listens on, opened where they aren't yet.
    ///
    /// # Errors
    /// A line for the log.
    pub fn open(&mut self, pool: &Pool) -> Result<Vec<RawFd>, String> {
        let mut fds = Vec::new();
        for address in &pool.listen {
            match address {
                ListenAddr::Unix(path) => {
                    let (path, warning) = config::unix_path(path);
                    warning.into_iter().for_each(|w| log::warning(format!("[pool {}] {w}", pool.name)));
                    let name = path.to_string_lossy().into_owned();
                    fds.push(self.one(&name, || open_unix(&path, pool))?);
                    give_access(&path, pool)?;
                }
                ListenAddr::Tcp { spec, addrs } => {
                    let addrs = resolved(spec, addrs)?;
                    fds.push(self.one(spec, || open_first(&addrs, pool))?);
                }
            }
        }
        Ok(fds)
    }

    fn one(&mut self, name: &str, open: impl FnOnce() -> io::Result<OwnedFd>) -> Result<RawFd, String> {
        if let Some(listener) = self.all.iter_mut().find(|l| l.name == name) {
            listener.wanted = true;
            return Ok(listener.fd.as_raw_fd());
        }
        let describe = |e: io::Error| format!("unable to bind listening socket for address '{name}': {}", reason(&e));
        let fd = open().and_then(|fd| fd::set_nonblocking(&fd, true).map(|()| fd)).map_err(describe)?;
        let raw = fd.as_raw_fd();
        self.all.push(Listener { name: name.to_owned(), fd, wanted: true });
        Ok(raw)
    }

    /// Closes what the configuration no longer names; the path of a unix socket goes first, so that nobody new comes.
    pub fn close_unwanted(&mut self) {
        for gone in self.all.extract_if(.., |l| !l.wanted) {
            unlink_socket(&gone.name);
            log::debug(format!("closed listening socket \"{}\"", gone.name));
        }
    }

    /// At the end: paths of unix sockets are removed.
    pub fn unlink_all(&self) {
        self.all.iter().for_each(|l| unlink_socket(&l.name));
    }
}

/// The system's reason as php-fpm words it: `No such file or directory (2)`.
pub(super) fn reason(e: &io::Error) -> String {
    e.raw_os_error()
        .map_or_else(|| e.to_string(), |code| format!("{} ({code})", nix::errno::Errno::from_raw(code).desc()))
}

fn unlink_socket(name: &str) {
    if name.starts_with('/') && fs::symlink_metadata(name).is_ok_and(|m| m.file_type().is_socket()) {
        let _ = fs::remove_file(name);
    }
}

/// Host names are resolved when the socket is opened; a port alone means all addresses, v6 first.
fn resolved(spec: &str, addrs: &[SocketAddr]) -> Result<Vec<SocketAddr>, String> {
    if !addrs.is_empty() {
        return Ok(addrs.to_vec());
    }
    config::resolve(spec)
}

/// The first of several addresses that can be bound: those of a host name, or of a port alone (all addresses, v6 first).
fn open_first(addrs: &[SocketAddr], pool: &Pool) -> io::Result<OwnedFd> {
    let mut refusal = io::Error::from_raw_os_error(libc::EADDRNOTAVAIL);
    for (index, addr) in addrs.iter().enumerate() {
        match bind_tcp(*addr, pool) {
            Ok(fd) => return Ok(fd),
            Err(e) => refusal = e,
        }
        if addr.ip() == std::net::Ipv6Addr::UNSPECIFIED && index + 1 < addrs.len() {
            log::notice("Failed implicitly binding to ::, retrying with 0.0.0.0");
        }
    }
    Err(refusal)
}

fn bind_tcp(addr: SocketAddr, pool: &Pool) -> io::Result<OwnedFd> {
    let address = SockaddrStorage::from(addr);
    let family = if addr.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    // Accepted connections inherit it: answers leave at once.
    setsockopt(&fd, sockopt::TcpNoDelay, &true)?;
    bind_and_listen(fd, &address, pool)
}

fn open_unix(path: &Path, pool: &Pool) -> io::Result<OwnedFd> {
    let address = UnixAddr::new(path)?;
    let probe = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    if connect(probe.as_raw_fd(), &address).is_ok() {
        log::error(format!("Another FPM instance seems to already listen on {}", path.display()));
        return Err(io::Error::from_raw_os_error(libc::EADDRINUSE));
    }
    unlink_socket(&path.to_string_lossy());
    let fd = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    // Nobody may connect before owner and mode are set.
    let old = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o777));
    let bound = bind(fd.as_raw_fd(), &address);
    nix::sys::stat::umask(old);
    bound?;
    listen(&fd, backlog(pool))?;
    Ok(fd)
}

fn bind_and_listen(fd: OwnedFd, address: &dyn SockaddrLike, pool: &Pool) -> io::Result<OwnedFd> {
    bind(fd.as_raw_fd(), address)?;
    listen(&fd, backlog(pool))?;
    Ok(fd)
}

fn backlog(pool: &Pool) -> Backlog {
    Backlog::new(pool.listen_backlog).unwrap_or(Backlog::MAXCONN)
}

/// Owner, group and mode of a unix socket; again at each reload, so that a changed configuration takes effect.
fn give_access(path: &Path, pool: &Pool) -> Result<(), String> {
    let (access, warnings) = config::socket_access(pool).map_err(|e| format!("[pool {}] {e}", pool.name))?;
    warnings.into_iter().for_each(|w| log::warning(format!("[pool {}] {w}", pool.name)));
    let failed = |what: &str, e: &io::Error| {
        format!("[pool {}] failed to {what} the socket '{}': {}", pool.name, path.display(), reason(e))
    };
    let mode = fs::Permissions::from_mode(pool.listen_mode);
    fs::set_permissions(path, mode).map_err(|e| failed("chmod()", &e))?;
    if access.uid.is_some() || access.gid.is_some() {
        chown(path, access.uid, access.gid).map_err(|e| failed("chown()", &e))?;
    }
    crate::sys::acl::set(path, &access.acl_users, &access.acl_groups, pool.listen_mode)
        .map_err(|e| failed("set the ACL of", &e))
}

//! Opening listening sockets.

use std::fs;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, UnixAddr, bind, connect, setsockopt, socket, sockopt,
};

use super::wish::Wish;
use crate::log;
use crate::sys::failure::reason;
use crate::sys::listen;

pub(super) fn cannot_bind(name: &str, e: &io::Error) -> String {
    format!("unable to bind listening socket for address '{name}': {}", reason(e))
}

pub(super) fn is_path(name: &str) -> bool {
    name.starts_with('/')
}

/// Removes the path of a unix socket.
pub(super) fn unlink(name: &str) {
    if is_path(name) && fs::symlink_metadata(name).is_ok_and(|m| m.file_type().is_socket()) {
        let _ = fs::remove_file(name);
    }
}

/// The first of several addresses that can be bound: those of a host name, or of a port alone (all addresses, v6 first).
///
/// # Errors
/// A line for the log.
pub(super) fn first(spec: &str, addrs: &[SocketAddr], wish: &Wish) -> Result<OwnedFd, String> {
    let mut refusal = io::Error::from_raw_os_error(libc::EADDRNOTAVAIL);
    for (index, addr) in addrs.iter().enumerate() {
        let others = addrs.get(index + 1..).unwrap_or_default();
        let any = addr.ip() == Ipv6Addr::UNSPECIFIED && !spec.contains(':');
        match bind_tcp(*addr, wish) {
            Ok(fd) if any => return Ok(fd),
            Ok(fd) => {
                let host = spec.rsplit_once(':').map_or(spec, |(host, _)| host);
                others.iter().for_each(|other| {
                    log::warning(format!("Found multiple addresses for {host}, {} ignored", other.ip()));
                });
                return Ok(fd);
            }
            Err(_) if any && !others.is_empty() => {
                log::notice("Failed implicitly binding to ::, retrying with 0.0.0.0");
            }
            Err(e) => {
                if !others.is_empty() {
                    log::error(cannot_bind(spec, &e));
                }
                refusal = e;
            }
        }
    }
    Err(cannot_bind(spec, &refusal))
}

fn bind_tcp(addr: SocketAddr, wish: &Wish) -> io::Result<OwnedFd> {
    let address = SockaddrStorage::from(addr);
    let family = if addr.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    // Accepted connections inherit it: answers leave at once.
    setsockopt(&fd, sockopt::TcpNoDelay, &true)?;
    if addr.ip() == Ipv6Addr::UNSPECIFIED && wish.v4_ports.contains(&addr.port()) {
        setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
    }
    bind(fd.as_raw_fd(), &address)?;
    listen::listen(&fd, wish.backlog)?;
    Ok(fd)
}

/// A unix socket in place of a dead one.
///
/// # Errors
/// A line for the log.
pub(super) fn unix(path: &Path, wish: &Wish) -> Result<OwnedFd, String> {
    let failed = |e: &io::Error| cannot_bind(&path.to_string_lossy(), e);
    if is_served(path) {
        return Err(format!("Another FPM instance seems to already listen on {}", path.display()));
    }
    let fd = bind_unix(path).map_err(|e| failed(&e))?;
    if let Err(line) = wish.give_access(path) {
        unlink(&path.to_string_lossy());
        return Err(line);
    }
    listen::listen(&fd, wish.backlog).map_err(|e| failed(&e))?;
    Ok(fd)
}

/// Whether somebody listens there. One whose queue is full does, and isn't waited for.
fn is_served(path: &Path) -> bool {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let probe = socket(AddressFamily::Unix, SockType::Stream, flags, None);
    let answer = probe.and_then(|probe| connect(probe.as_raw_fd(), &UnixAddr::new(path)?));
    matches!(answer, Ok(()) | Err(Errno::EAGAIN))
}

/// Bound, but closed to all until its access is set.
fn bind_unix(path: &Path) -> io::Result<OwnedFd> {
    let address = UnixAddr::new(path)?;
    unlink(&path.to_string_lossy());
    let fd = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let old = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o777));
    let bound = bind(fd.as_raw_fd(), &address);
    nix::sys::stat::umask(old);
    bound?;
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn who_listens_is_known_without_waiting_for_room_in_the_queue() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("socket");
        assert!(!is_served(&path));
        let listener = UnixListener::bind(&path).expect("listener");
        listen::listen(&listener, 0).expect("a short queue");
        // Those that wait stay there, closed or not.
        assert!((0..3).all(|_| is_served(&path)));
        drop(listener);
        assert!(!is_served(&path));
    }
}

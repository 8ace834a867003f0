//! Opening listening sockets.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, setsockopt, socket, sockopt};

use super::error::SocketError;
use super::wish::Wish;
use crate::log::{self, messages::sockets as messages};
use crate::sys::failure::reason;
use crate::sys::listen;
use crate::sys::named_file;
use crate::sys::socket_file::{self, NotBound, Removal};

pub(super) fn is_path(name: &str) -> bool {
    name.starts_with('/')
}

/// Removes the path of a unix socket, where it is that one.
pub(super) fn unlink(name: &str, fd: &OwnedFd) -> Option<Removal> {
    is_path(name).then(|| socket_file::remove(Path::new(name), fd))
}

/// Waits until it is removed.
pub(super) fn finish(name: &str, removal: Removal) {
    match removal.wait() {
        Ok(true) => {}
        Ok(false) => log::say(&messages::socket_file_replaced(name)),
        Err(e) => log::say(&messages::socket_not_removed(name, reason(&e))),
    }
}

/// The first of several addresses that can be bound: those of a host name, or of a port alone (all addresses, v6 first).
///
/// # Errors
/// Why the pool cannot listen there.
pub(super) fn first(spec: &str, addrs: &[SocketAddr], wish: &Wish) -> Result<OwnedFd, SocketError> {
    let mut refusal = io::Error::from_raw_os_error(libc::EADDRNOTAVAIL);
    for (index, addr) in addrs.iter().enumerate() {
        let others = addrs.get(index + 1..).unwrap_or_default();
        let any = addr.ip() == Ipv6Addr::UNSPECIFIED && !spec.contains(':');
        match bind_tcp(*addr, wish) {
            Ok(fd) if any => return Ok(fd),
            Ok(fd) => {
                let host = spec.rsplit_once(':').map_or(spec, |(host, _)| host);
                others.iter().for_each(|other| {
                    log::say(&messages::several_addresses(host, other.ip()));
                });
                return Ok(fd);
            }
            Err(_) if any && !others.is_empty() => {
                log::say(&messages::retrying_without_ipv6());
            }
            Err(e) => {
                if !others.is_empty() {
                    log::say(&messages::cannot_bind(spec, reason(&e)));
                }
                refusal = e;
            }
        }
    }
    Err(SocketError::bind(spec, refusal))
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
/// Why the pool cannot listen there.
pub(super) fn unix(path: &Path, wish: &Wish) -> Result<OwnedFd, SocketError> {
    let failed = |e: io::Error| SocketError::bind(&path.to_string_lossy(), e);
    let unbound = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None);
    let fd = unbound.map_err(|e| failed(e.into()))?;
    let provable = socket_file::can_prove(&fd);
    // Closed to all until its access is set; where that may not be possible, as it is to be from the beginning.
    let file = socket_file::bind_to(&fd, path, if provable { 0 } else { wish.mode }).map_err(|e| match e {
        NotBound::Served => SocketError::Served(path.to_owned()),
        NotBound::Error(e) => failed(e),
    })?;
    if let Some(user) = file.through {
        log::say(&messages::socket_remark(&wish.pool, named_file::leads_through(&path.to_string_lossy(), user)));
    }
    if let Err(refusal) = wish.give_access(path, &fd, &file) {
        if let Some(removal) = unlink(&path.to_string_lossy(), &fd) {
            finish(&path.to_string_lossy(), removal);
        }
        return Err(refusal);
    }
    listen::listen(&fd, wish.backlog).map_err(failed)?;
    Ok(fd)
}

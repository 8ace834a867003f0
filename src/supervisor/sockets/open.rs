//! Opening listening sockets.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::time::Instant;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, setsockopt, socket, sockopt};

use crate::log::{self, messages::sockets as messages};
use crate::supervisor::sockets::error::SocketError;
use crate::supervisor::sockets::options::SocketOptions;
use crate::sys::failure::reason;
use crate::sys::listen;
use crate::sys::message;
use crate::sys::named_file;
use crate::sys::socket_file::{self, Binding, NotBound, Place};

/// Binds the first address that can be bound, of those that a host name has, or of the two for a port alone (IPv6 first).
///
/// # Errors
/// Why the pool cannot listen there.
pub(super) fn first(spec: &str, addrs: &[SocketAddr], options: &SocketOptions) -> Result<OwnedFd, SocketError> {
    let mut refusal = io::Error::from_raw_os_error(libc::EADDRNOTAVAIL);
    for (index, addr) in addrs.iter().enumerate() {
        let others = addrs.get(index + 1..).unwrap_or_default();
        let any = addr.ip() == Ipv6Addr::UNSPECIFIED && !spec.contains(':');
        match bind_tcp(*addr, options) {
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

/// A listening TCP socket (`SO_REUSEADDR`, `TCP_NODELAY`). It is for IPv6 alone (`IPV6_V6ONLY`) where a pool listens on all IPv4
/// addresses of the same port.
fn bind_tcp(addr: SocketAddr, options: &SocketOptions) -> io::Result<OwnedFd> {
    let fd = tcp_socket(addr)?;
    if addr.ip() == Ipv6Addr::UNSPECIFIED && options.v4_ports.contains(&addr.port()) {
        setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
    }
    bind_at(addr, &fd)?;
    listen::listen(&fd, options.backlog)?;
    Ok(fd)
}

/// A socket for an address, with the options that all TCP sockets of pools have.
///
/// # Errors
/// `EAFNOSUPPORT`, `EMFILE`.
pub(super) fn tcp_socket(addr: SocketAddr) -> io::Result<OwnedFd> {
    let family = if addr.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    // Accepted connections inherit it: responses are sent at once.
    setsockopt(&fd, sockopt::TcpNoDelay, &true)?;
    Ok(fd)
}

/// Binds the socket.
///
/// # Errors
/// Those of bind.
pub(super) fn bind_at(addr: SocketAddr, fd: &OwnedFd) -> io::Result<()> {
    Ok(bind(fd.as_raw_fd(), &SockaddrStorage::from(addr))?)
}

/// A unix socket that is being bound.
#[derive(Debug)]
pub(super) struct UnixOpening {
    fd: OwnedFd,
    binding: Binding,
}

impl UnixOpening {
    /// Begins to bind a unix socket. A file of a socket that no process serves is replaced.
    ///
    /// # Errors
    /// Why the pool cannot listen there.
    pub(super) fn begin(path: &Path, options: &SocketOptions) -> Result<Self, SocketError> {
        Self::begin_at(path, options, Place::Final)
    }

    /// The same for a socket that gets its path later.
    ///
    /// # Errors
    /// Why the pool cannot listen there.
    pub(super) fn begin_beside(temporary: &Path, options: &SocketOptions) -> Result<Self, SocketError> {
        Self::begin_at(temporary, options, Place::Temporary)
    }

    fn begin_at(path: &Path, options: &SocketOptions, place: Place) -> Result<Self, SocketError> {
        let failed = |e: io::Error| SocketError::bind(&path.to_string_lossy(), e);
        let unbound = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None);
        let fd = unbound.map_err(|e| failed(e.into()))?;
        // No client of a pool has a reason to send one. The process that reads it, or closes the socket, would have to close it.
        message::refuse_descriptors(&fd);
        // No process can connect until owner and mode are set. Where they may not be changed later, the mode is right from the start.
        let mode = if socket_file::can_prove(&fd) { 0 } else { options.mode };
        let binding = Binding::begin(&fd, path, mode, place).map_err(failed)?;
        Ok(Self { fd, binding })
    }

    /// Whether it is bound by then, or cannot be.
    pub(super) fn is_over(&mut self, until: Instant) -> bool {
        self.binding.is_over(until)
    }

    /// The socket, if it is bound. A child that is still at it ends.
    pub(super) fn into_bound(self) -> Option<OwnedFd> {
        drop(self.binding);
        listen::address(&self.fd).map(|_| self.fd)
    }

    /// Waits until it is bound, sets owner and mode, and listens.
    ///
    /// # Errors
    /// Why the pool cannot listen there, and the socket if its file is to be removed.
    pub(super) fn finish(
        self,
        path: &Path,
        options: &SocketOptions,
    ) -> Result<OwnedFd, (SocketError, Option<OwnedFd>)> {
        let failed = |e: io::Error| SocketError::bind(&path.to_string_lossy(), e);
        let Self { fd, binding } = self;
        let bound = binding.wait().map_err(|e| match e {
            NotBound::Served => SocketError::Served(path.to_owned()),
            NotBound::Error(e) => failed(e),
        });
        let file = match bound {
            Ok(file) => file,
            Err(refusal) => return Err((refusal, None)),
        };
        if let Some(user) = file.through {
            let text = named_file::leads_through(&path.to_string_lossy(), user);
            log::say(&messages::path_of_a_users(&options.pool, text));
        }
        let listens = options
            .give_access(path, &file, file.is_of(&fd))
            .and_then(|()| listen::listen(&fd, options.backlog).map_err(failed));
        match listens {
            Ok(()) => Ok(fd),
            Err(refusal) => Err((refusal, Some(fd))),
        }
    }
}

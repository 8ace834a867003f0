//! Listening sockets: accept, and who is at the other end.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{SockFlag, SockaddrStorage, accept4, getpeername};

/// Accepts one connection, blocking and close-on-exec, from a socket that doesn't block. `None`: none waits.
///
/// # Errors
/// `EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`.
pub fn accept(listener: impl AsFd) -> io::Result<Option<OwnedFd>> {
    loop {
        match accept4(listener.as_fd().as_raw_fd(), SockFlag::SOCK_CLOEXEC) {
            // SAFETY: accept4 has just made this descriptor for us.
            Ok(raw) => return Ok(Some(unsafe { OwnedFd::from_raw_fd(raw) })),
            Err(Errno::EAGAIN) => return Ok(None),
            // The peer left, or an error of its network is reported here (accept(2)): look at the next one.
            Err(
                Errno::EINTR
                | Errno::ECONNABORTED
                | Errno::EPROTO
                | Errno::ENETDOWN
                | Errno::ENOPROTOOPT
                | Errno::EHOSTDOWN
                | Errno::ENONET
                | Errno::EHOSTUNREACH
                | Errno::ENETUNREACH,
            ) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// The address at the other end of a TCP connection; none for a unix socket.
#[must_use]
pub fn peer(connection: impl AsFd) -> Option<IpAddr> {
    let address = getpeername::<SockaddrStorage>(connection.as_fd().as_raw_fd()).ok()?;
    let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
}

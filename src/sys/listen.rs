//! Listening sockets: their backlog, accept, and who is at the other end.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::sys::socket::{
    Shutdown, SockFlag, SockType, SockaddrStorage, UnixAddr, accept4, getpeername, getsockname, getsockopt, setsockopt,
    shutdown, sockopt,
};
use nix::sys::stat::fstat;

use super::fd::set_nonblocking;

/// Accepts one connection, blocking and close-on-exec, from a socket that doesn't block. `None`: none waits.
///
/// # Errors
/// `EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`.
pub fn accept(listener: impl AsFd) -> io::Result<Option<OwnedFd>> {
    loop {
        match accept4(listener.as_fd().as_raw_fd(), SockFlag::SOCK_CLOEXEC) {
            // SAFETY: accept4 has just made this descriptor for us.
            Ok(raw) => return Ok(Some(unsafe { OwnedFd::from_raw_fd(raw) })),
            // EINVAL: `refuse`d, and empty.
            Err(Errno::EAGAIN | Errno::EINVAL) => return Ok(None),
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

/// Listens, or changes the backlog of a socket that does. The kernel cuts it to `net.core.somaxconn`; -1 is as much as
/// that allows. (nix's `listen` takes less than the kernel may.)
///
/// # Errors
/// `EADDRINUSE`, `EOPNOTSUPP`.
pub fn listen(socket: impl AsFd, backlog: i32) -> io::Result<()> {
    // SAFETY: an open descriptor and a number.
    let done = unsafe { libc::listen(socket.as_fd().as_raw_fd(), backlog) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Readies one that somebody else has opened: it doesn't block, and connections that are accepted from it send at once.
///
/// # Errors
/// None in practice.
pub fn prepare(socket: &OwnedFd) -> io::Result<()> {
    set_nonblocking(socket, true)?;
    if local(socket).is_some() {
        setsockopt(socket, sockopt::TcpNoDelay, &true)?;
    }
    Ok(())
}

/// From now on nobody can connect, whoever else has the socket open. Who waits already can still be accepted where it is a
/// unix socket; on a TCP socket they are reset.
pub fn refuse(socket: impl AsFd) {
    let _ = shutdown(socket.as_fd().as_raw_fd(), Shutdown::Read);
}

/// Whether it is a stream socket that listens: nothing else can be accepted from.
#[must_use]
pub fn is_listening(socket: &OwnedFd) -> bool {
    getsockopt(socket, sockopt::AcceptConn) == Ok(true) && getsockopt(socket, sockopt::SockType) == Ok(SockType::Stream)
}

/// The address that a TCP socket is bound to; none for a unix socket.
#[must_use]
pub fn local(socket: &OwnedFd) -> Option<SocketAddr> {
    inet(&getsockname::<SockaddrStorage>(socket.as_raw_fd()).ok()?)
}

/// The path that a unix socket is bound to; none for others.
#[must_use]
pub fn local_path(socket: &OwnedFd) -> Option<PathBuf> {
    getsockname::<UnixAddr>(socket.as_raw_fd()).ok()?.path().map(PathBuf::from)
}

/// The path or address that a socket is bound to, to be shown and compared.
#[must_use]
pub fn address(socket: &OwnedFd) -> Option<String> {
    let path = || local_path(socket).map(|path| path.to_string_lossy().into_owned());
    local(socket).map(|address| address.to_string()).or_else(path)
}

/// A number that no other socket has while this one is open.
#[must_use]
pub fn inode(socket: impl AsFd) -> Option<u64> {
    fstat(socket).ok().map(|stat| stat.st_ino)
}

/// The address at the other end of a TCP connection; none for a unix socket.
///
/// # Errors
/// `ENOTCONN`: it has gone.
pub fn peer(connection: impl AsFd) -> io::Result<Option<IpAddr>> {
    let address = getpeername::<SockaddrStorage>(connection.as_fd().as_raw_fd())?;
    // An IPv4 address is one, also on a socket of both families.
    Ok(inet(&address).map(|address| address.ip().to_canonical()))
}

fn inet(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|a| SocketAddr::V4((*a).into()));
    v4.or_else(|| address.as_sockaddr_in6().map(|a| SocketAddr::V6((*a).into())))
}

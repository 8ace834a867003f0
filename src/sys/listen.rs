//! Listening sockets: listen(2), accept4(2), addresses, and the peer of a connection.

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

/// Accepts one connection from a non-blocking socket (accept4(2)). The connection is blocking and close-on-exec. `None`: none
/// waits.
///
/// # Errors
/// `EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`.
pub fn accept(listener: impl AsFd) -> io::Result<Option<OwnedFd>> {
    loop {
        match accept4(listener.as_fd().as_raw_fd(), SockFlag::SOCK_CLOEXEC) {
            // SAFETY: accept4 has just made this descriptor, so nothing else owns it.
            Ok(raw) => return Ok(Some(unsafe { OwnedFd::from_raw_fd(raw) })),
            // EINVAL: `refuse` was called, and the accept queue is empty.
            Err(Errno::EAGAIN | Errno::EINVAL) => return Ok(None),
            // The peer has gone, or accept reports an error of its network (accept(2)). Try the next connection.
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

/// Makes a socket listen, or changes the backlog of a listening one (listen(2)). The kernel limits the backlog to
/// `net.core.somaxconn`; -1 stands for that limit. nix's `listen` does not accept values as high as the kernel does.
///
/// # Errors
/// `EADDRINUSE`, `EOPNOTSUPP`.
pub fn listen(socket: impl AsFd, backlog: i32) -> io::Result<()> {
    // SAFETY: the call takes an open descriptor and a number, and touches no memory of ours.
    let done = unsafe { libc::listen(socket.as_fd().as_raw_fd(), backlog) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Prepares a listening socket that another program has opened: `O_NONBLOCK`, and for TCP `TCP_NODELAY`, which accepted
/// connections inherit.
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

/// Refuses new connections from now on, in all processes that have the socket open (shutdown(2), `SHUT_RD`). Connections in the
/// accept queue of a unix socket can still be accepted; those of a TCP socket are reset.
pub fn refuse(socket: impl AsFd) {
    let _ = shutdown(socket.as_fd().as_raw_fd(), Shutdown::Read);
}

/// Whether it is a listening stream socket (`SO_ACCEPTCONN`, `SO_TYPE`).
#[must_use]
pub fn is_listening(socket: &OwnedFd) -> bool {
    getsockopt(socket, sockopt::AcceptConn) == Ok(true) && getsockopt(socket, sockopt::SockType) == Ok(SockType::Stream)
}

/// The address that a TCP socket is bound to (getsockname(2)). `None`: it is a unix socket.
#[must_use]
pub fn local(socket: &OwnedFd) -> Option<SocketAddr> {
    inet(&getsockname::<SockaddrStorage>(socket.as_raw_fd()).ok()?)
}

/// The path that a unix socket is bound to (getsockname(2)). `None`: it has none, or is another kind of socket.
#[must_use]
pub fn local_path(socket: &OwnedFd) -> Option<PathBuf> {
    getsockname::<UnixAddr>(socket.as_raw_fd()).ok()?.path().map(PathBuf::from)
}

/// The path or address that a socket is bound to, as a text to show and compare.
#[must_use]
pub fn address(socket: &OwnedFd) -> Option<String> {
    let path = || local_path(socket).map(|path| path.to_string_lossy().into_owned());
    local(socket).map(|address| address.to_string()).or_else(path)
}

/// The inode number. No other socket has it while this one is open.
#[must_use]
pub fn inode(socket: impl AsFd) -> Option<u64> {
    fstat(socket).ok().map(|stat| stat.st_ino)
}

/// The address of a TCP connection's peer (getpeername(2)). `None`: it is a unix socket.
///
/// # Errors
/// `ENOTCONN`: the peer has gone.
pub fn peer(connection: impl AsFd) -> io::Result<Option<IpAddr>> {
    let address = getpeername::<SockaddrStorage>(connection.as_fd().as_raw_fd())?;
    // An IPv4 peer of an IPv6 socket has a mapped address.
    Ok(inet(&address).map(|address| address.ip().to_canonical()))
}

fn inet(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|a| SocketAddr::V4((*a).into()));
    v4.or_else(|| address.as_sockaddr_in6().map(|a| SocketAddr::V6((*a).into())))
}

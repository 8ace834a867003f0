//! How many connections wait in the accept queue of a listening socket: by `TCP_INFO` (tcp(7)), and for unix sockets by
//! `NETLINK_SOCK_DIAG` (sock_diag(7)).

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, SockaddrLike, SockaddrStorage, getsockname};

use super::sock_diag::{Diag, Question};

/// The accept queue of a listening socket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Connections in it.
    pub waiting: u32,
    /// Connections that it can hold.
    pub limit: u32,
}

/// Most sockets of one poll(2). It refuses more than RLIMIT_NOFILE.
const AT_ONCE: usize = 512;

/// Whether the accept queues of these listening sockets have connections (poll(2)), in their order. True where the kernel does not
/// tell. This costs one system call for hundreds of sockets, where [`Inspector::backlog`] costs several for each.
pub fn have_connections<'a>(listeners: impl Iterator<Item = &'a OwnedFd>) -> Vec<bool> {
    let mut polled: Vec<PollFd<'_>> = listeners.map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)).collect();
    let mut found = Vec::with_capacity(polled.len());
    for some in polled.chunks_mut(AT_ONCE) {
        let known = poll(some, PollTimeout::ZERO).is_ok();
        found.extend(some.iter().map(|fd| !known || fd.any() != Some(false)));
    }
    found
}

/// Asks the kernel for accept queues. It keeps its netlink socket open.
#[derive(Debug, Default)]
pub struct Inspector {
    diag: Option<Diag>,
}

impl Inspector {
    /// The accept queue of a socket. `None`: the kernel does not tell.
    pub fn backlog(&mut self, listener: &OwnedFd) -> Option<Backlog> {
        let address = getsockname::<SockaddrStorage>(listener.as_raw_fd()).ok()?;
        match address.family()? {
            AddressFamily::Unix => self.unix(listener).ok().flatten(),
            _ => tcp(listener).ok(),
        }
    }

    fn unix(&mut self, listener: &OwnedFd) -> io::Result<Option<Backlog>> {
        let diag = match &self.diag {
            Some(diag) => diag,
            None => self.diag.insert(Diag::open()?),
        };
        let [waiting, limit] = diag.ask(listener, Question::Queue)?.unwrap_or_default();
        Ok(Some(Backlog { waiting, limit }))
    }
}

/// The accept queue of a TCP socket, by `TCP_INFO`. For a listening socket the kernel puts its length into `tcpi_unacked` and its
/// limit into `tcpi_sacked`.
///
/// # Errors
/// `EOPNOTSUPP` for other sockets.
pub fn tcp(listener: &OwnedFd) -> io::Result<Backlog> {
    let mut info = std::mem::MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).map_err(io::Error::other)?;
    let raw = listener.as_fd().as_raw_fd();
    let place = info.as_mut_ptr().cast();
    // SAFETY: an open descriptor and a place of `length` bytes, which lives during the call.
    let result = unsafe { libc::getsockopt(raw, libc::IPPROTO_TCP, libc::TCP_INFO, place, &raw mut length) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: every member is a number, zeroed before the kernel wrote those that it knows.
    let info = unsafe { info.assume_init() };
    Ok(Backlog { waiting: info.tcpi_unacked, limit: info.tcpi_sacked })
}

nix::ioctl_read_bad!(
    /// `FIONREAD`, which for a unix socket is `SIOCINQ` (unix(7)).
    bytes_to_read,
    libc::FIONREAD,
    libc::c_int
);

/// Bytes of all messages that wait in a `SOCK_SEQPACKET` socket (`SIOCINQ`); 0 if the kernel does not tell.
#[must_use]
pub fn unread(queue: &OwnedFd) -> u64 {
    let mut bytes = 0;
    // SAFETY: FIONREAD writes one `int`, to a place that lives during the call.
    let asked = unsafe { bytes_to_read(queue.as_raw_fd(), &raw mut bytes) };
    asked.ok().and_then(|_| u64::try_from(bytes).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_wait_on_a_unix_socket_are_counted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let _clients: Vec<_> = (0..3).map(|_| std::os::unix::net::UnixStream::connect(&path).unwrap()).collect();
        let backlog = Inspector::default().backlog(&listener.into()).unwrap();
        assert_eq!(backlog.waiting, 3);
        assert!(backlog.limit >= 3, "{backlog:?}");
    }

    #[test]
    fn those_who_wait_on_a_tcp_socket_are_counted() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let _clients: Vec<_> = (0..2).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
        let backlog = Inspector::default().backlog(&listener.into()).unwrap();
        assert_eq!(backlog.waiting, 2);
        assert!(backlog.limit >= 2, "{backlog:?}");
    }

    #[test]
    fn sockets_where_connections_wait_are_found() {
        let directory = tempfile::tempdir().unwrap();
        let unix = |at: usize| std::os::unix::net::UnixListener::bind(directory.path().join(at.to_string())).unwrap();
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        let mut all: Vec<OwnedFd> = (0..3).map(|at| unix(at).into()).collect();
        all.push(tcp.into());
        assert_eq!(have_connections(all.iter()), [false; 4]);
        let _client = std::os::unix::net::UnixStream::connect(directory.path().join("1")).unwrap();
        let other = std::net::TcpStream::connect(address).unwrap();
        assert_eq!(have_connections(all.iter()), [false, true, false, true]);
        // A client that has gone still waits.
        drop(other);
        let found = have_connections(all.iter());
        let waits = |fd| Inspector::default().backlog(fd).unwrap().waiting > 0;
        assert_eq!(found, all.iter().map(waits).collect::<Vec<_>>());
        assert_eq!(found, [false, true, false, true]);
    }

    #[test]
    fn what_waits_in_a_queue_is_measured() {
        let (out, queue) = crate::sys::message::pair().unwrap();
        assert_eq!(unread(&queue), 0);
        for count in 1..4 {
            let (a, _b) = crate::sys::message::pair().unwrap();
            crate::sys::message::send(&out, b"ab", &[a.as_fd()]).unwrap();
            assert_eq!(unread(&queue), 2 * count);
        }
    }
}

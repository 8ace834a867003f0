//! How many connections wait on a listening socket: TCP_INFO, and for unix sockets NETLINK_SOCK_DIAG (sock_diag(7)).

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, SockaddrLike, SockaddrStorage, getsockname};

use super::sock_diag::{Diag, Question};

/// A listening socket's queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Connections in it.
    pub waiting: u32,
    /// How many it can hold.
    pub limit: u32,
}

/// Asks the kernel.
#[derive(Debug, Default)]
pub struct Inspector {
    diag: Option<Diag>,
}

impl Inspector {
    /// The socket's queue; `None` where the kernel doesn't tell.
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

/// The queue of a TCP socket: the kernel has it where a connection's unacknowledged segments are counted.
///
/// # Errors
/// `EOPNOTSUPP` for other sockets.
pub fn tcp(listener: &OwnedFd) -> io::Result<Backlog> {
    let mut info = std::mem::MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).map_err(io::Error::other)?;
    let raw = listener.as_fd().as_raw_fd();
    let place = info.as_mut_ptr().cast();
    // SAFETY: an open descriptor, and a place of `length` bytes.
    let result = unsafe { libc::getsockopt(raw, libc::IPPROTO_TCP, libc::TCP_INFO, place, &raw mut length) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: numbers, zeroed before the kernel wrote as many of them as it knows.
    let info = unsafe { info.assume_init() };
    Ok(Backlog { waiting: info.tcpi_unacked, limit: info.tcpi_sacked })
}

nix::ioctl_read_bad!(
    /// FIONREAD, which for a socket is SIOCINQ: unix(7).
    bytes_to_read,
    libc::FIONREAD,
    libc::c_int
);

/// Bytes of all messages that wait in a SOCK_SEQPACKET queue; 0 where that can't be told.
#[must_use]
pub fn unread(queue: &OwnedFd) -> u64 {
    let mut bytes = 0;
    // SAFETY: an open descriptor and a place for the answer.
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

//! How many connections wait on a listening socket: TCP_INFO, and for unix sockets NETLINK_SOCK_DIAG (sock_diag(7)).

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrLike, SockaddrStorage, getsockname, recv, send,
    socket,
};
use nix::sys::stat::fstat;

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
    netlink: Option<OwnedFd>,
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
        let inode = u32::try_from(fstat(listener)?.st_ino).map_err(io::Error::other)?;
        if self.netlink.is_none() {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            self.netlink =
                Some(socket(AddressFamily::Netlink, SockType::Datagram, flags, SockProtocol::NetlinkSockDiag)?);
        }
        let Some(netlink) = &self.netlink else { return Ok(None) };
        send(netlink.as_raw_fd(), &question(inode), MsgFlags::empty())?;
        let mut answer = [0u8; 512];
        // The kernel has answered by the time that send returns.
        let length = recv(netlink.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        Ok(read(answer.get(..length).unwrap_or_default()))
    }
}

/// `struct nlmsghdr`, in bytes.
const HEADER: usize = 16;
/// `struct unix_diag_msg`, in bytes.
const MESSAGE: usize = 16;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
/// `UDIAG_SHOW_RQLEN`: tell the queue.
const SHOW_QUEUE: u32 = 0x10;
/// `UNIX_DIAG_RQLEN`.
const QUEUE: u16 = 4;

/// A header and `struct unix_diag_req` for one socket, by inode.
fn question(inode: u32) -> Vec<u8> {
    const LENGTH: u32 = 16 + 24;
    let mut bytes = Vec::new();
    bytes.extend(LENGTH.to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(NLM_F_REQUEST.to_ne_bytes());
    // Sequence number and port: one question at a time, from this socket.
    bytes.extend([0; 8]);
    bytes.extend([u8::try_from(libc::AF_UNIX).unwrap_or(1), 0, 0, 0]);
    let [any_state, no_cookie] = [u32::MAX, u32::MAX];
    for word in [any_state, inode, SHOW_QUEUE, no_cookie, no_cookie] {
        bytes.extend(word.to_ne_bytes());
    }
    bytes
}

/// The queue's attribute of an answer.
fn read(answer: &[u8]) -> Option<Backlog> {
    let half = |bytes: &[u8], at: usize| Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let word = |bytes: &[u8], at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    if half(answer, 4)? != SOCK_DIAG_BY_FAMILY {
        return None;
    }
    let mut attributes = answer.get(HEADER + MESSAGE..)?;
    loop {
        let length = usize::from(half(attributes, 0)?);
        if half(attributes, 2)? == QUEUE {
            return Some(Backlog { waiting: word(attributes, 4)?, limit: word(attributes, 8)? });
        }
        attributes = attributes.get(length.max(4).next_multiple_of(4)..)?;
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
            crate::sys::message::send(&out, b"ab", &[a.as_raw_fd()]).unwrap();
            assert_eq!(unread(&queue), 2 * count);
        }
    }

    #[test]
    fn nonsense_from_the_kernel_is_none() {
        for length in 0..64 {
            assert_eq!(read(&vec![0; length]), None);
        }
    }
}

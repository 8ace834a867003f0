//! Whether the other end of a connection has gone: nix's poll doesn't know POLLRDHUP.

use std::os::fd::{AsFd, AsRawFd};

use nix::sys::socket::{AddressFamily, SockaddrLike as _, SockaddrStorage, getsockname};

/// Whether the peer has closed the connection, so that nobody will read what is sent. A TCP peer that has ended its sending side looks
/// the same; of a unix socket's peer it is known that it still reads.
#[must_use]
pub fn is_abandoned(connection: impl AsFd) -> bool {
    let fd = connection.as_fd().as_raw_fd();
    let mut polled = libc::pollfd { fd, events: libc::POLLRDHUP, revents: 0 };
    // SAFETY: one pollfd, which outlives the call; the descriptor is open. Nothing is waited for.
    let found = unsafe { libc::poll(&raw mut polled, 1, 0) };
    if found <= 0 {
        return false;
    }
    polled.revents & (libc::POLLHUP | libc::POLLERR) != 0 || (polled.revents & libc::POLLRDHUP != 0 && !is_unix(fd))
}

fn is_unix(fd: i32) -> bool {
    getsockname::<SockaddrStorage>(fd).is_ok_and(|own| own.family() == Some(AddressFamily::Unix))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn who_has_closed_has_gone_and_who_reads_on_a_unix_socket_has_not() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        assert!(!is_abandoned(&ours));
        theirs.write_all(b"a request").unwrap();
        assert!(!is_abandoned(&ours));
        theirs.shutdown(Shutdown::Write).unwrap();
        assert!(!is_abandoned(&ours));
        drop(theirs);
        assert!(is_abandoned(&ours), "its request waits all the same");
    }

    #[test]
    fn over_tcp_the_end_of_sending_is_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let ours = listener.accept().unwrap().0;
        theirs.write_all(b"a request").unwrap();
        assert!(!is_abandoned(&ours));
        drop(theirs);
        let end = Instant::now() + Duration::from_secs(5);
        while !is_abandoned(&ours) {
            assert!(Instant::now() < end);
        }
    }
}

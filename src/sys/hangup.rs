//! Whether the peer of a connection has closed it (`POLLRDHUP`, which nix's poll does not have).

use std::os::fd::{AsFd, AsRawFd};

use nix::sys::socket::{AddressFamily, SockaddrLike as _, SockaddrStorage, getsockname};

/// Whether the peer has closed the connection and will read nothing more. A TCP peer that has only ended its sending side looks the
/// same and counts as closed. For a unix socket the two can be told apart.
#[must_use]
pub fn is_abandoned(connection: impl AsFd) -> bool {
    let fd = connection.as_fd().as_raw_fd();
    let mut polled = libc::pollfd { fd, events: libc::POLLRDHUP, revents: 0 };
    // SAFETY: one pollfd, which lives during the call, and an open descriptor. A timeout of 0 waits for nothing.
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
    fn a_unix_peer_that_only_ended_sending_is_not_gone() {
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

//! What the kernel knows about a TCP connection (tcp(7), `TCP_INFO`).

use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

/// How long ago the last data has arrived on a TCP connection. `None`: it is another kind of socket.
#[must_use]
pub fn since_last_data(connection: impl AsFd) -> Option<Duration> {
    let mut info = std::mem::MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).ok()?;
    let (level, option) = (libc::IPPROTO_TCP, libc::TCP_INFO);
    // SAFETY: the kernel writes `length` bytes at most to `info`, which has as many and lives during the call.
    let done = unsafe {
        libc::getsockopt(connection.as_fd().as_raw_fd(), level, option, info.as_mut_ptr().cast(), &raw mut length)
    };
    if done < 0 {
        return None;
    }
    // SAFETY: all bytes are zero or were written by the kernel, and each pattern is valid for integers.
    let info = unsafe { info.assume_init() };
    Some(Duration::from_millis(info.tcpi_last_data_recv.into()))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn data_that_waits_gets_older() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(b"x").unwrap();
        std::thread::sleep(Duration::from_millis(120));
        let (connection, _) = listener.accept().unwrap();
        let waited = since_last_data(&connection).unwrap();
        assert!(waited >= Duration::from_millis(100) && waited < Duration::from_secs(10), "{waited:?}");
        assert!(since_last_data(UnixStream::pair().unwrap().0).is_none());
    }
}

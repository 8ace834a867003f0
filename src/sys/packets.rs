//! Pipes in packet mode (`O_DIRECT`, pipe(2)): one direction, with message boundaries. No descriptor can be sent through a pipe,
//! so the reader never has to close one that its peer chose. Each end is an open file description of its own, so neither side can
//! change the flags of the other's.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{pipe2, read, write};

/// The longest packet, in bytes: the kernel does not split one of up to `PIPE_BUF`.
pub const LONGEST: usize = 4096;

/// The capacity of a pipe, in bytes. Each packet takes a page of it, however short it is.
const ROOM: i32 = 256 * 1024;

/// The reading and the writing end, close-on-exec and non-blocking.
///
/// # Errors
/// `EMFILE`.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reading, writing) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_DIRECT)?;
    // F_SETPIPE_SZ is refused for a user with many pipes, whose pipes then hold fewer packets, down to one. Writers wait earlier
    // then.
    let _ = fcntl(&reading, FcntlArg::F_SETPIPE_SZ(ROOM));
    Ok((reading, writing))
}

/// What `receive` found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// A packet of that many bytes.
    Packet(usize),
    /// No packet waits.
    Nothing,
    /// All writers have closed the pipe.
    Gone,
}

/// Receives one packet without waiting. If the writer has removed `O_DIRECT` from its end, the pieces may be other than it wrote.
///
/// # Errors
/// Those of read.
pub fn receive(fd: impl AsFd, buffer: &mut [u8; LONGEST]) -> io::Result<Received> {
    loop {
        match read(fd.as_fd(), buffer) {
            Ok(0) => return Ok(Received::Gone),
            Ok(length) => return Ok(Received::Packet(length)),
            Err(Errno::EAGAIN) => return Ok(Received::Nothing),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Sends one packet, whole or not at all. `SIGPIPE` has to be ignored or blocked.
///
/// # Errors
/// `EAGAIN`: the pipe is full. `EPIPE`: no reader is left. `EMSGSIZE`: the kernel would split the packet.
pub fn send(fd: impl AsFd, packet: &[u8]) -> io::Result<()> {
    if packet.len() > LONGEST {
        return Err(Errno::EMSGSIZE.into());
    }
    loop {
        match write(fd.as_fd(), packet) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(reading: &OwnedFd) -> Result<Vec<u8>, Received> {
        let mut buffer = [0; LONGEST];
        match receive(reading, &mut buffer).unwrap() {
            Received::Packet(length) => Ok(buffer[..length].to_vec()),
            other => Err(other),
        }
    }

    #[test]
    fn packets_keep_their_boundaries() {
        let (reading, writing) = pair().unwrap();
        assert_eq!(take(&reading), Err(Received::Nothing));
        for packet in [&b"a"[..], &[b'x'; LONGEST], b"bc"] {
            send(&writing, packet).unwrap();
        }
        assert_eq!(send(&writing, &[0; LONGEST + 1]).unwrap_err().raw_os_error(), Some(libc::EMSGSIZE));
        assert_eq!(take(&reading).unwrap(), b"a");
        assert_eq!(take(&reading).unwrap(), [b'x'; LONGEST]);
        assert_eq!(take(&reading).unwrap(), b"bc");
        drop(writing);
        assert_eq!(take(&reading), Err(Received::Gone));
    }

    #[test]
    fn a_full_pipe_refuses_the_whole_packet() {
        let (reading, writing) = pair().unwrap();
        let mut count = 0;
        let refused = loop {
            match send(&writing, b"packet") {
                Ok(()) => count += 1,
                Err(e) => break e,
            }
        };
        assert_eq!(refused.raw_os_error(), Some(libc::EAGAIN));
        assert!((1..=1024).contains(&count), "{count}");
        for _ in 0..count {
            assert_eq!(take(&reading).unwrap(), b"packet");
        }
        assert_eq!(take(&reading), Err(Received::Nothing));
    }

    #[test]
    fn flags_of_one_end_do_not_change_the_other() {
        let (reading, writing) = pair().unwrap();
        fcntl(&writing, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
        assert_eq!(take(&reading), Err(Received::Nothing), "it would have waited");
        // Without O_DIRECT the kernel joins what is written: still read in pieces that fit.
        write(&writing, &[b'y'; 3 * LONGEST]).unwrap();
        assert!(take(&reading).is_ok_and(|piece| piece.len() == LONGEST));
    }
}

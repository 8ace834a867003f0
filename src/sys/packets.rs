//! One-way pipes that keep the boundaries of messages (`O_DIRECT`). No descriptor can travel through a pipe, so that a reader
//! never has to close what somebody else chose; and each end is a description of its own, whose flags the other can't change.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{pipe2, read, write};

/// Most bytes of a packet: what the kernel keeps together.
pub const LONGEST: usize = 4096;

/// What the pipe holds at most: each packet takes a page of it, however short it is.
const ROOM: i32 = 256 * 1024;

/// The reading and the writing end, close-on-exec and non-blocking.
///
/// # Errors
/// `EMFILE`.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reading, writing) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_DIRECT)?;
    // A user that has many pipes is refused, and its pipes hold fewer packets, down to one. Writers wait sooner then.
    let _ = fcntl(&reading, FcntlArg::F_SETPIPE_SZ(ROOM));
    Ok((reading, writing))
}

/// What `receive` found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// A packet of that many bytes.
    Packet(usize),
    /// Nothing waits.
    Nothing,
    /// No writer is left.
    Gone,
}

/// Takes one packet without waiting. A writer that has taken `O_DIRECT` off its end gets its bytes read in other pieces.
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

/// Sends one packet, whole or not at all; SIGPIPE has to be ignored or blocked.
///
/// # Errors
/// `EAGAIN` when the pipe is full, `EPIPE` when no reader is left, `EMSGSIZE` for a packet that would be cut in two.
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
    fn packets_stay_what_they_are() {
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
    fn a_full_pipe_takes_no_part_of_a_packet() {
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
    fn what_the_writer_does_to_its_end_is_not_seen_at_the_other() {
        let (reading, writing) = pair().unwrap();
        fcntl(&writing, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
        assert_eq!(take(&reading), Err(Received::Nothing), "it would have waited");
        // Without O_DIRECT the kernel joins what is written: still read in pieces that fit.
        write(&writing, &[b'y'; 3 * LONGEST]).unwrap();
        assert!(take(&reading).is_ok_and(|piece| piece.len() == LONGEST));
    }
}

//! Whole messages with descriptors over SOCK_SEQPACKET pairs.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, Shutdown, SockFlag, SockType, recvmsg, sendmsg,
    setsockopt, shutdown, socketpair, sockopt,
};

/// The most descriptors that the kernel takes in one message.
pub const MAX_FDS: usize = 253;

/// A connected pair that keeps message boundaries, close-on-exec and non-blocking.
///
/// # Errors
/// `EMFILE`.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?)
}

/// Lets more messages wait in a pair's end (kernel default: 278 small ones).
pub fn widen(fd: impl AsFd, bytes: usize) {
    let _ = setsockopt(&fd, sockopt::SndBuf, &bytes);
}

/// Sends one message without waiting.
///
/// # Errors
/// `EAGAIN` when the queue is full, `EPIPE` when the other side has gone, `ETOOMANYREFS` when too many descriptors are under way.
pub fn send(fd: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let fds: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&fds)];
    let control = if fds.is_empty() { &rights[..0] } else { &rights[..] };
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    loop {
        match sendmsg::<()>(fd.as_fd().as_raw_fd(), &[IoSlice::new(bytes)], control, flags, None) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Whether a message that could not be sent can be sent later.
#[must_use]
pub fn is_for_later(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::ETOOMANYREFS))
}

/// From now on the other end of a pair can send nothing to this one, neither bytes nor descriptors: it gets `EPIPE`.
///
/// # Errors
/// None in practice.
pub fn refuse_all(fd: impl AsFd) -> io::Result<()> {
    refuse_descriptors(&fd);
    Ok(shutdown(fd.as_fd().as_raw_fd(), Shutdown::Read)?)
}

/// No descriptor can be sent to this socket any more, where the kernel knows of that (6.16 and newer). What is under way comes.
pub fn refuse_descriptors(fd: impl AsFd) {
    const SO_PASSRIGHTS: libc::c_int = 83;
    let off: libc::c_int = 0;
    let length = libc::socklen_t::try_from(size_of_val(&off)).unwrap_or(0);
    // SAFETY: the kernel reads `length` bytes of `off`, which lives through the call; an unknown option is an error.
    unsafe {
        libc::setsockopt(fd.as_fd().as_raw_fd(), libc::SOL_SOCKET, SO_PASSRIGHTS, (&raw const off).cast(), length);
    }
}

/// What `receive` found.
#[derive(Debug)]
pub enum Received {
    /// A message of that many bytes, with its descriptors (close-on-exec).
    Message(usize, Vec<OwnedFd>),
    /// Nothing waits.
    Nothing,
    /// The other side has gone.
    Gone,
}

/// Takes one message without waiting. A message longer than `buffer` or with descriptors that found no place is an error,
/// never half a message.
///
/// # Errors
/// `InvalidData` for a message that was cut.
pub fn receive(fd: impl AsFd, buffer: &mut [u8]) -> io::Result<Received> {
    let mut space = cmsg_space!([RawFd; MAX_FDS]);
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let (length, fds, cut) = loop {
        let mut parts = [IoSliceMut::new(buffer)];
        match recvmsg::<()>(fd.as_fd().as_raw_fd(), &mut parts, Some(&mut space), flags) {
            Ok(message) => {
                let cut = message.flags.intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC);
                break (message.bytes, own(message.cmsgs()?), cut);
            }
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return Ok(Received::Nothing),
            Err(Errno::ECONNRESET) => return Ok(Received::Gone),
            Err(errno) => return Err(errno.into()),
        }
    };
    match (cut, length) {
        (true, _) => Err(io::Error::new(io::ErrorKind::InvalidData, "message cut short")),
        (false, 0) => Ok(Received::Gone),
        (false, length) => Ok(Received::Message(length, fds)),
    }
}

/// Takes one message without waiting, of which no more than one descriptor is taken. `None`: the other side has gone.
///
/// # Errors
/// `InvalidData` for a message that was cut, or that brings more.
pub fn receive_one(fd: impl AsFd, buffer: &mut [u8]) -> io::Result<Option<(usize, Option<OwnedFd>)>> {
    let mut space = cmsg_space!([RawFd; 1]);
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = match recvmsg::<()>(fd.as_fd().as_raw_fd(), &mut parts, Some(&mut space), flags) {
        Err(Errno::ECONNRESET) => return Ok(None),
        message => message?,
    };
    let cut = message.flags.intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC);
    let (length, mut fds) = (message.bytes, own(message.cmsgs()?));
    match (length, cut || fds.len() > 1) {
        (_, true) => Err(io::Error::new(io::ErrorKind::InvalidData, "message cut short")),
        (0, false) => Ok(None),
        (length, false) => Ok(Some((length, fds.pop()))),
    }
}

fn own(messages: impl Iterator<Item = ControlMessageOwned>) -> Vec<OwnedFd> {
    let mut fds = Vec::new();
    for message in messages {
        if let ControlMessageOwned::ScmRights(raw) = message {
            // SAFETY: the kernel has just installed these descriptors for this message; nobody else owns them.
            fds.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    fds
}

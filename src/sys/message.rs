//! Messages with descriptors (`SCM_RIGHTS`) over pairs of `SOCK_SEQPACKET` sockets (unix(7)).

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, Shutdown, SockFlag, SockType, recvmsg, sendmsg,
    shutdown, socketpair,
};

/// The kernel accepts at most this many descriptors in one message (`SCM_MAX_FD`).
pub const MAX_FDS: usize = 253;

/// A connected pair that keeps message boundaries (socketpair(2)), close-on-exec and non-blocking.
///
/// # Errors
/// `EMFILE`.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?)
}

/// Sends one message with duplicates of these descriptors, without waiting.
///
/// # Errors
/// `EAGAIN`: the queue is full. `EPIPE`: the peer has gone. `ETOOMANYREFS`: too many descriptors of this user are in queues.
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

/// Whether the message can be sent later.
#[must_use]
pub fn is_for_later(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::ETOOMANYREFS))
}

/// Refuses all messages of the peer from now on (`SHUT_RD`): it gets `EPIPE`.
///
/// # Errors
/// None in practice.
pub fn refuse_all(fd: impl AsFd) -> io::Result<()> {
    refuse_descriptors(&fd);
    Ok(shutdown(fd.as_fd().as_raw_fd(), Shutdown::Read)?)
}

/// Refuses descriptors of the peer from now on (`SO_PASSRIGHTS` off, Linux 6.16; older kernels ignore it). Messages in the queue
/// still bring theirs.
pub fn refuse_descriptors(fd: impl AsFd) {
    const SO_PASSRIGHTS: libc::c_int = 83;
    let off: libc::c_int = 0;
    let length = libc::socklen_t::try_from(size_of_val(&off)).unwrap_or(0);
    // SAFETY: the kernel reads `length` bytes of `off`, which lives during the call. An unknown option is an error.
    unsafe {
        libc::setsockopt(fd.as_fd().as_raw_fd(), libc::SOL_SOCKET, SO_PASSRIGHTS, (&raw const off).cast(), length);
    }
}

/// What `receive` found.
#[derive(Debug)]
pub enum Received {
    /// A message of that many bytes, and its descriptors (`MSG_CMSG_CLOEXEC`).
    Message(usize, Vec<OwnedFd>),
    /// No message waits.
    Nothing,
    /// The peer has gone.
    Gone,
}

/// Receives one message without waiting. A message that is longer than `buffer`, or whose descriptors could not all be installed,
/// is an error: a part of a message is never given.
///
/// # Errors
/// `InvalidData`: the message was truncated (`MSG_TRUNC`, `MSG_CTRUNC`).
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

/// Receives one message with at most one descriptor, without waiting. `None`: the peer has gone.
///
/// # Errors
/// `InvalidData`: the message was truncated or brought more descriptors.
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
            // SAFETY: the kernel has just installed these descriptors for this message, so nothing else owns them.
            fds.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    fds
}

//! A process as code inside of it could use it: its descriptors, borrowed by `pidfd_getfd`. For tests of what a zygote or a
//! worker can do to others when its user's own code runs in it. Needs root.

use std::io::IoSlice;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};

use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, getsockopt, sendmsg, socketpair, sockopt,
};

use crate::process::Process;
use crate::{Outcome, sys};

/// A descriptor of another process, under a number of this one.
#[derive(Debug)]
pub struct Borrowed {
    /// Its number there.
    pub number: RawFd,
    /// What it points to.
    pub points_to: String,
    /// The same description here.
    pub fd: OwnedFd,
}

/// All descriptors of a process.
///
/// # Errors
/// When the process has gone or the kernel refuses.
pub fn borrow_all(process: Process) -> Outcome<Vec<Borrowed>> {
    let borrow = |(number, points_to)| Ok(Borrowed { number, points_to, fd: sys::borrow(process.pid, number)? });
    process.fds().into_iter().map(borrow).collect()
}

/// The sockets of a process that keep message boundaries and were made by that one.
///
/// # Errors
/// As `borrow_all`.
pub fn packet_sockets(process: Process, made_by: Process) -> Outcome<Vec<Borrowed>> {
    let mut all = borrow_all(process)?;
    all.retain(|borrowed| {
        let packets = getsockopt(&borrowed.fd, sockopt::SockType) == Ok(SockType::SeqPacket);
        packets && getsockopt(&borrowed.fd, sockopt::PeerCredentials).is_ok_and(|peer| peer.pid() == made_by.pid)
    });
    Ok(all)
}

/// Sends a message with descriptors, without waiting.
///
/// # Errors
/// When it isn't taken.
pub fn send(to: &OwnedFd, bytes: &[u8], fds: &[RawFd]) -> nix::Result<()> {
    let rights = [ControlMessage::ScmRights(fds)];
    let control = if fds.is_empty() { &rights[..0] } else { &rights[..] };
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    sendmsg::<()>(to.as_raw_fd(), &[IoSlice::new(bytes)], control, flags, None).map(drop)
}

/// A connected pair, as between a web server and a worker.
///
/// # Errors
/// `EMFILE`.
pub fn stream_pair() -> Outcome<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC)?)
}

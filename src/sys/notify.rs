//! Sends one datagram to the socket of the service manager, without waiting (sd_notify(3)).
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, sendmsg, socket};

/// Sends a text, and a duplicate of a descriptor if one is given (`SCM_RIGHTS`). `to` is a path, or `@` and the name of an abstract
/// socket.
///
/// # Errors
/// `EAGAIN`: the receiver's queue is full. The address is invalid; no process receives there.
pub fn send(to: &OsStr, text: &[u8], fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let address = match to.as_bytes() {
        [b'@', name @ ..] => UnixAddr::new_abstract(name)?,
        [b'/', ..] => UnixAddr::new(to.as_bytes())?,
        _ => return Err(io::Error::other("the address is neither a path nor @ and a name")),
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let from = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
    let fds: Vec<_> = fd.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&fds)];
    let control = if fds.is_empty() { &rights[..0] } else { &rights[..] };
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    loop {
        match sendmsg(from.as_fd().as_raw_fd(), &[IoSlice::new(text)], control, flags, Some(&address)) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Whether the message can be sent later: a queue is full, or too many descriptors are in queues.
#[must_use]
pub fn is_worth_another_try(error: &io::Error) -> bool {
    let later = [libc::EAGAIN, libc::ENOBUFS, libc::ENOMEM, libc::ETOOMANYREFS, libc::EMFILE, libc::ENFILE];
    error.raw_os_error().is_some_and(|code| later.contains(&code))
}

#[cfg(test)]
mod tests {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    use super::*;

    #[test]
    fn both_kinds_of_address_are_reached() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let name = format!("cgi-fpm-notify-test-{}", std::process::id());
        let named = SocketAddr::from_abstract_name(&name).unwrap();
        let receivers = [UnixDatagram::bind(&path).unwrap(), UnixDatagram::bind_addr(&named).unwrap()];
        send(path.as_os_str(), b"READY=1", None).unwrap();
        send(OsStr::new(&format!("@{name}")), b"READY=1", None).unwrap();
        for receiver in receivers {
            let mut bytes = [0; 20];
            assert_eq!(receiver.recv(&mut bytes).unwrap(), 7);
        }
    }

    #[test]
    fn a_full_queue_is_tried_again_and_a_missing_receiver_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let _receiver = UnixDatagram::bind(&path).unwrap();
        let refusal = (0..100_000).find_map(|_| send(path.as_os_str(), b"x", None).err()).unwrap();
        assert!(is_worth_another_try(&refusal), "{refusal}");
        for unheard in [dir.path().join("none").as_os_str(), OsStr::new("vsock:2:1"), OsStr::new("")] {
            assert!(!is_worth_another_try(&send(unheard, b"x", None).unwrap_err()));
        }
    }
}

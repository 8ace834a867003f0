//! A process as code inside of it can use it: borrows its descriptors by `pidfd_getfd`. For tests of what a zygote or
//! a worker can do to others while code of its user runs in it. Needs root.

use std::io::{IoSlice, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::thread::JoinHandle;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, MsgFlags, SockFlag, SockType, accept4, getsockopt, listen, sendmsg,
    setsockopt, socketpair, sockopt,
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
    let borrow = |(number, points_to)| match sys::borrow(process.pid, number) {
        Ok(fd) => Some(Ok(Borrowed { number, points_to, fd })),
        // The process has closed it since it was listed.
        Err(e) if e.raw_os_error() == Some(libc::EBADF) => None,
        Err(e) => Some(Err(e.into())),
    };
    process.fds().into_iter().filter_map(borrow).collect()
}

/// The listening sockets of a process, except the one for commands, which keeps message boundaries.
///
/// # Errors
/// As `borrow_all`.
pub fn listening_sockets(process: Process) -> Outcome<Vec<OwnedFd>> {
    let all = borrow_all(process)?.into_iter().map(|borrowed| borrowed.fd);
    let for_clients = |fd: &OwnedFd| getsockopt(fd, sockopt::SockType) != Ok(SockType::SeqPacket);
    Ok(all.filter(|fd| getsockopt(fd, sockopt::AcceptConn) == Ok(true) && for_clients(fd)).collect())
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

/// The channels by which a process can send something to the process that made them: sockets and pipes that keep
/// message boundaries. Each one once, however many descriptors it has.
///
/// # Errors
/// As `borrow_all`.
pub fn ways_to(process: Process, made_by: Process) -> Outcome<Vec<Borrowed>> {
    let mut ways = packet_sockets(process, made_by)?;
    ways.extend(borrow_all(process)?.into_iter().filter(|borrowed| {
        let flags = fcntl(&borrowed.fd, FcntlArg::F_GETFL).map(OFlag::from_bits_retain).unwrap_or(OFlag::empty());
        borrowed.points_to.starts_with("pipe:") && flags.contains(OFlag::O_DIRECT | OFlag::O_WRONLY)
    }));
    ways.sort_by(|a, b| a.points_to.cmp(&b.points_to));
    ways.dedup_by(|a, b| a.points_to == b.points_to);
    Ok(ways)
}

impl Borrowed {
    /// Sends bytes through this channel, without waiting.
    ///
    /// # Errors
    /// When it isn't taken.
    pub fn say(&self, bytes: &[u8]) -> nix::Result<()> {
        if self.points_to.starts_with("pipe:") {
            nix::unistd::write(&self.fd, bytes).map(drop)
        } else {
            send(&self.fd, bytes, &[])
        }
    }
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

/// A TCP socket whose close takes 20 s unless the end of its process closes it: it has unsent data and SO_LINGER. The
/// other socket is its reader, which does not read.
///
/// # Errors
/// When it can't be made.
pub fn lingering() -> Outcome<(OwnedFd, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    setsockopt(&listener, sockopt::RcvBuf, &2048)?;
    let mut stream = TcpStream::connect(listener.local_addr()?)?;
    let (reader, _) = listener.accept()?;
    stream.set_nonblocking(true)?;
    while stream.write(&[b'x'; 4096]).is_ok() {}
    setsockopt(&stream, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 20 })?;
    Ok((stream.into(), reader))
}

/// What a process can do that has listening sockets open, perhaps those of a former user of their address: it lets them share their port,
/// or not, listens again, and accepts. Returns how many connections it got.
#[must_use]
pub fn try_to_accept(sockets: &[OwnedFd]) -> usize {
    let mut accepted = 0;
    for socket in sockets {
        for share in [false, true] {
            let _ = setsockopt(socket, sockopt::ReusePort, &share);
            let _ = listen(socket, Backlog::MAXALLOWABLE);
            if let Ok(raw) = accept4(socket.as_raw_fd(), SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC) {
                let _ = nix::unistd::close(raw);
                accepted += 1;
            }
        }
    }
    accepted
}

/// The kernel's lock of a pipe, held by a thread of this process until this is dropped. A process that reads the pipe, or closes
/// it as the last one, waits for the lock in the kernel.
#[derive(Debug)]
pub struct PipeLock {
    ours: Option<OwnedFd>,
    held: Option<JoinHandle<()>>,
}

impl PipeLock {
    /// Takes the lock of a pipe, given by its writing end.
    ///
    /// # Errors
    /// `EMFILE`.
    pub fn take(pipe: OwnedFd) -> Outcome<Self> {
        let (silent, ours) = stream_pair()?;
        let held = std::thread::spawn(move || sys::splice(&silent, &pipe));
        Ok(Self { ours: Some(ours), held: Some(held) })
    }
}

impl Drop for PipeLock {
    fn drop(&mut self) {
        drop(self.ours.take());
        if let Some(held) = self.held.take() {
            let _ = held.join();
        }
    }
}

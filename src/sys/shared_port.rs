//! A second TCP socket that listens at the address of another one, and takes over from it. Processes that have the former socket open
//! cannot prevent that, and cannot get connections back afterwards.
//!
//! `SO_REUSEPORT` lets both listen. Without more the kernel would spread connections over them, so a filter (`choose`) names the one
//! that gets them all.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};
use nix::unistd::{Gid, Uid, fchown};

use super::listen;

/// Lets another socket of the same user listen at its address (`SO_REUSEPORT`). For a listening socket it takes effect when the other
/// one is bound.
///
/// # Errors
/// `ENOPROTOOPT`: the kernel lacks it.
pub fn share(socket: &OwnedFd) -> io::Result<()> {
    Ok(setsockopt(socket, sockopt::ReusePort, &true)?)
}

/// Binds another socket beside one that listens, or makes it listen there: `attempt`. Processes that have the other socket open can
/// undo `share` at any time, so it is repeated for as long as they do that, and for `LONGEST` at most.
///
/// # Errors
/// Those of the attempt. `EADDRINUSE`: they undo it again and again.
pub fn beside(other: &OwnedFd, mut attempt: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    const LONGEST: Duration = Duration::from_millis(20);
    let end = Instant::now() + LONGEST;
    loop {
        share(other)?;
        match attempt() {
            Err(e) if e.raw_os_error() == Some(libc::EADDRINUSE) && Instant::now() < end => {}
            done => return done,
        }
    }
}

/// Gives all new connections to one of the sockets of an address: 0 is the one that has listened there for the longest time
/// (`SO_ATTACH_REUSEPORT_CBPF`). If there is no socket of that number, each of them gets some.
///
/// # Errors
/// `ENOPROTOOPT`, `EPERM`: the kernel or a seccomp filter does not permit it.
pub fn choose(socket: impl AsFd, number: u32) -> io::Result<()> {
    // `BPF_RET | BPF_K`: return the number.
    let mut filter = [libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: number }];
    let program = libc::sock_fprog { len: 1, filter: filter.as_mut_ptr() };
    let length = libc::socklen_t::try_from(size_of_val(&program)).map_err(io::Error::other)?;
    let (raw, place) = (socket.as_fd().as_raw_fd(), (&raw const program).cast());
    // SAFETY: the kernel reads `length` bytes of `program` and the one instruction that it points to; both live during the call.
    let done = unsafe { libc::setsockopt(raw, libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_CBPF, place, length) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Ends the listening of a socket whose address another one serves, in all processes that have it open; connections in its queue are
/// reset. None of these processes can make it listen there again.
pub fn abandon(socket: &OwnedFd) {
    give_away(socket);
    listen::refuse(socket);
}

/// None of the processes that have it open can share its address with a later socket: sockets share an address only if they belong
/// to the same user. It listens on, and connections in its queue can be accepted.
pub fn give_away(socket: &OwnedFd) {
    const NOBODY: u32 = 65534;
    let _ = fchown(socket, Some(Uid::from_raw(NOBODY)), Some(Gid::from_raw(NOBODY)));
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, socket};

    use super::*;

    fn listening_at(address: SocketAddr, shared: bool) -> OwnedFd {
        let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_NONBLOCK, None).unwrap();
        setsockopt(&fd, sockopt::ReuseAddr, &true).unwrap();
        if shared {
            share(&fd).unwrap();
        }
        bind(fd.as_raw_fd(), &SockaddrStorage::from(address)).unwrap();
        listen::listen(&fd, 16).unwrap();
        fd
    }

    /// How many of some connections each socket gets.
    fn shares(address: SocketAddr, sockets: [&OwnedFd; 2]) -> [usize; 2] {
        let _clients: Vec<_> = (0..12).map(|_| TcpStream::connect(address).unwrap()).collect();
        sockets.map(|socket| std::iter::from_fn(|| listen::accept(socket).unwrap()).count())
    }

    #[test]
    fn the_former_socket_cannot_listen_again() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let former = listening_at(port, false);
        share(&former).unwrap();
        let next = listening_at(port, true);
        choose(&next, 0).unwrap();
        assert_eq!(shares(port, [&former, &next]), [12, 0]);
        choose(&next, 1).unwrap();
        assert_eq!(shares(port, [&former, &next]), [0, 12]);
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        abandon(&former);
        for shared in [false, true] {
            setsockopt(&former, sockopt::ReusePort, &shared).unwrap();
            assert_eq!(listen::listen(&former, 16).unwrap_err().raw_os_error(), Some(libc::EADDRINUSE));
        }
        let _ = choose(&former, 0);
        assert_eq!(shares(port, [&former, &next]), [0, 12]);
        // It can be replaced in turn.
        share(&next).unwrap();
        let third = listening_at(port, true);
        choose(&third, 0).unwrap();
        assert_eq!(shares(port, [&next, &third]), [12, 0]);
        choose(&third, 1).unwrap();
        assert_eq!(shares(port, [&next, &third]), [0, 12]);
    }
}

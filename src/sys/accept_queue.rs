//! The connections in the accept queue of a listening socket that is about to close. The last close resets those that are left, so they
//! are taken out before.
#![forbid(unsafe_code)]

use std::os::fd::OwnedFd;
use std::time::Duration;

use super::{backlog, listen};

/// How long the handshake of a TCP connection may take if its client is near. The kernel's thread that ends it may have to wait for
/// a core, so each further look at the queue comes after twice that time.
const HANDSHAKE: Duration = Duration::from_millis(2);
/// How often the queue is looked at again: the last time comes 62 ms after the first.
const LOOKS: u32 = 5;

/// Takes them out of the queue, one after the other, and then refuses further clients, so that none waits there in vain.
#[derive(Debug)]
pub struct Emptying {
    socket: OwnedFd,
    /// The most connections that are still taken.
    left: u32,
    /// How often the queue was looked at again.
    looks: u32,
    refused: bool,
}

impl Emptying {
    /// Of that socket, which does not block. A unix socket refuses new clients at once, and its queue is then emptied. A TCP socket
    /// that refuses clients loses its queue, so it refuses them after those that wait now are taken.
    #[must_use]
    pub fn new(socket: OwnedFd) -> Self {
        let is_tcp = listen::local(&socket).is_some();
        if !is_tcp {
            listen::refuse(&socket);
        }
        let left = if is_tcp { queued(&socket) } else { u32::MAX };
        Self { socket, left, looks: if is_tcp { 0 } else { LOOKS }, refused: false }
    }
}

impl Iterator for Emptying {
    type Item = OwnedFd;

    fn next(&mut self) -> Option<OwnedFd> {
        while !self.refused {
            if self.left > 0 {
                if let Ok(Some(connection)) = listen::accept(&self.socket) {
                    self.left -= 1;
                    return Some(connection);
                }
                self.left = 0;
            } else if self.looks < LOOKS {
                // Another socket may get the new connections of the port by now. Those whose handshake had begun arrive here.
                std::thread::sleep(HANDSHAKE * (1 << self.looks));
                (self.left, self.looks) = (queued(&self.socket), self.looks + 1);
            } else {
                listen::refuse(&self.socket);
                self.refused = true;
            }
        }
        None
    }
}

/// How many connections wait in the queue of a TCP socket.
fn queued(socket: &OwnedFd) -> u32 {
    backlog::tcp(socket).map_or(0, |queue| queue.waiting)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;
    use crate::sys::fd::set_nonblocking;

    #[test]
    fn all_that_wait_are_taken_and_later_ones_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let unix = OwnedFd::from(UnixListener::bind(&path).unwrap());
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        let tcp = OwnedFd::from(tcp);
        [&unix, &tcp].into_iter().for_each(|socket| set_nonblocking(socket, true).unwrap());
        let _waiting: Vec<_> = (0..3).map(|_| UnixStream::connect(&path).unwrap()).collect();
        let _far: Vec<_> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
        assert_eq!([unix, tcp].map(|socket| Emptying::new(socket).count()), [3, 3]);
        assert!(UnixStream::connect(&path).is_err() && TcpStream::connect(address).is_err());
    }
}

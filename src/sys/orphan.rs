//! Idle connections of a worker whose zygote ends while the worker is inside a request. No other process can take them over then, and
//! their clients must not wait for the end of that request: the handler of the signal that tells of the parent's death
//! (`PR_SET_PDEATHSIG`) ends them. Those that have sent a request already are not ended, because it would be lost; it is served later.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU64, Ordering};

use nix::errno::Errno;
use nix::unistd::{Pid, getppid};

/// How many connections there can be.
pub const MOST: u32 = 31;

static PARENT: AtomicI32 = AtomicI32::new(0);
static INSIDE: AtomicBool = AtomicBool::new(false);
static WAITING: [Waiting; MOST as usize] = [const { Waiting::none() }; MOST as usize];

/// An idle connection.
struct Waiting {
    /// -1: none.
    fd: AtomicI32,
    /// The word that says who may use the connection.
    holder: AtomicPtr<AtomicU64>,
    /// Its value as long as the connection is idle.
    idle: AtomicU64,
    /// Its value when the parent has it.
    gone: AtomicU64,
}

impl Waiting {
    const fn none() -> Self {
        Self {
            fd: AtomicI32::new(-1),
            holder: AtomicPtr::new(null_mut()),
            idle: AtomicU64::new(0),
            gone: AtomicU64::new(0),
        }
    }

    fn end(&self) {
        let fd = self.fd.load(Ordering::SeqCst);
        // SAFETY: null, or the address of a `&'static` word that `add` got.
        let Some(holder) = (unsafe { self.holder.load(Ordering::SeqCst).as_ref() }) else { return };
        let (idle, gone) = (self.idle.load(Ordering::SeqCst), self.gone.load(Ordering::SeqCst));
        // The parent had taken it, and has given it to no other process.
        let was_parents = holder.load(Ordering::SeqCst) == gone;
        if fd < 0 || (!was_parents && has_bytes(fd)) {
            return;
        }
        if was_parents || holder.compare_exchange(idle, gone, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            // SAFETY: shutdown() is async-signal-safe, and `add` got an open descriptor, which stays open until `remove`.
            unsafe { libc::shutdown(fd, libc::SHUT_RDWR) };
        }
    }
}

/// Whether bytes can be read.
fn has_bytes(fd: RawFd) -> bool {
    let mut byte = 0u8;
    // SAFETY: recv() is async-signal-safe, and writes at most one byte, to `byte`. `MSG_PEEK` leaves it in the socket.
    unsafe { libc::recv(fd, (&raw mut byte).cast(), 1, libc::MSG_PEEK | libc::MSG_DONTWAIT) > 0 }
}

/// Names the process whose end matters.
pub fn set_parent(parent: Pid) {
    PARENT.store(parent.as_raw(), Ordering::SeqCst);
}

/// Adds a connection with a number below `MOST`. It is idle while `holder` has the value `idle`. `remove` has to be called before the
/// descriptor is closed.
pub fn add(number: usize, fd: &OwnedFd, holder: &'static AtomicU64, [idle, gone]: [u64; 2]) {
    let Some(entry) = WAITING.get(number) else { return };
    entry.fd.store(-1, Ordering::SeqCst);
    entry.holder.store(std::ptr::from_ref(holder).cast_mut(), Ordering::SeqCst);
    entry.idle.store(idle, Ordering::SeqCst);
    entry.gone.store(gone, Ordering::SeqCst);
    entry.fd.store(fd.as_raw_fd(), Ordering::SeqCst);
}

/// Removes a connection.
pub fn remove(number: usize) {
    if let Some(entry) = WAITING.get(number) {
        entry.fd.store(-1, Ordering::SeqCst);
    }
}

/// Tells whether the worker is inside a request. Between two requests it looks after its connections itself.
pub fn set_inside_request(inside: bool) {
    INSIDE.store(inside, Ordering::Relaxed);
}

/// In a signal handler of the worker: ends the idle connections, if the worker is inside a request and its parent has ended.
pub(super) fn end_waiting() {
    if INSIDE.load(Ordering::Relaxed) && getppid().as_raw() != PARENT.load(Ordering::SeqCst) {
        // The interrupted code must find its own error number.
        let errno = Errno::last();
        WAITING.iter().for_each(Waiting::end);
        errno.set();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::socket::{self, Received};
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

    #[test]
    fn only_idle_connections_of_an_orphan_inside_a_request_end() {
        static WORDS: [AtomicU64; 4] = [const { AtomicU64::new(5) }; 4];
        let pair = || socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC).unwrap();
        let ((idle, its_client), (busy, other_client), (asked, third_client)) = (pair(), pair(), pair());
        let (taken, fourth_client) = pair();
        socket::send(&third_client, b"request", None).unwrap();
        add(0, &idle, &WORDS[0], [5, 7]);
        add(1, &busy, &WORDS[1], [4, 7]);
        add(2, &asked, &WORDS[2], [5, 7]);
        add(3, &taken, &WORDS[3], [4, 5]);
        let state = |client| socket::receive(client, &mut [0; 1]).unwrap();
        set_parent(getppid());
        set_inside_request(true);
        end_waiting();
        assert_eq!(state(&its_client), Received::Nothing, "the parent lives");
        set_parent(Pid::from_raw(i32::MAX));
        set_inside_request(false);
        end_waiting();
        assert_eq!(state(&its_client), Received::Nothing, "it waits itself");
        set_inside_request(true);
        end_waiting();
        assert_eq!((state(&its_client), state(&other_client)), (Received::End, Received::Nothing));
        assert_eq!(state(&third_client), Received::Nothing, "its request would be lost");
        assert_eq!(state(&fourth_client), Received::End, "the parent had it");
        assert_eq!(WORDS.each_ref().map(|word| word.load(Ordering::SeqCst)), [7, 5, 5, 5]);
        (0..4).for_each(remove);
    }
}

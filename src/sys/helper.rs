//! Children that do one thing for this process with a few descriptors of its own, and end.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::unistd::{Pid, pipe2, read};

use super::process::{self, Forked};
use super::{fd, single_threaded};

/// Forks a child that has duplicates of these descriptors, the standard streams and no others. It runs `work` and exits with
/// status 0, at once if it can't have the duplicates. The caller reaps it with its other children.
///
/// `work` is a plain function with a context that can be copied, so it captures no value that owns a descriptor. It must not use
/// the log either, whose descriptor is closed in the child.
///
/// # Errors
/// `EAGAIN`, `ENOMEM`.
pub fn start<const N: usize, C: Copy + 'static>(
    fds: [BorrowedFd<'_>; N],
    context: C,
    work: fn([OwnedFd; N], C),
) -> io::Result<Pid> {
    match single_threaded::fork()? {
        Forked::Parent(pid) => Ok(pid),
        Forked::Child => {
            let duplicates: io::Result<Vec<OwnedFd>> = fds.iter().map(BorrowedFd::try_clone_to_owned).collect();
            if let Ok(Ok(duplicates)) = duplicates.map(<[OwnedFd; N]>::try_from) {
                // SAFETY: this is a forked child. It only uses the duplicates, which stay open, and ends by `exit_now`; `work`
                // captures nothing that owns another descriptor.
                unsafe { fd::close_all_but(&duplicates.each_ref().map(AsRawFd::as_raw_fd)) };
                work(duplicates, context);
            }
            process::exit_now(0)
        }
    }
}

/// Closes sockets whose queues may hold descriptors of others, without waiting: a child has them open until they are closed here, then
/// it ends. Closing such a descriptor can take as long as its sender likes (a TCP socket that lingers, a file of a file system in user
/// space), and the end of the child takes that time.
pub fn close_aside(fds: Vec<OwnedFd>) {
    if fds.is_empty() {
        return;
    }
    let Ok((reading, writing)) = pipe2(OFlag::O_CLOEXEC) else { return };
    match single_threaded::fork() {
        Ok(Forked::Child) => {
            drop(writing);
            let _ = read(&reading, &mut [0]);
            process::exit_now(0)
        }
        // If no process can be made, they are closed here all the same: they must not pile up.
        Ok(Forked::Parent(_)) | Err(_) => drop(fds),
    }
}

//! Children that do one thing for this process with a few descriptors of its own, and end.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::unistd::Pid;

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

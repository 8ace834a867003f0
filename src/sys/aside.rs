//! Closing descriptors of which this process may be the last holder, and whose close can take as long as others like: a socket in whose
//! queue a client has left a TCP socket that lingers, or a file of a file system in user space.
//!
//! A child has them open until they are closed here, then it is killed, and its end takes that time. No further descriptor is needed for
//! that: there may be none left. If no process can be made (`pids.max`), the descriptors are kept, and the next try is made a second
//! later: a user may have used up all processes to have them closed here.

use std::cell::RefCell;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpid, getppid, pause};

use super::clock::{self, Moment};
use super::failure::reason;
use super::process::{self, Forked};
use super::{fd, single_threaded};

/// Most descriptors that are kept, so that they do not take up all that there may be. While no process can be made, a pool leaves a few
/// at most.
const MOST: usize = 4096;
/// How long it has to fail until it is reported, and how often it is then.
const PATIENCE: Duration = Duration::from_secs(5);
const EVERY: Duration = Duration::from_secs(300);

thread_local! {
    // The end of the process closes them without a wait, so nothing drops them before.
    static KEPT: RefCell<ManuallyDrop<Kept>> = RefCell::new(ManuallyDrop::new(Kept::default()));
}

/// Closes descriptors without waiting. Those that cannot be closed now are kept for `retry`.
pub fn close(fds: Vec<OwnedFd>) {
    KEPT.with_borrow_mut(|kept| {
        kept.fds.extend(fds);
        if kept.report_at.is_none() {
            let _ = kept.close(clock::now());
        }
        kept.limit(MOST);
    });
}

/// Tries again to close what is kept. To be called every second. If that has failed for a while: how many descriptors are kept, and why.
#[must_use]
pub fn retry() -> Option<(usize, String)> {
    KEPT.with_borrow_mut(|kept| kept.close(clock::now()))
}

/// The descriptors that are kept: the next image has to close them.
#[must_use]
pub fn kept() -> Vec<RawFd> {
    KEPT.with_borrow(|kept| kept.fds.iter().map(AsRawFd::as_raw_fd).collect())
}

/// Descriptors that are not closed yet.
#[derive(Debug, Default)]
struct Kept {
    fds: Vec<OwnedFd>,
    /// When to report that it fails. `None`: it has not failed.
    report_at: Option<Moment>,
}

impl Kept {
    fn close(&mut self, now: Moment) -> Option<(usize, String)> {
        if self.fds.is_empty() {
            return None;
        }
        match start_holder(&self.fds) {
            Ok(holder) => {
                self.fds.clear();
                process::kill(holder, Signal::SIGKILL);
                self.report_at = None;
                None
            }
            Err(e) => self.note_failure(now, &e),
        }
    }

    fn note_failure(&mut self, now: Moment, error: &io::Error) -> Option<(usize, String)> {
        let due = *self.report_at.get_or_insert(now + PATIENCE);
        if due > now {
            return None;
        }
        self.report_at = Some(now + EVERY);
        Some((self.fds.len(), reason(error)))
    }

    /// Closes here what is too much, the oldest ones.
    fn limit(&mut self, most: usize) {
        let more = self.fds.len().saturating_sub(most);
        self.fds.drain(..more);
    }
}

/// Starts a child that has these descriptors open as well until it is killed.
fn start_holder(fds: &[OwnedFd]) -> io::Result<Pid> {
    let parent = getpid();
    match single_threaded::fork()? {
        Forked::Child => {
            let numbers: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
            // SAFETY: this is a forked child. It uses no descriptor, and ends by a signal or `exit_now`.
            unsafe { fd::close_all_but(&numbers) };
            while process::die_with_parent(Signal::SIGKILL).is_ok() && getppid() == parent {
                pause();
            }
            process::exit_now(0)
        }
        Forked::Parent(holder) => Ok(holder),
    }
}

#[cfg(test)]
mod tests {
    use nix::fcntl::OFlag;
    use nix::sys::resource::{Resource, setrlimit};
    use nix::unistd::{pipe2, read};

    use super::*;
    use crate::sys::test_child;

    /// A test has other threads, so that no child can be made.
    #[test]
    fn without_a_child_descriptors_are_kept_and_reported_now_and_then() {
        let (reading, writing) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap();
        close(vec![writing.try_clone().unwrap()]);
        close(vec![writing]);
        assert_eq!(kept().len(), 2);
        assert!(read(&reading, &mut [0]).is_err(), "it was closed");
        let now = clock::now();
        let reports = |after: u64| KEPT.with_borrow_mut(|kept| kept.close(now + Duration::from_secs(after)));
        assert_eq!(reports(3), None);
        assert_eq!(reports(10).map(|(count, _)| count), Some(2));
        assert_eq!([reports(11), reports(309)], [None, None]);
        assert!(reports(311).is_some());
    }

    fn close_without_a_free_descriptor() {
        let (reading, writing) = pipe2(OFlag::O_CLOEXEC).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, 0, 0).unwrap();
        close(vec![writing]);
        assert!(kept().is_empty());
        assert_eq!(read(&reading, &mut [0]), Ok(0), "the child has ended");
    }

    #[test]
    fn descriptors_are_closed_although_no_further_one_can_be_opened() {
        assert_eq!(test_child::run(close_without_a_free_descriptor), 0);
    }

    #[test]
    fn not_all_descriptors_are_kept() {
        let (older, later) = pipe2(OFlag::O_CLOEXEC).unwrap();
        let numbers = [older.as_raw_fd(), later.as_raw_fd()];
        let mut kept = Kept { fds: vec![older, later], report_at: None };
        for (most, left) in [(2, &numbers[..]), (1, &numbers[1..])] {
            kept.limit(most);
            assert_eq!(kept.fds.iter().map(AsRawFd::as_raw_fd).collect::<Vec<_>>(), left);
        }
    }
}

//! Another process, held by a descriptor (pidfd_open(2)). The descriptor stays that process's, even if its pid is used again.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use super::signal::Heard;

/// A process that existed when it was opened.
#[derive(Debug)]
pub struct Process {
    /// Its pid.
    pub pid: Pid,
    fd: OwnedFd,
}

impl Process {
    /// Opens the process of that pid.
    ///
    /// # Errors
    /// `ESRCH`: there is none.
    pub fn open(pid: Pid) -> io::Result<Self> {
        // SAFETY: pidfd_open takes two integers and gives a number. No memory is touched.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
        let fd = RawFd::try_from(fd).unwrap_or(-1);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: pidfd_open has just made this descriptor, close-on-exec, so nothing else owns it.
        Ok(Self { pid, fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Sends a signal (pidfd_send_signal(2)).
    ///
    /// # Errors
    /// `EPERM`; `ESRCH` once it has ended.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        self.send(Heard::Named(signal))
    }

    /// Whether this process may signal that one; sends nothing.
    ///
    /// # Errors
    /// As `signal`.
    pub fn may_signal(&self) -> io::Result<()> {
        self.send_number(0)
    }

    /// Sends a signal that a supervisor hears.
    ///
    /// # Errors
    /// As `signal`; `EAGAIN`: too many signals are pending.
    pub fn send(&self, signal: Heard) -> io::Result<()> {
        self.send_number(signal.number())
    }

    fn send_number(&self, number: libc::c_int) -> io::Result<()> {
        let none = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: the descriptor is open, and with a null siginfo the kernel reads no memory of ours.
        let done = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, self.fd.as_raw_fd(), number, none, 0) };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Reaps this child if it has ended (waitid(2), `P_PIDFD`).
    pub fn reap(&self) {
        let _ = waitid(Id::PIDFd(self.fd.as_fd()), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG);
    }

    /// Whether this child has been stopped, even if it runs again.
    #[must_use]
    pub fn was_stopped(&self) -> bool {
        super::process::has_been_stopped(Id::PIDFd(self.fd.as_fd()))
    }

    /// Waits at most that long for its end. True: it has ended.
    #[must_use]
    pub fn ends_within(&self, limit: Duration) -> bool {
        let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
        matches!(poll(&mut fds, limit), Ok(1..))
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_is_signalled_and_its_end_seen() {
        let mut child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
        let process = Process::open(Pid::from_raw(i32::try_from(child.id()).unwrap())).unwrap();
        assert!(!process.ends_within(Duration::ZERO));
        process.signal(Signal::SIGTERM).unwrap();
        assert!(process.ends_within(Duration::from_secs(10)));
        child.wait().unwrap();
        assert!(!process.was_stopped(), "an end is no stop");
        assert_eq!(process.signal(Signal::SIGTERM).unwrap_err().raw_os_error(), Some(libc::ESRCH));
    }

    #[test]
    fn a_stop_is_seen_each_time_and_after_the_process_runs_again() {
        let mut child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
        let process = Process::open(Pid::from_raw(i32::try_from(child.id()).unwrap())).unwrap();
        assert!(!process.was_stopped());
        process.signal(Signal::SIGSTOP).unwrap();
        let begun = std::time::Instant::now();
        while !process.was_stopped() {
            assert!(begun.elapsed() < Duration::from_secs(10), "not seen");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(process.was_stopped());
        process.signal(Signal::SIGCONT).unwrap();
        assert!(process.was_stopped());
        process.signal(Signal::SIGKILL).unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn an_unused_pid_is_refused() {
        assert_eq!(Process::open(Pid::from_raw(i32::MAX)).unwrap_err().raw_os_error(), Some(libc::ESRCH));
    }
}

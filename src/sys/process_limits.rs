//! The limit on the number of a user's processes and threads (`RLIMIT_NPROC` of setrlimit(2)). The kernel applies it to each process
//! that calls fork as an unprivileged user. A process of root is exempt, so php-fpm's master, which forks all workers as root, is
//! not held to the limit of a pool's user.

use std::io;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::{proc_file, proc_stat};

/// `RLIMIT_NPROC` of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessLimits {
    /// The limit in effect.
    pub soft: u64,
    /// The highest value to which the process may raise it.
    pub hard: u64,
}

impl ProcessLimits {
    /// That of this process.
    ///
    /// # Errors
    /// None in practice.
    pub fn of_process() -> io::Result<Self> {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NPROC)?;
        Ok(Self { soft, hard })
    }

    /// Whether it limits anything.
    #[must_use]
    pub fn is_limited(self) -> bool {
        self.soft != RLIM_INFINITY
    }

    /// Sets it for this process. To lower it needs no privilege.
    ///
    /// # Errors
    /// `EPERM`: it is above the hard limit.
    pub fn apply(self) -> io::Result<()> {
        Ok(setrlimit(Resource::RLIMIT_NPROC, self.soft, self.hard)?)
    }
}

/// Raises the limit of this process as far as it may without a privilege.
///
/// # Errors
/// None in practice.
pub fn raise_to_hard() -> io::Result<()> {
    let limits = ProcessLimits::of_process()?;
    ProcessLimits { soft: limits.hard, ..limits }.apply()
}

/// Removes the limit of another process, a child of this one (prlimit(2)).
///
/// # Errors
/// `EPERM`: this process lacks CAP_SYS_RESOURCE. `ESRCH`.
pub fn remove_limit_of(child: Pid) -> io::Result<()> {
    let none = libc::rlimit { rlim_cur: RLIM_INFINITY, rlim_max: RLIM_INFINITY };
    // SAFETY: the new limits are a valid structure, and the old ones are not asked for.
    let set = unsafe { libc::prlimit(child.as_raw(), libc::RLIMIT_NPROC, &raw const none, std::ptr::null_mut()) };
    if set < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The soft limit of another process, from `/proc/PID/limits`. `None`: unlimited, or not known.
#[must_use]
pub fn limit_of(pid: Pid) -> Option<u64> {
    soft_limit(&std::fs::read_to_string(format!("/proc/{pid}/limits")).ok()?)
}

fn soft_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max processes"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// How many processes and threads of that real user there are, from `/proc`.
#[must_use]
pub fn count_of_user(uid: u32) -> u64 {
    let statuses = proc_stat::pids().filter_map(|pid| proc_file::read(format!("/proc/{pid}/status")).ok());
    statuses.filter_map(|status| threads(&status, uid)).sum()
}

/// The number of threads in the text of `/proc/PID/status`, if the process is of that user.
fn threads(status: &[u8], uid: u32) -> Option<u64> {
    if proc_stat::real_uid(status)? != uid {
        return None;
    }
    proc_stat::field(status, "Threads")?.trim_ascii().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_of_a_user_are_counted() {
        let status = b"Name:\ta\nUid:\t33\t34\t34\t34\nThreads:\t3\n";
        assert_eq!((threads(status, 33), threads(status, 34)), (Some(3), None));
        let zombie = b"Name:\t\xff\nUid:\t33\t33\t33\t33\n";
        assert_eq!(threads(zombie, 33), None);
        assert!(count_of_user(nix::unistd::getuid().as_raw()) > 0);
    }

    #[test]
    fn the_soft_limit_is_found() {
        let text = "Max processes             8                    96192                processes \nMax x 1 2\n";
        assert_eq!(soft_limit(text), Some(8));
        assert_eq!(
            soft_limit("Max processes             unlimited            unlimited            processes \n"),
            None
        );
    }

    #[test]
    fn a_limit_is_lowered_and_raised_again() {
        let limits = ProcessLimits::of_process().unwrap();
        raise_to_hard().unwrap();
        assert_eq!(ProcessLimits::of_process().unwrap().soft, limits.hard);
        limits.apply().unwrap();
        assert_eq!(ProcessLimits::of_process().unwrap(), limits);
    }
}

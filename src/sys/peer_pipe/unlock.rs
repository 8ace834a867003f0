//! Kills the processes that have a pipe open, so that none keeps its lock. A child does it, since it reads all of `/proc`.

use std::fs;
use std::io;
use std::path::Path;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::sys::{helper, pidfd, proc_stat};

/// A process may fork while the others are being killed.
const ROUNDS: usize = 20;

/// Starts the child.
///
/// # Errors
/// `EAGAIN`, `ENOMEM`.
pub(super) fn start(inode: u64) -> io::Result<()> {
    helper::start([], inode, |[], inode| {
        let _ = (0..ROUNDS).find(|_| !kill_writers(inode));
    })
    .map(drop)
}

/// Whether there were any.
fn kill_writers(inode: u64) -> bool {
    let link = format!("pipe:[{inode}]");
    proc_stat::pids().filter(|pid| has(*pid, &link)).filter(|pid| kill(*pid, &link)).count() > 0
}

/// Whether a process of a user, not of root, has the pipe open. The links are only read: what they point to may be on a file
/// system that does not answer.
fn has(pid: Pid, link: &str) -> bool {
    let of_user = proc_stat::user_of(pid).is_some_and(|user| user != 0);
    let fds = || fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    of_user && fds().any(|entry| fs::read_link(entry.path()).is_ok_and(|to| to == Path::new(link)))
}

/// The descriptor of the process stays its own, so it is asked again before the signal.
fn kill(pid: Pid, link: &str) -> bool {
    pidfd::Process::open(pid).is_ok_and(|process| has(pid, link) && process.signal(Signal::SIGKILL).is_ok())
}

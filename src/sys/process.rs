//! Processes: fork, exec, wait, and what ties a child to its parent.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{ForkResult, Pid, execv};
use serde::{Deserialize, Serialize};

/// Which side of a fork this is.
#[derive(Debug)]
pub enum Forked {
    /// The parent, with the child's pid.
    Parent(Pid),
    /// The child.
    Child,
}

/// Forks (fork(2)). [`super::single_threaded::fork`] is the safe form.
///
/// # Errors
/// `EAGAIN`, `ENOMEM`.
///
/// # Safety
/// No other thread of the process holds a lock that the child may take: the copy of that lock would never be released. A
/// process with one thread fulfils that.
pub unsafe fn fork() -> io::Result<Forked> {
    // SAFETY: the caller vouches that the child finds every lock free, so it may run any code.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(Forked::Parent(child)),
        ForkResult::Child => Ok(Forked::Child),
    }
}

/// Whether this process is a copy that was made behind `watch_forks`.
static COPY: AtomicBool = AtomicBool::new(false);

extern "C" fn note_copy() {
    COPY.store(true, Ordering::Relaxed);
}

/// In a worker, once: from now on a process that somebody else's code forks knows what it is (`is_copy`).
///
/// # Errors
/// `ENOMEM`.
pub fn watch_forks() -> io::Result<()> {
    // SAFETY: the handler does nothing but set a flag, and this library is never unloaded.
    match unsafe { libc::pthread_atfork(None, None, Some(note_copy)) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Whether this process was forked from a worker by a script.
#[must_use]
pub fn is_copy() -> bool {
    COPY.load(Ordering::Relaxed)
}

/// Replaces this program. Returns only on failure.
#[must_use]
pub fn exec(program: &Path, args: &[impl AsRef<OsStr>]) -> io::Error {
    let c = |s: &OsStr| CString::new(s.as_bytes());
    let Ok(path) = c(program.as_os_str()) else { return Errno::EINVAL.into() };
    let Ok(args) = args.iter().map(|a| c(a.as_ref())).collect::<Result<Vec<_>, _>>() else {
        return Errno::EINVAL.into();
    };
    match execv(&path, &args) {
        Ok(never) => match never {},
        Err(errno) => errno.into(),
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// By exit(code).
    Code(i32),
    /// By a signal; true: with a core dump.
    Signal(i32, bool),
    /// Its parent was lost before it could say.
    Unknown,
}

impl Exit {
    /// A fault in the program itself.
    #[must_use]
    pub fn is_crash(self) -> bool {
        matches!(self, Self::Signal(libc::SIGSEGV | libc::SIGBUS | libc::SIGILL | libc::SIGABRT, _))
    }
}

/// One child that has ended, without waiting.
#[must_use]
pub fn reap() -> Option<(Pid, Exit)> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => return Some((pid, Exit::Code(code))),
            Ok(WaitStatus::Signaled(pid, signal, core)) => return Some((pid, Exit::Signal(signal as i32, core))),
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return None,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return None,
        }
    }
}

/// Orphans of this process's descendants become its children.
///
/// # Errors
/// None on Linux ≥ 3.4.
pub fn become_subreaper() -> io::Result<()> {
    Ok(prctl::set_child_subreaper(true)?)
}

/// This process gets `signal` when its parent dies. Cleared by credential changes: call it after the last one,
/// then compare getppid() with the parent that was meant.
///
/// # Errors
/// None in practice.
pub fn die_with_parent(signal: Signal) -> io::Result<()> {
    Ok(prctl::set_pdeathsig(Some(signal))?)
}

/// Whether others of the same user may read this process's memory and /proc files.
///
/// # Errors
/// None in practice.
pub fn set_dumpable(on: bool) -> io::Result<()> {
    Ok(prctl::set_dumpable(on)?)
}

/// Sends a signal; a process that is gone is no error.
pub fn signal(pid: Pid, signal: Signal) {
    if pid.as_raw() > 1 {
        let _ = kill(pid, signal);
    }
}

/// Ends this process at once: no destructors, no exit handlers of the host. For forked children that share them with their parent.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit takes a number and does not return.
    unsafe { libc::_exit(code) }
}

/// `setpriority` of this process.
///
/// # Errors
/// `EACCES` without the right to raise it.
pub fn set_priority(nice: i32) -> io::Result<()> {
    // SAFETY: plain integers; 0 means this process.
    let done = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The nice value of this process.
#[must_use]
pub fn priority() -> i32 {
    // SAFETY: plain integers; 0 means this process, which has one.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
}

/// Where a process comes from. Parent and time of birth tell it from a later one of the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Its parent.
    pub parent: Pid,
    /// When it was started, in ticks since boot.
    pub born: u64,
}

/// The origin of a process that is there, also when it has ended and wasn't reaped yet.
#[must_use]
pub fn origin(pid: Pid) -> Option<Origin> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&stat)
}

fn parse_stat(stat: &[u8]) -> Option<Origin> {
    // The name may hold anything, also blanks and parentheses.
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let mut fields = std::str::from_utf8(stat.get(end + 2..)?).ok()?.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let born = fields.nth(17)?.parse().ok()?;
    Some(Origin { parent: Pid::from_raw(parent), born })
}

/// Whether the process of that pid that was born then has not ended yet.
#[must_use]
pub fn lives(pid: Pid, born: u64) -> bool {
    std::fs::read(format!("/proc/{pid}/stat")).is_ok_and(|stat| is_alive(&stat, born))
}

fn is_alive(stat: &[u8], born: u64) -> bool {
    let end = stat.iter().rposition(|byte| *byte == b')');
    let state = end.and_then(|end| stat.get(end + 2));
    parse_stat(stat).is_some_and(|origin| origin.born == born) && !matches!(state, Some(b'Z' | b'X'))
}

/// The real uid of a process that is there.
#[must_use]
pub fn user_of(pid: Pid) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// Ends the timer of `alarm`.
pub fn cancel_alarm() {
    nix::unistd::alarm::cancel();
}

/// Takes the ends of children that nobody waits for any more; whether some still run.
#[must_use]
pub fn reap_children() -> bool {
    /// At a time: a script may have made many.
    const MOST: usize = 256;
    for _ in 0..MOST {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    true
}

/// Whether somebody has stopped this child, though it may go on by now. Nothing of that is consumed.
#[must_use]
pub fn has_been_stopped(child: Id<'_>) -> bool {
    let flags = WaitPidFlag::WSTOPPED | WaitPidFlag::WCONTINUED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    matches!(waitid(child, flags), Ok(status) if status != WaitStatus::StillAlive)
}

#[cfg(test)]
mod tests {
    use nix::unistd::{getpid, getppid};

    use super::*;

    #[test]
    fn the_origin_of_a_process_is_read_past_its_name() {
        let stat = b"42 (a) S 9 (b)) R 7 42 42 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 12345 1 2\n";
        assert_eq!(parse_stat(stat), Some(Origin { parent: Pid::from_raw(7), born: 12345 }));
        assert_eq!(parse_stat(b"42 (a"), None);
        assert!(is_alive(stat, 12345) && !is_alive(stat, 12344) && !is_alive(b"42 (a", 12345));
        let ended = b"42 (a) S 9 (b)) Z 7 42 42 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 12345 1 2\n";
        assert!(!is_alive(ended, 12345));
        let own = origin(getpid()).unwrap();
        assert!(lives(getpid(), own.born) && !lives(getpid(), own.born + 1));
        assert_eq!(own.parent, getppid());
        assert!(own.born > 0);
        assert_eq!(user_of(getpid()), Some(nix::unistd::getuid().as_raw()));
    }
}

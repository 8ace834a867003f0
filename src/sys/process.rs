//! Processes: fork, exec, wait, and what ties a child to its parent.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::Signal;
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
static FORKED_BY_SCRIPT: AtomicBool = AtomicBool::new(false);

extern "C" fn note_fork() {
    FORKED_BY_SCRIPT.store(true, Ordering::Relaxed);
}

/// In a worker, once: from now on a process that somebody else's code forks knows what it is (`was_forked_by_script`).
///
/// # Errors
/// `ENOMEM`.
pub fn watch_forks() -> io::Result<()> {
    // SAFETY: the handler does nothing but set a flag, and this library is never unloaded.
    match unsafe { libc::pthread_atfork(None, None, Some(note_fork)) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Whether this process was forked from a worker by a script.
#[must_use]
pub fn was_forked_by_script() -> bool {
    FORKED_BY_SCRIPT.load(Ordering::Relaxed)
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
pub fn kill(pid: Pid, signal: Signal) {
    if pid.as_raw() > 1 {
        let _ = nix::sys::signal::kill(pid, signal);
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

/// Ends the timer of `alarm`.
pub fn cancel_alarm() {
    nix::unistd::alarm::cancel();
}

/// Takes the ends of children that nobody waits for any more; whether some still run.
#[must_use]
pub fn reap_all() -> bool {
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

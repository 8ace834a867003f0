//! Processes: fork, exec, wait, signals, priority, and the prctl(2) options that tie a child to its parent.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
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

/// Forks a child that shares root directory, working directory and umask with this process (clone(2), `CLONE_FS`).
/// [`super::single_threaded::fork_with_shared_directories`] is the safe form.
///
/// # Errors
/// `EAGAIN`, `ENOMEM`.
///
/// # Safety
/// The contract of [`fork`]. In addition the child makes system calls only and ends by [`exit_now`]: libc does not know that it is
/// another process.
pub unsafe fn fork_with_shared_directories() -> io::Result<Forked> {
    // SAFETY: without CLONE_VM the child has memory of its own, and without a stack it continues on its copy of this one. The
    // arguments after the flags are unused, so their order, which differs between architectures, does not matter.
    let pid = unsafe { libc::syscall(libc::SYS_clone, libc::CLONE_FS | libc::SIGCHLD, 0, 0, 0, 0) };
    match i32::try_from(Errno::result(pid)?) {
        Ok(0) => Ok(Forked::Child),
        Ok(pid) => Ok(Forked::Parent(Pid::from_raw(pid))),
        Err(_) => Err(Errno::EOVERFLOW.into()),
    }
}

/// Whether this process was forked after `watch_forks`.
static FORKED_BY_SCRIPT: AtomicBool = AtomicBool::new(false);

extern "C" fn note_fork() {
    FORKED_BY_SCRIPT.store(true, Ordering::Relaxed);
}

/// In a worker, once: tells a process that a script forks that it is not the worker (pthread_atfork(3),
/// `was_forked_by_script`).
///
/// # Errors
/// `ENOMEM`.
pub fn watch_forks() -> io::Result<()> {
    // SAFETY: the handler only sets an atomic flag, and this library is never unloaded.
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

/// Replaces this program (execve(2)). Returns only on failure.
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
    /// By exit, with this status.
    Code(i32),
    /// By a signal. True: with a core dump.
    Signal(i32, bool),
    /// Not known: its parent ended before it reported it.
    Unknown,
}

impl Exit {
    /// Whether the program has crashed: SIGSEGV, SIGBUS, SIGILL or SIGABRT.
    #[must_use]
    pub fn is_crash(self) -> bool {
        matches!(self, Self::Signal(libc::SIGSEGV | libc::SIGBUS | libc::SIGILL | libc::SIGABRT, _))
    }
}

/// Reaps one child that has ended, without waiting (waitpid(2), `WNOHANG`).
#[must_use]
pub fn reap() -> Option<(Pid, Exit)> {
    let (pid, status) = wait_for_any().ok().flatten()?;
    let exit = if libc::WIFSIGNALED(status) {
        Exit::Signal(libc::WTERMSIG(status), libc::WCOREDUMP(status))
    } else {
        Exit::Code(libc::WEXITSTATUS(status))
    };
    Some((pid, exit))
}

/// waitpid(2) with `WNOHANG`; None: no child has ended. nix::sys::wait::waitpid() fails for a child that a real-time signal
/// has ended, after it has reaped it.
///
/// # Errors
/// `ECHILD`: there is no child.
fn wait_for_any() -> io::Result<Option<(Pid, i32)>> {
    let mut status = 0;
    loop {
        // SAFETY: the pointer is to a local variable, which outlives the call.
        match unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) } {
            0 => return Ok(None),
            pid if pid > 0 => return Ok(Some((Pid::from_raw(pid), status))),
            _ => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

/// Makes orphaned descendants of this process its children (`PR_SET_CHILD_SUBREAPER`).
///
/// # Errors
/// None since Linux 3.4.
pub fn become_subreaper() -> io::Result<()> {
    Ok(prctl::set_child_subreaper(true)?)
}

/// Sends this process a signal when its parent ends (`PR_SET_PDEATHSIG`). A change of credentials clears it, so call it after the
/// last one. Then compare getppid() with the expected parent, which may have ended before.
///
/// # Errors
/// None in practice.
pub fn die_with_parent(signal: Signal) -> io::Result<()> {
    Ok(prctl::set_pdeathsig(Some(signal))?)
}

/// Whether other processes of the same user may read this process's memory and its files in `/proc` (`PR_SET_DUMPABLE`).
///
/// # Errors
/// None in practice.
pub fn set_dumpable(on: bool) -> io::Result<()> {
    Ok(prctl::set_dumpable(on)?)
}

/// Sends a signal (kill(2)). A missing process is no error. Pids below 2, which stand for groups of processes or for init, are
/// left out.
pub fn kill(pid: Pid, signal: Signal) {
    if pid.as_raw() > 1 {
        let _ = nix::sys::signal::kill(pid, signal);
    }
}

/// Ends this process at once (_exit(2)), without destructors and exit handlers: those of a forked child belong to its parent.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit takes a number and does not return.
    unsafe { libc::_exit(code) }
}

/// The same, after what C code has buffered is written (fflush(3)). For a process that ends for good: the exit handlers of libraries
/// free tables, which in a forked process copies memory page by page only to release it.
pub fn exit_flushed(code: i32) -> ! {
    // SAFETY: a null pointer stands for all streams. The C library locks them itself.
    unsafe { libc::fflush(std::ptr::null_mut()) };
    exit_now(code)
}

/// Sets the nice value of this process (setpriority(2), `PRIO_PROCESS`).
///
/// # Errors
/// `EACCES`: the process may not raise its priority.
pub fn set_priority(nice: i32) -> io::Result<()> {
    // SAFETY: the call takes integers, of which 0 stands for this process. No memory is touched.
    let done = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The nice value of this process (getpriority(2)).
#[must_use]
pub fn priority() -> i32 {
    // SAFETY: the call takes integers, of which 0 stands for this process. No memory is touched.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
}

/// Cancels the timer of alarm(2).
pub fn cancel_alarm() {
    nix::unistd::alarm::cancel();
}

/// Reaps children that a script has started and that have ended. True: some may still run.
#[must_use]
pub fn reap_all() -> bool {
    /// How many are reaped in one call: a script may have made many.
    const MOST: usize = 256;
    for _ in 0..MOST {
        match wait_for_any() {
            Ok(None) => return true,
            Ok(Some(_)) => {}
            Err(_) => return false,
        }
    }
    true
}

/// Whether this child is stopped now (waitid(2), `WSTOPPED`). `WNOWAIT` leaves the state for later calls.
#[must_use]
pub fn is_stopped(child: Pid) -> bool {
    let flags = WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    matches!(waitid(Id::Pid(child), flags), Ok(WaitStatus::Stopped(..)))
}

/// Whether some child is stopped now, by one system call for all children. True where the kernel does not tell.
#[must_use]
pub fn some_child_is_stopped() -> bool {
    let flags = WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    !matches!(waitid(Id::All, flags), Ok(WaitStatus::StillAlive))
}

/// Whether this child has been stopped, even if it runs again (waitid(2), `WSTOPPED`). `WNOWAIT` leaves the state for later calls.
#[must_use]
pub fn has_been_stopped(child: Id<'_>) -> bool {
    let flags = WaitPidFlag::WSTOPPED | WaitPidFlag::WCONTINUED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    matches!(waitid(child, flags), Ok(status) if status != WaitStatus::StillAlive)
}

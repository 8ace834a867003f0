//! Operations that are only allowed while a process has one thread: fork, and changes of its environment.
//!
//! A child of `fork` has a copy of the calling thread alone. A lock that another thread holds at that moment stays locked in the
//! child for ever, and C code may read the environment at any time without a lock. So [`process::fork`] and the functions of
//! [`environment`] are `unsafe`. The supervisor and the zygotes need them, and their modules contain no `unsafe`; they call the
//! safe functions of this module, which prove the condition at run time in one of two ways:
//!
//! 1. The process has exactly one thread, which `/proc/self/task` shows. Then no other thread exists that could start a third.
//! 2. The program called `begin` at its start, when it had one thread, and [`spawn`] has not been called. Threads of Rust code are
//!    started by [`spawn`] alone (`build-aux/check-sources.sh` looks for others), so any other thread belongs to a C library
//!    or a PHP extension in a zygote. Such a thread runs no code of this crate and holds none of its locks, and php-fpm's master
//!    forks in the same situation. A build with debug assertions counts the threads here as well, and panics.
//!
//! With the second way a zygote can fork without a look at `/proc`, which a container may hide. There is no token to
//! pass from `main` to the callers: a value could not prove more than these two checks at the moment of the call.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::Builder;

use super::process::Forked;
use super::{environment, process, sibling};

/// `begin` was not called: a test, or another program.
const UNKNOWN: u8 = 0;
/// `begin` was called, and `spawn` was not.
const SINGLE: u8 = 1;
/// `spawn` was called.
const THREADS: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(UNKNOWN);

/// To be called at the start of the program, before anything of this crate.
///
/// # Safety
/// The process has one thread, and code outside of this crate neither starts threads that run code of this crate nor changes
/// the environment in another thread.
pub(super) unsafe fn begin() {
    STATE.store(SINGLE, Ordering::Relaxed);
}

/// Starts a thread with a stack of that many bytes. From now on the other functions of this module refuse, in this process and in
/// its children.
///
/// # Errors
/// `EAGAIN`: the user has too many processes.
pub fn spawn(name: &str, stack: usize, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    STATE.store(THREADS, Ordering::Relaxed);
    Builder::new().name(name.to_owned()).stack_size(stack).spawn(work).map(drop)
}

/// Forks (fork(2)).
///
/// # Errors
/// `EAGAIN`, `ENOMEM`; the process has other threads.
pub fn fork() -> io::Result<Forked> {
    check()?;
    // SAFETY: `check` has proved the contract in one of the two ways that the module's documentation describes.
    unsafe { process::fork() }
}

/// Forks a child that shares root directory, working directory and umask with this process (clone(2), `CLONE_FS`). Only
/// `directory_changer` may use it, whose child makes system calls only.
///
/// # Errors
/// `EAGAIN`, `ENOMEM`; the process has other threads.
pub(super) fn fork_with_shared_directories() -> io::Result<Forked> {
    check()?;
    // SAFETY: `check` has proved that no lock is held, and the child of `directory_changer` makes system calls only.
    unsafe { process::fork_with_shared_directories() }
}

/// Forks a child of this process's parent (clone(2), `CLONE_PARENT`), without the functions of pthread_atfork(3).
///
/// # Errors
/// `EAGAIN`, `ENOMEM`; the process has other threads; others: it cannot be done here.
pub fn fork_sibling() -> io::Result<Forked> {
    check()?;
    // SAFETY: as for `fork`.
    unsafe { sibling::fork_sibling() }
}

/// Sets one variable of the environment.
///
/// # Panics
/// If the process has other threads: a mistake in this crate.
pub fn set_variable(name: &str, value: &OsStr) {
    insist();
    // SAFETY: `insist` has proved that no other thread reads the environment.
    unsafe { environment::set(name, value) };
}

/// Removes one variable of the environment.
///
/// # Panics
/// If the process has other threads: a mistake in this crate.
pub fn remove_variable(name: &str) {
    insist();
    // SAFETY: `insist` has proved that no other thread reads the environment.
    unsafe { environment::remove(name) };
}

/// Sets these variables of the environment, after removing all others if `clear`.
///
/// # Panics
/// If the process has other threads: a mistake in this crate.
pub fn replace_environment(clear: bool, variables: &[(String, String)]) {
    insist();
    // SAFETY: `insist` has proved that no other thread reads the environment.
    unsafe { environment::replace(clear, variables) };
}

fn insist() {
    let checked = check();
    assert!(checked.is_ok(), "the environment changes in a process with several threads");
}

fn check() -> io::Result<()> {
    let state = STATE.load(Ordering::Relaxed);
    let single = match state {
        SINGLE => {
            debug_assert!(matches!(count(), None | Some(1)), "a library or an extension has started a thread");
            true
        }
        _ => state == UNKNOWN && count() == Some(1),
    };
    if single { Ok(()) } else { Err(io::Error::other("the process has several threads")) }
}

/// How many threads the process has: each has a directory in `/proc/self/task`, which counts as a link to its parent.
/// `None` where `/proc` does not tell.
pub(super) fn count() -> Option<u64> {
    let links = std::fs::metadata("/proc/self/task").ok()?.nlink();
    links.checked_sub(2).filter(|threads| *threads > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_counted_and_a_fork_among_them_is_refused() {
        // The test harness has a thread of its own beside this one.
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || wait.recv());
        assert!(count().is_some_and(|threads| threads >= 2));
        assert!(fork().unwrap_err().to_string().contains("several threads"));
        assert!(std::panic::catch_unwind(|| set_variable("CGI_FPM_TEST", "1".as_ref())).is_err());
        assert!(std::env::var_os("CGI_FPM_TEST").is_none());
        drop(go);
        let _ = other.join();
    }
}

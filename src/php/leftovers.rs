//! Undoes what a script changes in the process and PHP does not undo: timers, signals, the directory, children. The next request
//! finds the process as a new worker has it.
//!
//! Each PHP function that makes such a change is replaced by one that records the call, so a request without such calls costs
//! nothing. A change that a worker has no right to undo ends the worker after the request, and its zygote forks another.

use std::ffi::{CStr, c_int};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use ext_php_rs::ffi::zend_internal_function;

use super::ffi::{compiler_globals, zend_execute_data, zval};
use super::value;
use crate::engine::Served;
use crate::sys::dispositions::Dispositions;
use crate::sys::process;
use crate::sys::working_directory::WorkingDirectory;

const TIMER: u32 = 1;
const MASK: u32 = 1 << 1;
const ACTIONS: u32 = 1 << 2;
const DIRECTORY: u32 = 1 << 3;
const CHILDREN: u32 = 1 << 4;
/// Identity, limits, priority, session: changes that cannot be undone.
const LASTING: u32 = 1 << 5;

/// Functions, and what each changes.
static WATCHED: [(&CStr, u32); 21] = [
    (c"pcntl_alarm", TIMER),
    (c"pcntl_sigprocmask", MASK),
    // PHP leaves these signals at their default action.
    (c"pcntl_signal", ACTIONS),
    (c"chdir", DIRECTORY),
    (c"pcntl_fork", CHILDREN),
    (c"pcntl_rfork", CHILDREN),
    (c"pcntl_forkx", CHILDREN),
    (c"proc_nice", LASTING),
    (c"pcntl_setpriority", LASTING),
    (c"pcntl_setcpuaffinity", LASTING),
    (c"pcntl_setns", LASTING),
    (c"pcntl_unshare", LASTING),
    (c"posix_initgroups", LASTING),
    (c"posix_setegid", LASTING),
    (c"posix_seteuid", LASTING),
    (c"posix_setgid", LASTING),
    (c"posix_setpgid", LASTING),
    (c"posix_setrlimit", LASTING),
    (c"posix_setsid", LASTING),
    (c"posix_setuid", LASTING),
    (c"chroot", LASTING),
];

type Handler = unsafe extern "C" fn(*mut zend_execute_data, *mut zval);

/// PHP's own functions, in the same order.
static ORIGINALS: [OnceLock<Handler>; WATCHED.len()] = [const { OnceLock::new() }; WATCHED.len()];
/// The changes of the current request.
static LEFT: AtomicU32 = AtomicU32::new(0);
/// The signal actions and the mask that a worker has at its start.
static BEGINNING: OnceLock<Dispositions> = OnceLock::new();

const INTERNAL_FUNCTION: u8 = 1;

/// Replaces PHP's functions. To be called once their extensions are registered and before any code that calls them is compiled;
/// again after another extension was loaded.
pub(super) fn take_over() {
    // SAFETY: CG(function_table) is PHP's, at a valid address (`ffi::host`). The value is copied.
    let table = unsafe { (*compiler_globals()).function_table };
    for ((name, _), original) in WATCHED.iter().zip(&ORIGINALS) {
        if original.get().is_some() {
            continue;
        }
        // SAFETY: the values of PHP's table of functions are pointers to them.
        let found = unsafe { value::pointer_at::<zend_internal_function>(table, name.to_bytes()) };
        let Some(function) = found else { continue };
        // SAFETY: all kinds of functions begin with a byte that tells the kind.
        if unsafe { function.cast::<u8>().read() } != INTERNAL_FUNCTION {
            continue;
        }
        // SAFETY: it is an internal function, which lives as long as its module. No script runs, so PHP does not use it now.
        let function = unsafe { &mut *function };
        if let Some(known) = function.handler.replace(note) {
            let _ = original.set(known);
        }
    }
}

/// Called in place of each of them. It owns nothing, since PHP's function may bail out.
unsafe extern "C" fn note(call: *mut zend_execute_data, result: *mut zval) {
    // SAFETY: PHP passes the frame of a call, whose function it has set.
    let function = unsafe { (*call).func };
    // SAFETY: PHP keeps the function while it runs. All kinds of functions begin with the same members.
    let common = unsafe { &raw const (*function).common };
    // SAFETY: PHP keeps the function while it runs. Those that `take_over` has replaced have a name.
    let name = unsafe { (*common).function_name };
    // SAFETY: the function's name lives as long as the function. Only the address of its bytes is taken.
    let text = unsafe { (*name).val.as_ptr() };
    // SAFETY: Zend ends the bytes of each string with a NUL.
    let name = unsafe { CStr::from_ptr(text) };
    let at = WATCHED.iter().position(|(watched, _)| *watched == name);
    let Some(((_, what), Some(original))) = at.and_then(|at| Some((WATCHED.get(at)?, ORIGINALS.get(at)?.get()))) else {
        return;
    };
    LEFT.fetch_or(*what, Ordering::Relaxed);
    // SAFETY: this is the function that PHP would have called, with the arguments that PHP passed. It may bail out; this frame owns
    // nothing.
    unsafe { original(call, result) };
}

/// At the start of a worker: saves the signal settings that each request must start with, and forgets calls of preloaded scripts.
pub(super) fn begin() {
    let _ = BEGINNING.set(Dispositions::now());
    LEFT.store(0, Ordering::Relaxed);
}

/// Before a request: unblocks signals that the request before has blocked. Not earlier: as under php-fpm, an idle worker whose
/// script has blocked SIGQUIT is killed when it is to leave.
pub(super) fn unblock() {
    if LEFT.load(Ordering::Relaxed) & MASK == 0 {
        return;
    }
    LEFT.fetch_and(!MASK, Ordering::Relaxed);
    if let Some(beginning) = BEGINNING.get() {
        beginning.restore_actions();
        beginning.restore_mask();
        // SAFETY: no request runs. PHP reads the signal actions again, and installs its handlers at the next request.
        unsafe { super::ffi::zend_signal_startup() };
    }
}

/// Cancels a timer before extensions remove their signal handlers: without a handler, SIGALRM would end the worker.
pub(super) fn stop_timer() {
    if LEFT.load(Ordering::Relaxed) & TIMER != 0 {
        process::cancel_alarm();
    }
}

/// After a request: undoes what it has changed.
pub(super) fn take_back(directory: Option<&WorkingDirectory>) -> Served {
    let left = LEFT.load(Ordering::Relaxed);
    if left == 0 {
        return Served::Ready;
    }
    // Children of scripts are reaped after each request until the last one has ended.
    let remains = if left & CHILDREN != 0 && process::reap_all() { CHILDREN } else { 0 };
    LEFT.store(remains | left & MASK, Ordering::Relaxed);
    if left & TIMER != 0 {
        process::cancel_alarm();
    }
    if let Some(directory) = directory.filter(|_| left & DIRECTORY != 0) {
        directory.enter();
    }
    if left & ACTIONS != 0
        && let Some(beginning) = BEGINNING.get()
    {
        beginning.restore_actions();
        // SAFETY: no request runs. PHP reads the signal actions again, and installs its handlers at the next request.
        unsafe { super::ffi::zend_signal_startup() };
    }
    if left & LASTING == 0 { Served::Ready } else { Served::Changed }
}

/// The callback `request_shutdown_func` of the module.
pub(super) unsafe extern "C" fn end_request(_kind: c_int, _module: c_int) -> c_int {
    stop_timer();
    super::ffi::SUCCESS
}

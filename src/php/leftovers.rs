//! What scripts change in the process beyond what PHP takes back: the next request finds the process as a worker begins with it.
//!
//! A function that changes such a thing notes that it was called, so that a request that calls none costs nothing. What can't be
//! taken back without rights that a worker hasn't, ends the worker after the request; its zygote has another at once.

use std::ffi::{CStr, c_int};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use ext_php_rs::ffi::zend_internal_function;

use super::ffi::{compiler_globals, zend_execute_data, zend_hash_str_find, zval};
use super::value;
use crate::engine::Served;
use crate::sys::dispositions::Dispositions;
use crate::sys::process;

const TIMER: u32 = 1;
const MASK: u32 = 1 << 1;
const ACTIONS: u32 = 1 << 2;
const DIRECTORY: u32 = 1 << 3;
const CHILDREN: u32 = 1 << 4;
/// Identity, limits, priority, session: nothing that could be taken back.
const LASTING: u32 = 1 << 5;

/// Functions, and what they change.
static WATCHED: [(&CStr, u32); 21] = [
    (c"pcntl_alarm", TIMER),
    (c"pcntl_sigprocmask", MASK),
    // PHP leaves them at the default action.
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

/// PHP's own, in the same order.
static ORIGINALS: [OnceLock<Handler>; WATCHED.len()] = [const { OnceLock::new() }; WATCHED.len()];
/// What the request has changed.
static LEFT: AtomicU32 = AtomicU32::new(0);
/// Signals as a worker begins with them.
static BEGINNING: OnceLock<Dispositions> = OnceLock::new();

const INTERNAL_FUNCTION: u8 = 1;

/// Stands before PHP's functions. Once their extensions are registered, and before anything compiles a call of them; again after
/// another extension was loaded.
pub(super) fn take_over() {
    // SAFETY: CG(function_table) is PHP's, at a valid address (`ffi::host`). The value is copied.
    let table = unsafe { (*compiler_globals()).function_table };
    for ((name, _), original) in WATCHED.iter().zip(&ORIGINALS) {
        // SAFETY: `table` is PHP's; the key is given with its length.
        let found = unsafe { zend_hash_str_find(table, name.as_ptr(), name.count_bytes()) };
        if found.is_null() || original.get().is_some() {
            continue;
        }
        // SAFETY: the values of PHP's table of functions are pointers to them.
        let function: *mut zend_internal_function = unsafe { value::pointer(found) };
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

/// In place of each of them. Owns nothing: PHP's function may leave by a jump.
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

/// A worker begins: signals are as they should be before each request. What preloading has left isn't a request's.
pub(super) fn begin() {
    let _ = BEGINNING.set(Dispositions::now());
    LEFT.store(0, Ordering::Relaxed);
}

/// Before a request: signals that the one before has blocked. Not earlier, because an idle worker whose script has blocked SIGQUIT is
/// killed where workers are to go, as under php-fpm.
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

/// Before extensions forget the handlers of signals: an alarm must not come when it has none.
pub(super) fn stop_timer() {
    if LEFT.load(Ordering::Relaxed) & TIMER != 0 {
        process::cancel_alarm();
    }
}

/// After a request: takes back what it has changed.
pub(super) fn take_back(directory: Option<&CStr>) -> Served {
    let left = LEFT.load(Ordering::Relaxed);
    if left == 0 {
        return Served::Ready;
    }
    // Its children are looked after until the last one has ended.
    let remains = if left & CHILDREN != 0 && process::reap_all() { CHILDREN } else { 0 };
    LEFT.store(remains | left & MASK, Ordering::Relaxed);
    if left & TIMER != 0 {
        process::cancel_alarm();
    }
    if let Some(directory) = directory.filter(|_| left & DIRECTORY != 0) {
        // SAFETY: a C string. If the directory has vanished the call fails, and the worker stays where it is, as in PHP.
        unsafe { libc::chdir(directory.as_ptr()) };
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

/// The module's `request_shutdown_func`.
pub(super) unsafe extern "C" fn end_request(_kind: c_int, _module: c_int) -> c_int {
    stop_timer();
    super::ffi::SUCCESS
}

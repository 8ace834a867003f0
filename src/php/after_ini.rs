//! The point in PHP's start after php.ini was read and before any extension is loaded or runs. Up to this point PHP reads files
//! as root, as under php-fpm. Here the process becomes the pools' user.

use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::fs::OpenOptions;
use std::os::fd::OwnedFd;

use super::ffi::{FAILURE, HashTable, RegisterExtensions, php_register_internal_extensions_func, sapi_module_struct};
use super::stdout::flush_stdout;
use super::{module, start_files};
use crate::engine::{AfterIni, AfterIniError, EngineError};
use crate::sys::fd::{self, Stream};

/// What `moment` needs when PHP calls it.
#[derive(Clone, Copy)]
struct Waiting {
    /// Lives as long as `start_module` runs.
    then: *mut AfterIni<'static>,
    /// PHP's own function, which is called after `then`.
    original: RegisterExtensions,
}

thread_local! {
    static WAITING: Cell<Option<Waiting>> = const { Cell::new(None) };
    static REFUSED: RefCell<Option<(AfterIniError, Option<OwnedFd>)>> = const { RefCell::new(None) };
    static CONFIGURATION: Cell<*mut HashTable> = const { Cell::new(std::ptr::null_mut()) };
}

/// Remembers the table that PHP is about to read php.ini into.
pub(super) fn remember(configuration: *mut HashTable) {
    CONFIGURATION.set(configuration);
}

/// Starts PHP, and calls `then` once at that point.
///
/// # Errors
/// Those of `then`; PHP did not come to that point.
pub(super) fn start_module(sapi: *mut sapi_module_struct, then: &mut AfterIni<'_>) -> Result<c_int, EngineError> {
    let place = php_register_internal_extensions_func();
    // SAFETY: the address of PHP's variable (`ffi::host`), which holds a function. PHP has not started, so it does not use it now.
    let original = unsafe { place.replace(moment) };
    let then: *mut AfterIni<'_> = then;
    // SAFETY: only the lifetime changes; the pointer is used by `moment` alone, which PHP calls before `start_module` returns.
    let then = unsafe { std::mem::transmute::<*mut AfterIni<'_>, *mut AfterIni<'static>>(then) };
    WAITING.set(Some(Waiting { then, original }));
    // SAFETY: `sapi` points to the leaked description of `lifecycle::start`, which lives as long as the process.
    let started = unsafe { module::start_module(sapi) };
    // SAFETY: `place` is the address of PHP's variable (`ffi::host`), and PHP has finished its start, which reads it.
    unsafe { place.write(original) };
    CONFIGURATION.set(std::ptr::null_mut());
    let missed = WAITING.take().is_some();
    if let Some((reason, stderr)) = REFUSED.take() {
        flush_stdout();
        if let Some(stderr) = stderr {
            fd::redirect(Stream::Stderr, stderr).map_err(EngineError::Streams)?;
        }
        return Err(reason.into());
    }
    if missed && started == super::ffi::SUCCESS {
        return Err(EngineError::AfterIniMissed);
    }
    Ok(started)
}

/// Called by PHP in place of the function that starts the compiled-in extensions, which are the first.
unsafe extern "C" fn moment() -> c_int {
    let Some(waiting) = WAITING.take() else { return FAILURE };
    let look = || start_files::look(CONFIGURATION.get());
    // SAFETY: `start_module` put it there from a live `&mut`, which it does not use before PHP returns. `WAITING` was taken, so
    // this happens once.
    let then = unsafe { &mut *waiting.then };
    if let Err(reason) = then(&look) {
        flush_stdout();
        REFUSED.set(Some((reason, hush().ok())));
        return FAILURE;
    }
    // SAFETY: this is PHP's own function, called where PHP would call it.
    unsafe { (waiting.original)() }
}

/// Redirects stdout and stderr to /dev/null, and gives a duplicate of stderr. PHP is about to print that its modules cannot be
/// started; the caller of `start_module` reports the reason instead.
fn hush() -> std::io::Result<OwnedFd> {
    let stderr = fd::dup_from(std::io::stderr(), 3)?;
    let null = OpenOptions::new().write(true).open("/dev/null")?;
    fd::redirect(Stream::Stdout, &null)?;
    fd::redirect(Stream::Stderr, &null)?;
    Ok(stderr)
}

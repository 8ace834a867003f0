//! Points in PHP's start at which the process changes its rights.
//!
//! 1. php.ini was read, and no extension is loaded or runs. Up to this point PHP reads files as root, as under php-fpm. PHP then
//!    calls `php_register_internal_extensions_func`, in whose place it finds `after_ini`.
//! 2. All extensions have started. PHP calls `zend_post_startup_cb`. opcache maps its memory and preloads scripts in its own
//!    callback, which first calls the one that it found, and so do other extensions. `chain` puts `extensions_loaded` there.
//! 3. opcache is about to preload scripts. It begins a request, so PHP calls `before_request` of our module. Without preloading, PHP
//!    has started.

use std::cell::{Cell, OnceCell, RefCell};
use std::ffi::c_int;
use std::fs::OpenOptions;
use std::os::fd::OwnedFd;

use super::ffi::{
    _zend_bailout, FAILURE, HashTable, PostStartup, RegisterExtensions, SUCCESS, php_register_internal_extensions_func,
    zend_post_startup_cb,
};
use super::start_files;
use super::stdout::flush_stdout;
use crate::engine::{EngineError, StartSteps, StepError};
use crate::sys::fd::{self, Stream};

/// What comes next, with what it needs when PHP calls it.
#[derive(Clone, Copy)]
enum Next {
    AfterIni {
        /// Live as long as `within` runs.
        steps: *mut dyn StartSteps,
        /// PHP's own function, which is called afterwards.
        original: RegisterExtensions,
    },
    ExtensionsLoaded(*mut dyn StartSteps),
    BeforeUserCode(*mut dyn StartSteps),
}

thread_local! {
    static NEXT: Cell<Option<Next>> = const { Cell::new(None) };
    static REFUSED: RefCell<Option<(StepError, Option<OwnedFd>)>> = const { RefCell::new(None) };
    static CONFIGURATION: Cell<*mut HashTable> = const { Cell::new(std::ptr::null_mut()) };
    /// The callback that `extensions_loaded` has replaced.
    static CHAINED: Cell<Option<PostStartup>> = const { Cell::new(None) };
}

/// Remembers the table that PHP is about to read php.ini into.
pub(super) fn remember(configuration: *mut HashTable) {
    CONFIGURATION.set(configuration);
}

/// Starts PHP by `start_module`, and takes each of the steps once.
///
/// # Errors
/// Those of the steps; PHP did not come to one of the points.
pub(super) fn within(start_module: impl FnOnce() -> c_int, steps: &mut dyn StartSteps) -> Result<c_int, EngineError> {
    let place = php_register_internal_extensions_func();
    // SAFETY: the address of PHP's variable (`ffi::host`), which holds a function. PHP has not started, so it does not use it now.
    let original = unsafe { place.replace(after_ini) };
    let steps: *mut (dyn StartSteps + '_) = steps;
    // SAFETY: only the lifetime changes; the pointer is used by the two functions below alone, which PHP calls before
    // `within` returns.
    let steps = unsafe { std::mem::transmute::<*mut (dyn StartSteps + '_), *mut (dyn StartSteps + 'static)>(steps) };
    NEXT.set(Some(Next::AfterIni { steps, original }));
    let started = start_module();
    // SAFETY: `place` is the address of PHP's variable (`ffi::host`), and PHP has finished its start, which reads it.
    unsafe { place.write(original) };
    CONFIGURATION.set(std::ptr::null_mut());
    let missed = NEXT.take();
    if let Some((reason, stderr)) = REFUSED.take() {
        flush_stdout();
        if let Some(stderr) = stderr {
            fd::redirect(Stream::Stderr, stderr).map_err(EngineError::Streams)?;
        }
        return Err(reason.into());
    }
    match missed {
        Some(Next::AfterIni { .. }) if started == SUCCESS => Err(EngineError::AfterIniMissed),
        Some(Next::ExtensionsLoaded(_)) if started == SUCCESS => Err(EngineError::ExtensionsLoadedMissed),
        Some(Next::BeforeUserCode(steps)) if started == SUCCESS => {
            // SAFETY: made above from a live `&mut`, which is not used elsewhere; PHP has returned.
            unsafe { &mut *steps }.before_user_code()?;
            Ok(started)
        }
        _ => Ok(started),
    }
}

/// Called by PHP in place of the function that starts the compiled-in extensions, which are the first.
unsafe extern "C" fn after_ini() -> c_int {
    let Some(Next::AfterIni { steps, original }) = NEXT.take() else { return FAILURE };
    let found = OnceCell::new();
    let files = || found.get_or_init(|| start_files::look(CONFIGURATION.get())).clone();
    // SAFETY: `within` put it there from a live `&mut`, which it does not use before PHP returns. `NEXT` was taken, so
    // this happens once.
    let steps_now = unsafe { &mut *steps };
    steps_now.ini_read(&|| start_files::all(files()));
    let taken = steps_now.after_ini(&files);
    if let Err(reason) = taken {
        refuse(reason);
        return FAILURE;
    }
    NEXT.set(Some(Next::ExtensionsLoaded(steps)));
    // SAFETY: this is PHP's own function, called where PHP would call it.
    unsafe { original() }
}

/// In the start of our module: makes PHP call `extensions_loaded`.
pub(super) fn chain() {
    // SAFETY: the address of PHP's variable (`ffi::host`). PHP reads it after all modules have started.
    CHAINED.set(unsafe { zend_post_startup_cb().replace(Some(extensions_loaded)) });
}

/// Called by PHP, or by the callback of an extension that has started after our module.
unsafe extern "C" fn extensions_loaded() -> c_int {
    let Some(Next::ExtensionsLoaded(steps)) = NEXT.take() else { return FAILURE };
    // SAFETY: `within` made it from a live `&mut`, which it does not use before PHP returns. `NEXT` was taken, so this
    // happens once.
    let taken = unsafe { &mut *steps }.extensions_loaded();
    if let Err(reason) = taken {
        refuse(reason);
        return FAILURE;
    }
    NEXT.set(Some(Next::BeforeUserCode(steps)));
    // SAFETY: the callback of an extension that has started before our module, called where PHP would call it.
    CHAINED.take().map_or(SUCCESS, |chained| unsafe { chained() })
}

/// The request startup of our module. Only that of preloading has something to do.
pub(super) unsafe extern "C" fn before_request(_kind: c_int, _module: c_int) -> c_int {
    if let Some(Next::BeforeUserCode(steps)) = NEXT.take() {
        // SAFETY: `within` made it from a live `&mut`, which it does not use before PHP returns. `NEXT` was taken, so
        // this happens once.
        let taken = unsafe { &mut *steps }.before_user_code();
        if let Err(reason) = taken {
            refuse(reason);
            // SAFETY: PHP calls this function in a `zend_try`, which makes the start of the request fail. No value of this
            // frame has a destructor: `reason` was moved. A FAILURE would end the process.
            unsafe { _zend_bailout(c"".as_ptr(), 0) };
        }
    }
    SUCCESS
}

fn refuse(reason: StepError) {
    flush_stdout();
    REFUSED.set(Some((reason, hush().ok())));
}

/// Redirects stdout and stderr to /dev/null, and gives a duplicate of stderr. PHP is about to print that its modules cannot be
/// started; the caller of `within` reports the reason instead.
fn hush() -> std::io::Result<OwnedFd> {
    let stderr = fd::dup_from(std::io::stderr(), 3)?;
    let null = OpenOptions::new().write(true).open("/dev/null")?;
    fd::redirect(Stream::Stdout, &null)?;
    fd::redirect(Stream::Stderr, &null)?;
    Ok(stderr)
}

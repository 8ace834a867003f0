//! `-v`, `-i` and `-m`: prints about PHP the same text as php-fpm.

use std::ffi::{CStr, c_char, c_int};
use std::ptr::null_mut;

use super::ffi::{
    SUCCESS, php_output_activate, php_output_deactivate, php_output_end_all, php_output_write, php_print_info,
    php_request_shutdown, php_request_startup, sapi_globals, zend_llist_element, zend_module_entry,
};
#[cfg(not(php84))]
use super::text::c_bytes;
use super::{lifecycle, value};
use crate::engine::{EngineError, EngineOptions, StartSteps};

/// `PHP_INFO_ALL`
const EVERYTHING: c_int = -1;

/// `-v`
///
/// # Errors
/// PHP does not start.
pub(super) fn print_version(options: &EngineOptions, steps: &mut dyn StartSteps) -> Result<(), EngineError> {
    lifecycle::start(options, false, steps)?;
    in_request(version)?;
    lifecycle::stop();
    Ok(())
}

/// `-i`
///
/// # Errors
/// PHP does not start.
pub(super) fn print_information(options: &EngineOptions, steps: &mut dyn StartSteps) -> Result<(), EngineError> {
    lifecycle::start(options, true, steps)?;
    in_request(|| {
        // SAFETY: a request runs.
        unsafe { php_print_info(EVERYTHING) };
    })?;
    lifecycle::stop();
    Ok(())
}

/// `-m`
///
/// # Errors
/// PHP does not start.
pub(super) fn print_modules(options: &EngineOptions, steps: &mut dyn StartSteps) -> Result<(), EngineError> {
    lifecycle::start(options, false, steps)?;
    // SAFETY: `lifecycle::start` has started PHP.
    unsafe { php_output_activate() };
    without_headers();
    print(format!("[PHP Modules]\n{}\n[Zend Modules]\n{}\n", lines(modules()), lines(extensions())).as_bytes());
    // SAFETY: `php_output_activate` was called above.
    unsafe { php_output_end_all() };
    // SAFETY: `php_output_activate` was called above.
    unsafe { php_output_deactivate() };
    lifecycle::stop();
    Ok(())
}

/// Prints in a request without a web server.
fn in_request(work: impl FnOnce()) -> Result<(), EngineError> {
    // SAFETY: `lifecycle::start` has started PHP, and no request runs.
    if unsafe { php_request_startup() } != SUCCESS {
        return Err(EngineError::Request);
    }
    without_headers();
    work();
    // SAFETY: the request started above.
    unsafe { php_request_shutdown(null_mut()) };
    Ok(())
}

/// No headers are sent for the request.
pub(super) fn without_headers() {
    // SAFETY: SG is PHP's, at a valid address (`ffi::host`). PHP is not called while it is borrowed.
    let globals = unsafe { &mut *sapi_globals() };
    globals.headers_sent = 1;
    globals.request_info.no_headers = true;
}

fn print(text: &[u8]) {
    // SAFETY: a text and its length; output is active.
    unsafe { php_output_write(text.as_ptr().cast(), text.len()) };
}

#[cfg(php84)]
fn version() {
    // SAFETY: `lifecycle::start` has started PHP, and the argument is the address of our description of the SAPI.
    unsafe { super::ffi::php_print_version(super::ffi::sapi_module()) };
}

#[cfg(not(php84))]
fn version() {
    let php = super::host::host_version();
    // SAFETY: `lifecycle::start` has started PHP, which has made this text.
    let zend = unsafe { super::ffi::get_zend_version() };
    // SAFETY: a C string that lives as long as the process.
    let zend = String::from_utf8_lossy(unsafe { c_bytes(zend) }.unwrap_or_default());
    let built = env!("CGI_FPM_BUILT");
    print(format!("PHP {php} (fpm-fcgi) (built: {built})\nCopyright (c) The PHP Group\n{zend}").as_bytes());
}

fn lines(mut names: Vec<String>) -> String {
    names.iter_mut().for_each(|name| name.push('\n'));
    names.concat()
}

/// The names of the loaded modules, sorted without case.
fn modules() -> Vec<String> {
    // SAFETY: the address of PHP's table (`ffi::host`). PHP is not called while it is borrowed.
    let table = unsafe { &*super::ffi::module_registry() };
    // SAFETY: the keys of PHP's table of modules are their names.
    let mut names: Vec<String> = unsafe { value::buckets(table) }
        .filter_map(|bucket| {
            // SAFETY: PHP has filled the bucket, so it holds a live value.
            let module: *mut zend_module_entry = unsafe { value::pointer(&raw const bucket.val) };
            // SAFETY: the values of PHP's table of modules are pointers to them.
            name(unsafe { (*module).name })
        })
        .collect();
    names.sort_by_key(|name| name.to_ascii_lowercase());
    names
}

/// The names of the loaded extensions of the engine (Zend extensions), sorted.
fn extensions() -> Vec<String> {
    let mut names = Vec::new();
    // SAFETY: PHP's list, which doesn't change while no request runs.
    let mut next: *mut zend_llist_element = unsafe { (*super::ffi::zend_extensions()).head };
    // SAFETY: null or an element of the list.
    while let Some(element) = unsafe { next.as_ref() } {
        // SAFETY: the elements hold `zend_extension`s, whose first field is the name.
        let text = unsafe { element.data.as_ptr().cast::<*const c_char>().read_unaligned() };
        names.extend(name(text));
        next = element.next;
    }
    names.sort();
    names
}

fn name(text: *const c_char) -> Option<String> {
    // SAFETY: null or a static C string of the module.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

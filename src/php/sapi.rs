//! The SAPI `fpm-fcgi`: the callbacks of PHP. Each converts its pointers, makes one call of safe code, and bails out last if it
//! must.

use std::ffi::{c_char, c_int, c_void};
use std::io::Write;

use super::context::{Context, with};
use super::ffi::{
    FAILURE, HashTable, SUCCESS, php_handle_aborted_connection, sapi_globals, sapi_headers_struct, sapi_module_struct,
};
use super::headers::{Headers, Status, write_head};
use super::module::start_module;
use super::settings::settings;
use super::text::{bytes_at, c_bytes};
use super::{body_stream, error_header, guard, log, realpath_cache, start_steps, user_ini, variables};
use crate::exchange::ClientGone;
use crate::log::messages::php as messages;

/// `SAPI_HEADER_SENT_SUCCESSFULLY`
const SENT: c_int = 1;

/// The description of the SAPI. `lifecycle::start` fills in the members for ini settings.
pub(super) fn description() -> sapi_module_struct {
    let host = super::ffi::host();
    // SAFETY: a C structure of numbers, pointers and functions, all of which may be zero.
    let empty: sapi_module_struct = unsafe { std::mem::zeroed() };
    sapi_module_struct {
        name: c"fpm-fcgi".as_ptr().cast_mut(),
        pretty_name: c"FPM/FastCGI".as_ptr().cast_mut(),
        startup: Some(start_module),
        shutdown: Some(host.php_module_shutdown_wrapper),
        activate: Some(activate),
        deactivate: Some(deactivate),
        ub_write: Some(ub_write),
        flush: Some(flush),
        getenv: Some(getenv),
        sapi_error: Some(host.zend_error),
        send_headers: Some(send_headers),
        read_post: Some(read_post),
        read_cookies: Some(read_cookies),
        register_server_variables: Some(variables::register),
        log_message: Some(log_message),
        // PHP calls it before it starts its extensions. Some, such as soap, turn errors into exceptions, so their callbacks have
        // to be in front of ours.
        ini_defaults: Some(before_extensions),
        php_ini_ignore_cwd: 1,
        ..empty
    }
}

unsafe extern "C" fn before_extensions(configuration: *mut HashTable) {
    start_steps::remember(configuration);
    error_header::take_over();
}

/// The client has gone: ends the script, unless it ignores that (`ignore_user_abort`). May bail out.
pub(super) fn aborted() {
    if guard::inside() {
        // SAFETY: EG(bailout) is set, so there is a place to jump to. The callbacks that call this own nothing with a destructor.
        unsafe { php_handle_aborted_connection() };
    }
}

unsafe extern "C" fn ub_write(text: *const c_char, length: usize) -> usize {
    // SAFETY: PHP passes a text and its length, which it does not change during the call.
    let bytes = unsafe { bytes_at(text, length) };
    match with(|context| context.exchange().map_or(Ok(()), |exchange| exchange.write(bytes))) {
        Some(Ok(())) => length,
        Some(Err(ClientGone)) => {
            aborted();
            0
        }
        None => write_stdout(bytes),
    }
}

/// Outside of requests, output goes to stdout.
fn write_stdout(bytes: &[u8]) -> usize {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_or(0, |()| bytes.len())
}

unsafe extern "C" fn flush(_context: *mut c_void) {
    // Since PHP 8.4, flush() sends the headers even if there is no output yet (GH-12385).
    #[cfg(php84)]
    if with(|_| ()).is_some() {
        // SAFETY: a request runs. The call may bail out; this frame owns nothing.
        unsafe { super::ffi::sapi_send_headers() };
    }
    let flushed = with(|context| context.exchange().map_or(Ok(()), |exchange| exchange.flush()));
    if flushed == Some(Err(ClientGone)) {
        aborted();
    }
}

unsafe extern "C" fn getenv(name: *const c_char, length: usize) -> *mut c_char {
    // SAFETY: PHP passes a name and its length, which it does not change during the call.
    let bytes = unsafe { bytes_at(name, length) };
    with(|context| context.variable(bytes)).unwrap_or_else(|| {
        // SAFETY: PHP passes a C string. A worker's environment is changed by PHP alone, on this thread.
        unsafe { libc::getenv(name) }
    })
}

unsafe extern "C" fn send_headers(headers: *mut sapi_headers_struct) -> c_int {
    let globals = sapi_globals();
    // SAFETY: SG(request_info.no_headers) is PHP's, at a valid address (`ffi::host`). The value is copied.
    if unsafe { (*globals).request_info.no_headers } {
        return SENT;
    }
    // SAFETY: PHP passes a pointer to its headers. The pointer to the first is copied.
    let first = unsafe { (*headers).headers.head };
    // SAFETY: the list is PHP's, and PHP is not called while the headers are sent.
    let list = unsafe { Headers::new(first) };
    // SAFETY: SG(sapi_headers) is PHP's, at a valid address (`ffi::host`). The value is copied.
    let known = unsafe { (*globals).sapi_headers };
    // SAFETY: null or a C string that PHP keeps until the end of the request.
    let line = unsafe { c_bytes(known.http_status_line) };
    let settings = settings();
    let status =
        Status { code: known.http_response_code, line, always: settings.nph, as_given: settings.rfc2616_headers };
    let written = with(|context| {
        context.exchange().map_or(Ok(()), |exchange| write_head(status, list, |bytes| exchange.write(bytes)))
    });
    if written == Some(Err(ClientGone)) {
        aborted();
    }
    SENT
}

unsafe extern "C" fn read_post(buffer: *mut c_char, wanted: usize) -> usize {
    let globals = sapi_globals();
    // SAFETY: SG(request_info.content_length) is PHP's, at a valid address (`ffi::host`). The value is copied.
    let length = unsafe { (*globals).request_info.content_length };
    // SAFETY: SG(read_post_bytes) is PHP's, at a valid address (`ffi::host`). The value is copied.
    let read = unsafe { (*globals).read_post_bytes };
    let left = usize::try_from(length.saturating_sub(read)).unwrap_or(0);
    // SAFETY: PHP passes a buffer of `wanted` bytes, which it does not use during the call.
    let buffer = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), wanted.min(left)) };
    let before = u64::try_from(read).unwrap_or(0);
    with(|context| context.read_body(buffer, before)).unwrap_or(0)
}

unsafe extern "C" fn read_cookies() -> *mut c_char {
    with(|context| context.variable(b"HTTP_COOKIE")).unwrap_or(std::ptr::null_mut())
}

unsafe extern "C" fn log_message(message: *const c_char, _priority: c_int) {
    // SAFETY: PHP passes a C string, which it does not change during the call.
    let message = unsafe { c_bytes(message) }.unwrap_or_default();
    log::report(&messages::php_message(message));
}

unsafe extern "C" fn activate() -> c_int {
    // SAFETY: SG(request_info.path_translated) is PHP's, at a valid address (`ffi::host`). The value is copied.
    let path = unsafe { (*sapi_globals()).request_info.path_translated };
    user_ini::apply_once();
    realpath_cache::note_open_basedir();
    if path.is_null() {
        return FAILURE;
    }
    body_stream::activate();
    SUCCESS
}

unsafe extern "C" fn deactivate() -> c_int {
    // SAFETY: SG(sapi_started) is PHP's, at a valid address (`ffi::host`). The value is copied.
    if unsafe { (*sapi_globals()).sapi_started } {
        // The script and its destructors have ended, so a client that has gone aborts nothing now.
        with(Context::finish);
    }
    SUCCESS
}

//! `fastcgi.error_header`: a header line, such as a status, for the answer of a script that ended with a fatal error.

use std::ffi::{c_int, c_uint};
use std::sync::OnceLock;

use super::context::with;
use super::ffi::{
    ErrorCallback, executor_globals, sapi_globals, sapi_header_line, sapi_header_op, zend_error_cb, zend_string,
};
use super::settings::settings;
use super::text::c_bytes;

/// `SAPI_HEADER_REPLACE`
const REPLACE: c_uint = 0;
/// The exit status of a script that ended with a fatal error.
const FATAL_STATUS: c_int = 255;
/// `E_FATAL_ERRORS` and `E_PARSE`.
const FATAL: c_int = 1 | 4 | 16 | 64 | 256 | 4096;

static PHP_CALLBACK: OnceLock<ErrorCallback> = OnceLock::new();

/// Installs a callback that sees errors before PHP's own: with `display_errors`, PHP's callback sends the headers while the
/// script runs. It is installed while PHP starts, before the extensions: those that turn errors into exceptions keep these from
/// it.
pub(super) fn take_over() {
    // SAFETY: the address of PHP's variable (`ffi::host`). The function pointer is copied.
    let original = unsafe { *zend_error_cb() };
    if PHP_CALLBACK.set(original).is_ok() {
        // SAFETY: the address of PHP's variable (`ffi::host`). PHP is starting, on this thread.
        unsafe { *zend_error_cb() = on_error };
    }
}

unsafe extern "C" fn on_error(kind: c_int, file: *mut zend_string, line: u32, message: *mut zend_string) {
    if kind & FATAL != 0 && with(|_| ()).is_some() {
        set();
    }
    if let Some(original) = PHP_CALLBACK.get() {
        // SAFETY: this is PHP's own callback, with the arguments that PHP passed. It may bail out; this frame owns nothing.
        unsafe { original(kind, file, line, message) };
    }
}

/// After a script: sets the header for an end that is no error of PHP, such as `exit(255)`.
pub(super) fn after_script() {
    // SAFETY: EG(exit_status) is PHP's, at a valid address (`ffi::host`). The value is copied.
    if unsafe { (*executor_globals()).exit_status } == FATAL_STATUS {
        set();
    }
}

fn set() {
    let line = settings().error_header;
    // SAFETY: null or a C string that the ini entry keeps until the setting changes, which no code here causes meanwhile.
    let length = unsafe { c_bytes(line) }.map_or(0, <[u8]>::len);
    // SAFETY: SG(headers_sent) is PHP's, at a valid address (`ffi::host`). The value is copied.
    if length == 0 || unsafe { (*sapi_globals()).headers_sent } != 0 {
        return;
    }
    let mut header = sapi_header_line { line, line_len: length, response_code: 0 };
    // SAFETY: a request runs. The header line is a C string with its length, which PHP copies. The call may bail out; this frame
    // owns nothing.
    unsafe { sapi_header_op(REPLACE, (&raw mut header).cast()) };
}

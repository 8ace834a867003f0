//! What takes the place of the call as well where PHP is built in debug mode: PHP's allocator, and streams.
//!
//! Such a PHP says at the end of a request who allocated what nobody has freed.

use std::ffi::{c_char, c_int, c_void};

#[cfg(not(php_debug))]
mod calls {
    use super::super::ffi::{_efree, _emalloc, _estrndup, _php_stream, _php_stream_fopen_from_fd};
    use super::{c_char, c_int, c_void};

    pub(super) unsafe fn allocate(size: usize) -> *mut c_void {
        // SAFETY: the caller's contract.
        unsafe { _emalloc(size) }
    }

    pub(super) unsafe fn free(memory: *mut c_void) {
        // SAFETY: the caller's contract.
        unsafe { _efree(memory) };
    }

    pub(super) unsafe fn copy(text: *const c_char, length: usize) -> *mut c_char {
        // SAFETY: the caller's contract.
        unsafe { _estrndup(text, length) }
    }

    pub(super) unsafe fn stream_of(descriptor: c_int, mode: *const c_char) -> *mut _php_stream {
        // SAFETY: the caller's contract.
        unsafe { _php_stream_fopen_from_fd(descriptor, mode, std::ptr::null(), false) }
    }
}

#[cfg(php_debug)]
mod calls {
    use super::super::ffi::{_efree, _emalloc, _estrndup, _php_stream, _php_stream_fopen_from_fd};
    use super::{c_char, c_int, c_void};

    /// Our place in the list of what was not freed; there is no other behind it.
    const FILE: *const c_char = c"cgi-fpm/src/php/memory.rs".as_ptr();
    const NO_FILE: *const c_char = std::ptr::null();

    pub(super) unsafe fn allocate(size: usize) -> *mut c_void {
        // SAFETY: the caller's contract; a static text.
        unsafe { _emalloc(size, FILE, line!(), NO_FILE, 0) }
    }

    pub(super) unsafe fn free(memory: *mut c_void) {
        // SAFETY: the caller's contract; a static text.
        unsafe { _efree(memory, FILE, line!(), NO_FILE, 0) };
    }

    pub(super) unsafe fn copy(text: *const c_char, length: usize) -> *mut c_char {
        // SAFETY: the caller's contract; a static text.
        unsafe { _estrndup(text, length, FILE, line!(), NO_FILE, 0) }
    }

    pub(super) unsafe fn stream_of(descriptor: c_int, mode: *const c_char) -> *mut _php_stream {
        // SAFETY: the caller's contract; a static text, and no call deeper than this one.
        unsafe { _php_stream_fopen_from_fd(descriptor, mode, std::ptr::null(), false, 0, FILE, line!(), NO_FILE, 0) }
    }
}

/// Memory of the request. May bail out.
///
/// # Safety
/// A request runs or begins; the caller owns nothing with a destructor.
pub(super) unsafe fn allocate(size: usize) -> *mut c_void {
    // SAFETY: the caller's word.
    unsafe { calls::allocate(size) }
}

/// # Safety
/// `memory` is the request's and not freed yet.
pub(super) unsafe fn free(memory: *mut c_void) {
    // SAFETY: the caller's word.
    unsafe { calls::free(memory) };
}

/// A copy of a text in the request's memory, with a NUL at its end. May bail out.
///
/// # Safety
/// `text` has `length` bytes; else as `allocate`.
pub(super) unsafe fn copy(text: *const c_char, length: usize) -> *mut c_char {
    // SAFETY: the caller's word.
    unsafe { calls::copy(text, length) }
}

/// PHP's stream over a descriptor, which it then owns; null if it can't be one.
///
/// # Safety
/// `descriptor` is open and nobody else's, `mode` a C string; a request runs or begins.
pub(super) unsafe fn stream_of(descriptor: c_int, mode: *const c_char) -> *mut super::ffi::_php_stream {
    // SAFETY: the caller's word.
    unsafe { calls::stream_of(descriptor, mode) }
}

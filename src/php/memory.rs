//! What takes the place of the call as well where PHP is built in debug mode: PHP's allocator, and streams.
//!
//! Such a PHP says at the end of a request who allocated what nobody has freed.

use std::ffi::{c_char, c_int, c_void};

#[cfg(not(php_debug))]
mod calls {
    use super::super::ffi::{_efree, _emalloc, _estrndup, _php_stream, _php_stream_fopen_from_fd};
    use super::{c_char, c_int, c_void};

    pub(super) unsafe fn allocate(size: usize) -> *mut c_void {
        // SAFETY: the caller vouches for a running request and owns nothing with a destructor.
        unsafe { _emalloc(size) }
    }

    pub(super) unsafe fn free(memory: *mut c_void) {
        // SAFETY: the caller vouches that the memory is the request's and not freed yet.
        unsafe { _efree(memory) };
    }

    pub(super) unsafe fn copy(text: *const c_char, length: usize) -> *mut c_char {
        // SAFETY: the caller vouches for `length` bytes, for a running request, and owns nothing with a destructor.
        unsafe { _estrndup(text, length) }
    }

    pub(super) unsafe fn stream_of(descriptor: c_int, mode: *const c_char) -> *mut _php_stream {
        // SAFETY: the caller vouches that the descriptor is open and no value owns it, and that `mode` is a C string.
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
        // SAFETY: the caller vouches as for `_emalloc` without debug mode. FILE is a static C string.
        unsafe { _emalloc(size, FILE, line!(), NO_FILE, 0) }
    }

    pub(super) unsafe fn free(memory: *mut c_void) {
        // SAFETY: the caller vouches as for `_efree` without debug mode. FILE is a static C string.
        unsafe { _efree(memory, FILE, line!(), NO_FILE, 0) };
    }

    pub(super) unsafe fn copy(text: *const c_char, length: usize) -> *mut c_char {
        // SAFETY: the caller vouches as for `_estrndup` without debug mode. FILE is a static C string.
        unsafe { _estrndup(text, length, FILE, line!(), NO_FILE, 0) }
    }

    pub(super) unsafe fn stream_of(descriptor: c_int, mode: *const c_char) -> *mut _php_stream {
        // SAFETY: the caller vouches as for the call without debug mode. FILE is a static C string.
        unsafe { _php_stream_fopen_from_fd(descriptor, mode, std::ptr::null(), false, 0, FILE, line!(), NO_FILE, 0) }
    }
}

/// Memory of the request. May bail out.
///
/// # Safety
/// A request runs or begins; the caller owns nothing with a destructor.
pub(super) unsafe fn allocate(size: usize) -> *mut c_void {
    // SAFETY: the caller vouches for a running request and owns nothing with a destructor, as `allocate` demands.
    unsafe { calls::allocate(size) }
}

/// # Safety
/// `memory` is the request's and not freed yet.
pub(super) unsafe fn free(memory: *mut c_void) {
    // SAFETY: the caller vouches that the memory is the request's and not freed yet, as `free` demands.
    unsafe { calls::free(memory) };
}

/// A copy of a text in the request's memory, with a NUL at its end. May bail out.
///
/// # Safety
/// `text` has `length` bytes; else as `allocate`.
pub(super) unsafe fn copy(text: *const c_char, length: usize) -> *mut c_char {
    // SAFETY: the caller vouches for the `length` bytes and for what `allocate` demands.
    unsafe { calls::copy(text, length) }
}

/// PHP's stream over a descriptor, which it then owns; null if it can't be one.
///
/// # Safety
/// `descriptor` is open and nobody else's, `mode` a C string; a request runs or begins.
pub(super) unsafe fn stream_of(descriptor: c_int, mode: *const c_char) -> *mut super::ffi::_php_stream {
    // SAFETY: the caller vouches for the descriptor, the C string and a running request, as `stream_of` demands.
    unsafe { calls::stream_of(descriptor, mode) }
}

//! PHP's allocator and streams. In debug mode these functions have further parameters, for the place of the call: such a PHP
//! prints at the end of a request where memory was allocated that was not freed.

use std::ffi::{c_char, c_int, c_void};

#[cfg(not(php_debug))]
mod calls {
    use super::super::ffi::{
        _efree, _emalloc, _estrndup, _php_stream, _php_stream_alloc, _php_stream_fopen_from_fd, _php_stream_ops,
    };
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

    pub(super) unsafe fn stream_over(operations: *const _php_stream_ops, mode: *const c_char) -> *mut _php_stream {
        // SAFETY: the caller vouches for operations that live as long as the process, and that `mode` is a C string.
        unsafe { _php_stream_alloc(operations, std::ptr::null_mut(), std::ptr::null(), mode) }
    }
}

#[cfg(php_debug)]
mod calls {
    use super::super::ffi::{
        _efree, _emalloc, _estrndup, _php_stream, _php_stream_alloc, _php_stream_fopen_from_fd, _php_stream_ops,
    };
    use super::{c_char, c_int, c_void};

    /// The file name that PHP prints for our calls.
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

    pub(super) unsafe fn stream_over(operations: *const _php_stream_ops, mode: *const c_char) -> *mut _php_stream {
        let (own, persistent_id) = (std::ptr::null_mut(), std::ptr::null());
        // SAFETY: the caller vouches as for the call without debug mode. FILE is a static C string.
        unsafe { _php_stream_alloc(operations, own, persistent_id, mode, 0, FILE, line!(), NO_FILE, 0) }
    }
}

/// Allocates memory of the request. May bail out.
///
/// # Safety
/// A request runs or begins; the caller owns nothing with a destructor.
pub(super) unsafe fn allocate(size: usize) -> *mut c_void {
    // SAFETY: the caller vouches for a running request and owns nothing with a destructor, as `allocate` demands.
    unsafe { calls::allocate(size) }
}

/// Frees memory of the request.
///
/// # Safety
/// `memory` is the request's and not freed yet.
pub(super) unsafe fn free(memory: *mut c_void) {
    // SAFETY: the caller vouches that the memory is the request's and not freed yet, as `free` demands.
    unsafe { calls::free(memory) };
}

/// Copies a text to the request's memory and appends a NUL. May bail out.
///
/// # Safety
/// `text` has `length` bytes. The rest is as for `allocate`.
pub(super) unsafe fn copy(text: *const c_char, length: usize) -> *mut c_char {
    // SAFETY: the caller vouches for the `length` bytes and for what `allocate` demands.
    unsafe { calls::copy(text, length) }
}

/// Makes a stream of PHP's from a descriptor, which the stream then owns. Null: PHP cannot make one, and the descriptor stays the
/// caller's.
///
/// # Safety
/// `descriptor` is open and no value owns it. `mode` is a C string. A request runs or begins.
pub(super) unsafe fn stream_of(descriptor: c_int, mode: *const c_char) -> *mut super::ffi::_php_stream {
    // SAFETY: the caller vouches for the descriptor, the C string and a running request, as `stream_of` demands.
    unsafe { calls::stream_of(descriptor, mode) }
}

/// Makes a stream of PHP's with operations of ours. May bail out.
///
/// # Safety
/// `operations` live as long as the process. `mode` is a C string. The rest is as for `allocate`.
pub(super) unsafe fn stream_over(
    operations: *const super::ffi::_php_stream_ops,
    mode: *const c_char,
) -> *mut super::ffi::_php_stream {
    // SAFETY: the caller vouches for the operations, the C string and a running request, as `stream_over` demands.
    unsafe { calls::stream_over(operations, mode) }
}

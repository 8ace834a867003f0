//! Registers fields and what is known about files: `safe_php_register_variable` and `register_http_post_files_variable`.

use std::ffi::c_char;

use super::ffi::{php_register_variable_ex, php_register_variable_safe, sapi_module, zval};
use super::multipart_parts as parts;
use super::multipart_progress::files_array;

/// `PARSE_POST`
const PARSE_POST: i32 = 0;

/// Passes a field through the input filter. False: PHP does not register it.
///
/// # Safety
/// `name` is a C string, `value` one of PHP's allocator that has that length, and `new_length` may be written.
pub(super) unsafe fn filter(
    name: *const c_char,
    value: *mut *mut c_char,
    length: usize,
    new_length: *mut usize,
) -> bool {
    // SAFETY: the address of PHP's variable (`ffi::host`). The function pointer is copied.
    let Some(filter) = (unsafe { (*sapi_module()).input_filter }) else { return false };
    // SAFETY: the caller vouches for all arguments.
    unsafe { filter(PARSE_POST, name, value, length, new_length) != 0 }
}

/// Registers the current field unless a file has its name.
///
/// # Safety
/// `value` has `length` bytes, and `array` is an array. May bail out; the caller owns nothing with a destructor.
pub(super) unsafe fn unless_protected(value: *const c_char, length: usize, array: *mut zval) {
    if let Some(name) = parts::unprotected_name() {
        // SAFETY: a C string of the form's; the caller vouches for the rest.
        unsafe { php_register_variable_safe(name, value, length, array) };
    }
}

/// Registers a text in `$_FILES`, under a name that `parts::set_field` has made.
pub(super) fn text_of_file(value: *const c_char, length: usize) {
    if let Some(name) = parts::unprotected_field() {
        // SAFETY: a C string of the form's, and a text of that length. `$_FILES` is an array.
        unsafe { php_register_variable_safe(name, value, length, files_array()) };
    }
}

/// Registers a value in `$_FILES`, under a name that `parts::set_field` has made; `always` even if it is protected. Takes the value
/// over.
///
/// # Safety
/// `value` is live, and needs no destructor if it is not registered. May bail out.
pub(super) unsafe fn value_of_file(value: *mut zval, always: bool) {
    let name = if always { Some(parts::field()) } else { parts::unprotected_field() };
    if let Some(name) = name {
        // SAFETY: a C string of the form's; the caller vouches for the value. `$_FILES` is an array.
        unsafe { php_register_variable_ex(name, value, files_array()) };
    }
}

//! C's texts as slices.

use std::ffi::{CStr, c_char};

/// # Safety
/// `text` must be null or point to `length` bytes that live and stay as they are while the result is used.
pub(super) unsafe fn bytes_at<'a>(text: *const c_char, length: usize) -> &'a [u8] {
    if text.is_null() {
        return &[];
    }
    // SAFETY: the caller's word.
    unsafe { std::slice::from_raw_parts(text.cast(), length) }
}

/// # Safety
/// `text` must be null or a C string that lives and stays as it is while the result is used.
pub(super) unsafe fn c_bytes<'a>(text: *const c_char) -> Option<&'a [u8]> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the caller's word.
    Some(unsafe { CStr::from_ptr(text) }.to_bytes())
}

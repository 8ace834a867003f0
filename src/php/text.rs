//! C strings as slices, and paths as C strings.

use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;

/// `MAXPATHLEN`
pub(super) const PATH_MAX: usize = 4096;

/// The bytes of a text with a length; none where the pointer is null.
///
/// # Safety
/// `text` must be null or point to `length` bytes that live and do not change while the result is used.
pub(super) unsafe fn bytes_at<'a>(text: *const c_char, length: usize) -> &'a [u8] {
    if text.is_null() {
        return &[];
    }
    // SAFETY: the pointer is not null, and the caller vouches for `length` bytes that live and do not change.
    unsafe { std::slice::from_raw_parts(text.cast(), length) }
}

/// The bytes of a C string. `None`: the pointer is null.
///
/// # Safety
/// `text` must be null or a C string that lives and does not change while the result is used.
pub(super) unsafe fn c_bytes<'a>(text: *const c_char) -> Option<&'a [u8]> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the pointer is not null, and the caller vouches for a C string that lives and does not change.
    Some(unsafe { CStr::from_ptr(text) }.to_bytes())
}

/// Calls `work` with a path as a C string on the stack, followed by at least one spare byte. `None`: the path is longer than any
/// path can be.
pub(super) fn with_path<R>(path: &[u8], work: impl FnOnce(*mut c_char) -> R) -> Option<R> {
    let mut buffer = [MaybeUninit::<u8>::uninit(); PATH_MAX + 2];
    let (text, end) = buffer.split_at_mut_checked(path.len()).filter(|(text, _)| text.len() < PATH_MAX)?;
    text.write_copy_of_slice(path);
    end.first_mut()?.write(0);
    Some(work(buffer.as_mut_ptr().cast()))
}

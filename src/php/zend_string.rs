//! Strings of PHP (`zend_string`): those that outlive a request, and those of a request.

use std::mem::offset_of;

use super::ffi::{zend_empty_string, zend_string, zval};
use super::memory;
use super::value::{self, counted_info};

/// `GC_STRING` with `IS_STR_PERSISTENT`: the memory is malloc's.
const PERSISTENT_STRING: u32 = 6 | 1 << 4 | 1 << 7;
/// `GC_STRING`
const STRING: u32 = 6 | 1 << 4;
/// `IS_STR_INTERNED`
const INTERNED: u32 = 1 << 6;
/// `IS_STR_PERMANENT`
const PERMANENT: u32 = 1 << 8;

/// Copies `bytes` to memory that does not belong to a request. Null: malloc failed.
pub(super) fn persistent(bytes: &[u8]) -> *mut zend_string {
    // SAFETY: malloc accepts any size.
    let string = unsafe { libc::malloc(size_for(bytes.len())) }.cast::<zend_string>();
    if !string.is_null() {
        // SAFETY: malloc gave that much new memory, and the length is that of the bytes.
        unsafe { write(string, PERSISTENT_STRING, bytes.as_ptr(), bytes.len()) };
    }
    string
}

/// Copies `bytes` to a string that lives as long as the process and whose references are not counted. Null: malloc failed.
pub(super) fn permanent(bytes: &[u8]) -> *mut zend_string {
    let string = persistent(bytes);
    // SAFETY: null, or a string that was just made and that nothing else uses.
    if let Some(known) = unsafe { string.as_mut() } {
        known.gc.u.type_info = PERSISTENT_STRING | INTERNED | PERMANENT;
    }
    string
}

/// The bytes of a string that lives as long as the process.
///
/// # Safety
/// It comes from `permanent`, so it is never freed or changed.
pub(super) unsafe fn bytes(string: *const zend_string) -> &'static [u8] {
    // SAFETY: the caller vouches for it.
    let length = unsafe { (*string).len };
    // SAFETY: as above. Only a pointer to the text is made.
    let text = unsafe { (&raw const (*string).val).cast::<u8>() };
    // SAFETY: as above; the text has that length.
    unsafe { std::slice::from_raw_parts(text, length) }
}

/// The size of a string with a text of that length, which a NUL follows.
fn size_for(length: usize) -> usize {
    (offset_of!(zend_string, val) + length + 1).next_multiple_of(8)
}

/// Makes new memory a string with one reference.
///
/// # Safety
/// `string` is new memory of `size_for(length)` bytes. `text` has `length` bytes, which are elsewhere.
unsafe fn write(string: *mut zend_string, type_info: u32, text: *const u8, length: usize) {
    // SAFETY: the caller vouches for the memory, which has room for the header.
    unsafe { string.cast::<u8>().write_bytes(0, offset_of!(zend_string, val)) };
    // SAFETY: new memory that nothing else uses. The header's bytes are all set, and zero is valid for each member.
    let known = unsafe { &mut *string };
    known.gc.refcount = 1;
    known.gc.u.type_info = type_info;
    known.len = length;
    let place = known.val.as_mut_ptr().cast::<u8>();
    // SAFETY: the memory has room for the header, the text and a NUL. The caller vouches for the text, which is elsewhere.
    unsafe { place.copy_from_nonoverlapping(text, length) };
    // SAFETY: the memory has room for the header, the text and a NUL, so the NUL's place is inside.
    let end = unsafe { place.add(length) };
    // SAFETY: as above.
    unsafe { end.write(0) };
}

/// Drops one reference to a string of [`persistent`].
pub(super) fn release(string: *mut zend_string) {
    if drop_reference(string) {
        // SAFETY: `persistent` got it from malloc, and that was the last reference.
        unsafe { libc::free(string.cast()) };
    }
}

/// Drops one reference. True: it was the last.
fn drop_reference(string: *mut zend_string) -> bool {
    // SAFETY: null, or a string that the caller holds a reference to. Only this thread uses it.
    let Some(known) = (unsafe { string.as_mut() }) else { return false };
    if counted_info(&known.gc) & INTERNED != 0 {
        return false;
    }
    known.gc.refcount -= 1;
    known.gc.refcount == 0
}

/// A value that holds a copy of a text in the memory of the request. May bail out.
///
/// # Safety
/// `text` has `length` bytes. A request runs or begins; the caller owns nothing with a destructor.
pub(super) unsafe fn of_request(text: *const u8, length: usize) -> zval {
    if length == 0 {
        // SAFETY: the address of PHP's variable (`ffi::host`). The pointer is copied.
        return value::of_static_string(unsafe { *zend_empty_string() });
    }
    // SAFETY: the caller vouches for a running request and owns nothing with a destructor.
    let string = unsafe { memory::allocate(size_for(length)) }.cast::<zend_string>();
    // SAFETY: PHP's allocator gave that much new memory, and never null. The caller vouches for the text.
    unsafe { write(string, STRING, text, length) };
    value::of_string(string)
}

/// A value that holds another reference to a string of a request.
pub(super) fn again(string: *mut zend_string) -> zval {
    // SAFETY: the caller holds a reference to the string. Only this thread uses it.
    let known = unsafe { &mut *string };
    if counted_info(&known.gc) & INTERNED != 0 {
        return value::of_static_string(string);
    }
    known.gc.refcount += 1;
    value::of_string(string)
}

/// Drops one reference to a string of a request.
pub(super) fn release_of_request(string: *mut zend_string) {
    if drop_reference(string) {
        // SAFETY: PHP allocated it for this request, and that was the last reference.
        unsafe { memory::free(string.cast()) };
    }
}

#[cfg(test)]
mod tests {
    use super::{persistent, release};

    #[test]
    fn a_string_has_its_bytes_and_a_nul() {
        let string = persistent(b"value");
        // SAFETY: `persistent` has just made it.
        let text = unsafe { (*string).val.as_ptr() };
        // SAFETY: `persistent` writes a NUL after the bytes.
        assert_eq!(unsafe { std::ffi::CStr::from_ptr(text) }, c"value");
        release(string);
    }
}

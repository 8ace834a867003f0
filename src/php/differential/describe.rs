//! Writes down what a reader has left: arrays, uploaded files and the stream of the body.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::ptr::null_mut;

use super::super::ffi::{_php_stream, _php_stream_read, _php_stream_seek, HashTable, zend_string, zval};
use super::super::value;
use crate::escape::line;

/// The bytes of a string.
///
/// # Safety
/// `string` is live.
pub(super) unsafe fn string_bytes<'a>(string: *const zend_string) -> &'a [u8] {
    // SAFETY: the caller vouches for a live string.
    let known = unsafe { &*string };
    // SAFETY: a string has as many bytes as it says.
    unsafe { std::slice::from_raw_parts(known.val.as_ptr().cast(), known.len) }
}

/// Writes what is in the uploaded files, and replaces their random names by numbers.
///
/// # Safety
/// `table` is null or live.
pub(super) unsafe fn describe_uploads(table: *const HashTable, out: &mut String) {
    if table.is_null() {
        out.push_str("\nno table");
        return;
    }
    // SAFETY: the caller vouches for a live table.
    let known = unsafe { &*table };
    for at in 0..known.nNumUsed as usize {
        // SAFETY: that many elements have been filled.
        let (value, key, _) = unsafe { element(known, false, at) };
        // SAFETY: an element of a live table, whose values are pointers to strings.
        let (path, same) = unsafe { (string_bytes(key), std::ptr::eq(key, value::pointer::<zend_string>(value))) };
        let content = std::fs::read(OsStr::from_bytes(path));
        *out = out.replace(&line(path), &format!("upload {at}"));
        let _ = write!(
            out,
            "\nupload {at} {same} {}",
            line(&content.unwrap_or_else(|fault| fault.to_string().into_bytes()))
        );
    }
}

/// Writes what positions and content of a stream are after some seeks.
///
/// # Safety
/// `stream` is null or live.
pub(super) unsafe fn describe_stream(stream: *mut _php_stream, out: &mut String) {
    if stream.is_null() {
        return;
    }
    // PHP's memory streams refuse what files allow, and a small body is in one on both sides.
    for (offset, from) in [(0, 2), (-3, 2), (5, 0), (70_000, 0), (1, 1), (-1, 0), (-9, 1), (3, 2), (0, 0)] {
        // SAFETY: the caller vouches for a live stream.
        let sought = unsafe { _php_stream_seek(stream, offset, from) };
        let mut buffer = [0u8; 8];
        // SAFETY: the caller vouches for a live stream; the buffer has that size.
        let read = unsafe { _php_stream_read(stream, buffer.as_mut_ptr().cast(), buffer.len()) };
        // SAFETY: the caller vouches for a live stream.
        let position = unsafe { (*stream).position };
        let _ = write!(out, "\nseek {offset} {from}: {sought} {read} {position} {buffer:?}");
    }
    // SAFETY: the caller vouches for a live stream.
    unsafe { _php_stream_seek(stream, 0, 0) };
    let mut whole = Vec::new();
    let mut buffer = [0u8; 5000];
    loop {
        // SAFETY: the caller vouches for a live stream; the buffer has that size.
        let read = unsafe { _php_stream_read(stream, buffer.as_mut_ptr().cast(), buffer.len()) };
        let Some(bytes) = usize::try_from(read).ok().filter(|&read| read > 0).and_then(|read| buffer.get(..read))
        else {
            break;
        };
        whole.extend_from_slice(bytes);
    }
    let _ = write!(out, "\ncontent {}", line(&whole));
}

/// Writes a value with everything in it, also whether strings are interned, which scripts cannot see of ext/filter's copies.
///
/// # Safety
/// `value` is live.
pub(super) unsafe fn describe(value: *const zval, interned: bool, out: &mut String) {
    // SAFETY: the caller vouches for a live value; its content is copied.
    let content = unsafe { (*value).value };
    // SAFETY: the caller vouches for a live value.
    match unsafe { value::kind(value) } {
        // SAFETY: the kind says that it is a number.
        4 => drop(write!(out, "{}", unsafe { content.lval })),
        6 => {
            // SAFETY: the kind says that it is a string.
            let bytes = unsafe { string_bytes(content.str_) };
            // SAFETY: as above.
            let interned = interned && value::counted_info(unsafe { &(*content.str_).gc }) & (1 << 6) != 0;
            let _ = write!(out, "{}'{}'", if interned { "i" } else { "" }, line(bytes));
        }
        // SAFETY: the kind says that it is an array.
        7 => unsafe { describe_array(content.arr, interned, out) },
        other => drop(write!(out, "kind {other}")),
    }
}

/// # Safety
/// `table` is live.
unsafe fn describe_array(table: *const HashTable, interned: bool, out: &mut String) {
    // SAFETY: the caller vouches for a live table.
    let known = unsafe { &*table };
    // SAFETY: every member of this union is a plain number.
    let packed = unsafe { known.u.flags } & 4 != 0;
    let _ = write!(out, "{}next {} [", if packed { "packed " } else { "" }, known.nNextFreeElement);
    for at in 0..known.nNumUsed as usize {
        // SAFETY: that many elements have been filled.
        let (value, key, number) = unsafe { element(known, packed, at) };
        // SAFETY: as above.
        if unsafe { value::kind(value) } == 0 {
            continue;
        }
        if key.is_null() {
            let _ = write!(out, "{}", number.cast_signed());
        } else {
            // SAFETY: the key of an element lives as long as it.
            let _ = write!(out, "\"{}\"", line(unsafe { string_bytes(key) }));
        }
        out.push_str(" => ");
        // SAFETY: an element of a live table.
        unsafe { describe(value, interned, out) };
        out.push_str(", ");
    }
    out.push(']');
}

/// # Safety
/// The table has an element at that place.
unsafe fn element(table: &HashTable, packed: bool, at: usize) -> (*const zval, *const zend_string, u64) {
    // SAFETY: the caller vouches for the element; a packed table since PHP 8.2 has values only.
    unsafe {
        if packed {
            (table.__bindgen_anon_1.arPacked.add(at), null_mut(), at as u64)
        } else {
            let bucket = table.__bindgen_anon_1.arData.add(at);
            (&raw const (*bucket).val, (*bucket).key, (*bucket).h)
        }
    }
}

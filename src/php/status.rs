//! `fpm_get_status()`: the state of the pool as an array with php-fpm's keys. PHP's allocations may bail out, so the context owns
//! what Rust has allocated, and the array is filled entry by entry.

use std::mem::MaybeUninit;

use super::context::with;
use super::ffi::{
    _zend_new_array_0, HashTable, add_assoc_double_ex, add_assoc_long_ex, add_assoc_stringl_ex, add_assoc_zval_ex,
    zend_hash_next_index_insert, zval,
};
use super::status_entries::{Content, Plain};
use super::value;

/// Puts the array into `result`, or false if there is no state. May bail out.
///
/// # Safety
/// A script runs; `result` is writable.
pub(super) unsafe fn into_value(result: *mut zval) {
    if with(|context| context.take_status()) != Some(true) {
        // SAFETY: the caller vouches that `result` is writable.
        return unsafe { value::set_bool(result, false) };
    }
    let entry = |at: usize| with(|context| context.status_entry(at)).flatten();
    // SAFETY: the caller vouches that `result` is writable.
    unsafe { new_array(result) };
    let mut at = 0;
    while let Some(plain) = entry(at).filter(|plain| plain.row.is_none()) {
        // SAFETY: `result` holds an array, and the context keeps the texts of its entries.
        unsafe { add(result, plain) };
        at += 1;
    }
    let (mut rows, mut row) = (MaybeUninit::<zval>::uninit(), MaybeUninit::<zval>::uninit());
    // SAFETY: a place for a value.
    unsafe { new_array(rows.as_mut_ptr()) };
    // SAFETY: both values hold arrays. The reference to the second one goes over.
    unsafe { add_assoc_zval_ex(result, c"procs".as_ptr(), 5, rows.as_mut_ptr()) };
    // SAFETY: an array was put there.
    let rows: *mut HashTable = unsafe { value::pointer(rows.as_ptr()) };
    let mut present = None;
    while let Some(plain) = entry(at) {
        if plain.row != present {
            present = plain.row;
            // SAFETY: a place for a value; what was there has gone over.
            unsafe { new_array(row.as_mut_ptr()) };
            // SAFETY: `rows` is the table of an array and `row` holds one. Its reference goes over; the table of `row` stays at its
            // address.
            unsafe { zend_hash_next_index_insert(rows, row.as_mut_ptr()) };
        }
        // SAFETY: `row` still points to the array, which `rows` holds, and the context keeps the texts.
        unsafe { add(row.as_mut_ptr(), plain) };
        at += 1;
    }
    with(|context| context.drop_status());
}

/// Puts a new array into `place`. May bail out.
///
/// # Safety
/// A script runs; `place` must be writable.
unsafe fn new_array(place: *mut zval) {
    // SAFETY: a script runs, so PHP can allocate. The call may bail out; this frame owns nothing.
    let array = unsafe { _zend_new_array_0() };
    // SAFETY: the caller vouches that `place` is writable, and the new array's reference goes over.
    unsafe { value::set_array(place, array) };
}

/// Adds an entry to an array. May bail out.
///
/// # Safety
/// `array` must hold an array, and the entry's texts must live.
unsafe fn add(array: *mut zval, entry: Plain) {
    let (key, length) = entry.key;
    match entry.content {
        // SAFETY: the caller vouches for the array and for the texts, which PHP copies.
        Content::Text(text, size) => unsafe { add_assoc_stringl_ex(array, key, length, text, size) },
        // SAFETY: the caller vouches for the array and for the key, which PHP copies.
        Content::Number(number) => unsafe { add_assoc_long_ex(array, key, length, number) },
        // SAFETY: the caller vouches for the array and for the key, which PHP copies.
        Content::Decimal(number) => unsafe { add_assoc_double_ex(array, key, length, number) },
    }
}

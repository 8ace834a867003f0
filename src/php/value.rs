//! Reads and sets PHP's values (`zval`) one word at a time.

use std::ffi::{CStr, c_int, c_void};
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use ext_php_rs::ffi::{_zval_struct__bindgen_ty_1 as TypeWord, zend_value};

use super::ffi::{Bucket, HashTable, zend_gcvt, zend_hash_str_find, zend_refcounted_h, zend_string, zval};

const IS_NULL: u32 = 1;
const IS_FALSE: u32 = 2;
const IS_TRUE: u32 = 3;
const IS_LONG: u32 = 4;
const IS_DOUBLE: u32 = 5;
const IS_STRING: u32 = 6;
const IS_ARRAY: u32 = 7;
const IS_PTR: u32 = 13;
/// `IS_STRING_EX`: with the flag of a reference-counted value.
const STRING: u32 = IS_STRING | 1 << 8;
/// `IS_ARRAY_EX`: with the flags of a reference-counted value that can be part of a cycle.
const ARRAY: u32 = IS_ARRAY | 1 << 8 | 2 << 8;

/// The type of a value: the low byte of its type word.
///
/// # Safety
/// `value` must be a live value.
pub(super) unsafe fn kind(value: *const zval) -> u32 {
    // SAFETY: the caller vouches for a live value; its type word is copied.
    let word = unsafe { (*value).u1 };
    // SAFETY: every member of this union is a plain number.
    let word = unsafe { word.type_info };
    word & 0xff
}

/// Whether it is `true`.
///
/// # Safety
/// `value` must be a live value.
pub(super) unsafe fn is_true(value: *const zval) -> bool {
    // SAFETY: the caller vouches for a live value.
    unsafe { kind(value) == IS_TRUE }
}

/// Whether it is an array.
///
/// # Safety
/// `value` must be a live value.
pub(super) unsafe fn is_array(value: *const zval) -> bool {
    // SAFETY: the caller vouches for a live value.
    unsafe { kind(value) == IS_ARRAY }
}

/// The pointer in a value. The caller compares it, or knows its type.
///
/// # Safety
/// `value` must be a live value.
pub(super) unsafe fn pointer<T>(value: *const zval) -> *mut T {
    // SAFETY: the caller vouches for a live value; its content is copied.
    let content = unsafe { (*value).value };
    // SAFETY: every member of this union has one word, so the word can be read as a pointer. It is not followed here.
    unsafe { content.ptr }.cast()
}

/// The pointer that a table has under a key. `None`: it has no such key.
///
/// # Safety
/// `table` must be a live table, whose values are pointers.
pub(super) unsafe fn pointer_at<T>(table: *const HashTable, key: &[u8]) -> Option<*mut T> {
    // SAFETY: the caller vouches for the table.
    let found = unsafe { at(table, key) };
    // SAFETY: a value of a live table.
    found.map(|found| unsafe { pointer(found) })
}

/// The value that a table has under a key. `None`: it has no such key.
///
/// # Safety
/// `table` must be a live table. The result lives as long as it does not change.
pub(super) unsafe fn at(table: *const HashTable, key: &[u8]) -> Option<*const zval> {
    // SAFETY: the caller vouches for the table; the key is given with its length.
    let found = unsafe { zend_hash_str_find(table, key.as_ptr().cast(), key.len()) };
    (!found.is_null()).then_some(found.cast_const())
}

/// The number in a value. `None`: it holds something else.
///
/// # Safety
/// `value` must be a live value.
pub(super) unsafe fn integer(value: *const zval) -> Option<i64> {
    // SAFETY: the caller vouches for a live value; its content is copied.
    let content = unsafe { (*value).value };
    // SAFETY: the caller vouches for a live value.
    let is_integer = unsafe { kind(value) == IS_LONG };
    // SAFETY: every member of this union has one word, which is a number in any case.
    is_integer.then_some(unsafe { content.lval })
}

/// A string, a number, a boolean or null as a text; nothing for other types.
///
/// # Safety
/// `value` must be a live value.
pub(super) unsafe fn plain(value: *const zval) -> Option<String> {
    // SAFETY: the caller vouches for a live value; its content is copied.
    let content = unsafe { (*value).value };
    // SAFETY: the caller vouches for a live value.
    match unsafe { kind(value) } {
        IS_NULL | IS_FALSE => Some(String::new()),
        IS_TRUE => Some("1".to_owned()),
        // SAFETY: the type says that the value holds an integer.
        IS_LONG => Some(unsafe { content.lval }.to_string()),
        // SAFETY: the type says that the value holds a floating-point number.
        IS_DOUBLE => Some(float(unsafe { content.dval })),
        // SAFETY: the caller vouches for a live value, and its type says that it holds a string.
        IS_STRING => unsafe { text(value) }?.to_str().ok().map(str::to_owned),
        _ => None,
    }
}

/// A number as PHP writes it with the default of `precision`.
fn float(number: f64) -> String {
    const PRECISION: c_int = 14;
    if !number.is_finite() {
        return number.to_string().to_ascii_uppercase();
    }
    let mut text = [0; 64];
    // SAFETY: 14 digits, sign, point, exponent and NUL have room.
    unsafe { zend_gcvt(number, PRECISION, b'.'.cast_signed(), b'E'.cast_signed(), text.as_mut_ptr()) };
    // SAFETY: it has written a C string.
    let text = unsafe { CStr::from_ptr(text.as_ptr()) };
    text.to_string_lossy().into_owned()
}

/// The buckets of a table that hold a value.
///
/// # Safety
/// `table` must be a live table with strings as keys, which does not change while the result is used.
pub(super) unsafe fn buckets(table: &HashTable) -> impl Iterator<Item = &Bucket> {
    // SAFETY: the caller vouches for string keys, so this union holds buckets.
    let first = unsafe { table.__bindgen_anon_1.arData };
    let used = if first.is_null() { 0 } else { table.nNumUsed as usize };
    // SAFETY: that many have been filled; with none there may be no memory, and any pointer will do.
    let all = unsafe { std::slice::from_raw_parts(if used == 0 { NonNull::dangling().as_ptr() } else { first }, used) };
    // SAFETY: the bucket is one that PHP has filled, so it holds a live value.
    all.iter().filter(|bucket| unsafe { kind(&raw const bucket.val) } != 0)
}

/// The key of a bucket.
///
/// # Safety
/// The bucket must be one of `buckets`.
pub(super) unsafe fn key(bucket: &Bucket) -> Option<&CStr> {
    // SAFETY: a key is null or a string that lives as long as its bucket.
    let key = unsafe { bucket.key.as_ref() }?;
    // SAFETY: Zend ends the bytes of each string with a NUL.
    Some(unsafe { CStr::from_ptr(key.val.as_ptr()) })
}

/// The string in a value.
///
/// # Safety
/// `value` must be null, or a live value that holds a string.
pub(super) unsafe fn text<'a>(value: *const zval) -> Option<&'a CStr> {
    if value.is_null() {
        return None;
    }
    // SAFETY: the value is not null, and the caller vouches that it lives.
    let string: *const zend_string = unsafe { pointer(value) };
    // SAFETY: the caller vouches that the value holds a string, which lives as long as the value.
    let string = unsafe { string.as_ref() }?;
    // SAFETY: Zend ends the bytes of each string with a NUL.
    Some(unsafe { CStr::from_ptr(string.val.as_ptr()) })
}

/// Sets a value to a boolean.
///
/// # Safety
/// `value` must be writable.
pub(super) unsafe fn set_bool(value: *mut zval, to: bool) {
    let type_info = if to { IS_TRUE } else { IS_FALSE };
    // SAFETY: the caller vouches for a writable value. Booleans have no content beside the type.
    unsafe { (*value).u1 = TypeWord { type_info } };
}

/// Sets a value to an array.
///
/// # Safety
/// `value` must be writable. `array` must be a live array, whose reference goes over to the value.
pub(super) unsafe fn set_array(value: *mut zval, array: *mut HashTable) {
    // SAFETY: the caller vouches for a writable value and gives the reference to the array.
    unsafe { (*value).value = zend_value { arr: array } };
    // SAFETY: the caller vouches for a writable value, whose content is an array now.
    unsafe { (*value).u1 = TypeWord { type_info: ARRAY } };
}

/// Makes `value` refer to the array that `other` has.
///
/// # Safety
/// `value` must be writable and have no content. `other` must be a live value that holds an array.
pub(super) unsafe fn share_array(value: *mut zval, other: *const zval) {
    // SAFETY: the caller vouches for a live value that holds an array.
    let array: *mut HashTable = unsafe { pointer(other) };
    // SAFETY: the array lives, and this is PHP's thread. Arrays of requests are counted.
    unsafe { (*array).gc.refcount += 1 };
    // SAFETY: the caller vouches for a writable value; the reference was counted above.
    unsafe { set_array(value, array) };
}

/// A value that holds a string, to which the caller's reference goes over.
pub(super) fn of_string(string: *mut zend_string) -> zval {
    of(zend_value { str_: string }, STRING)
}

/// A value that holds a string that is not counted.
pub(super) fn of_static_string(string: *mut zend_string) -> zval {
    of(zend_value { str_: string }, IS_STRING)
}

/// A value that holds a number.
pub(super) fn of_number(number: i64) -> zval {
    of(zend_value { lval: number }, IS_LONG)
}

/// A value that holds a pointer, for tables that are not a script's.
pub(super) fn of_pointer(pointer: *mut c_void) -> ManuallyDrop<zval> {
    ManuallyDrop::new(of(zend_value { ptr: pointer }, IS_PTR))
}

/// A value with that content, which its type word describes.
fn of(content: zend_value, type_info: u32) -> zval {
    // SAFETY: a C structure of numbers and pointers, all of which may be zero.
    let mut value: zval = unsafe { std::mem::zeroed() };
    value.value = content;
    value.u1 = TypeWord { type_info };
    value
}

/// The flags and the type of a reference-counted value.
pub(super) fn counted_info(head: &zend_refcounted_h) -> u32 {
    // SAFETY: every member of this union is a plain number.
    unsafe { head.u.type_info }
}

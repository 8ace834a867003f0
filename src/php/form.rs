//! Our reader of `application/x-www-form-urlencoded` forms, in the place of PHP's `php_std_post_handler`.
//!
//! It takes the body apart (`crate::form`), and lets PHP register each field, so names are treated by PHP's own rules. It does not
//! begin with a form that has anything unusual: then PHP's reader does it all, and reports what is wrong with it.

use std::ffi::{c_char, c_void};
use std::mem::ManuallyDrop;

use super::body::Body;
use super::context::{Context, with};
use super::ffi::{
    _php_stream_read, _php_stream_seek, HashTable, core_globals, host, php_register_variable_ex,
    php_register_variable_safe, php_std_post_handler, sapi_globals, zval,
};
use super::form_memory::{LEAST, MOST};
use super::input_filter::{self, Input};
use super::{body_stream, value, zend_string};
use crate::form::urlencoded::Limits;

const TRACK_VARS_POST: usize = 0;

/// A field for PHP. The pointers stay valid until the form changes: `name` is a C string, `value` has `length` bytes.
struct ForPhp {
    name: *const c_char,
    value: *const c_char,
    length: usize,
}

/// Installs our reader, in a worker. No request runs.
pub(super) fn take_over() {
    body_stream::replace_handler(body_stream::FORM, host().php_std_post_handler, handle);
}

/// Called by PHP to fill `$_POST`.
pub(super) unsafe extern "C" fn handle(kind: *mut c_char, array: *mut c_void) {
    // SAFETY: PHP passes the value of `$_POST`.
    if !unsafe { fill(array.cast()) } {
        // SAFETY: the arguments that PHP has passed, to the function that PHP would have called. It may bail out; this frame owns
        // nothing.
        unsafe { php_std_post_handler(kind, array) };
    }
}

/// Fills `$_POST`. False: PHP's reader has to do it; nothing was changed.
///
/// # Safety
/// `array` is a live value.
unsafe fn fill(array: *mut zval) -> bool {
    // SAFETY: the caller vouches for a live value.
    if body_stream::asked_by_script() || !unsafe { is_new_post(array) } {
        return false;
    }
    let Some(input) = input_filter::of_form() else { return false };
    // SAFETY: SG(request_info.request_body) is PHP's, at a valid address (`ffi::host`). The value is copied.
    let stream = unsafe { (*sapi_globals()).request_info.request_body };
    // There is none if the body was larger than `post_max_size`.
    if stream.is_null() || !(at_hand() || read_stream()) {
        return false;
    }
    // SAFETY: PG is PHP's, at a valid address (`ffi::host`). Two numbers are copied.
    let globals = unsafe { &*core_globals() };
    let limits = Limits { fields: globals.max_input_vars, nesting: globals.max_input_nesting_level };
    let Some(count) = with(|context| context.form.take_apart(limits)).flatten() else { return false };
    for at in 0..count {
        let Some(field) = with(|context| field(context, at)).flatten() else { continue };
        // SAFETY: `field` has made it of the form, which does not change before the next request. `array` is an array.
        unsafe { register(&field, input, array) };
    }
    if let Input::Kept(raw) = input
        && count > 0
    {
        // SAFETY: `array` is an array, and `raw` is ext/filter's value, which is undefined.
        unsafe { value::share_array(raw, array) };
    }
    true
}

/// Whether a value is that of `$_POST`, and still empty.
///
/// # Safety
/// `array` is a live value.
unsafe fn is_new_post(array: *const zval) -> bool {
    // SAFETY: PG(http_globals) is PHP's, at a valid address (`ffi::host`). Only a pointer to the first of its values is made.
    let post: *const zval = unsafe { &raw const (*core_globals()).http_globals[TRACK_VARS_POST] };
    // SAFETY: the caller vouches for one, the other is PHP's.
    if !unsafe { value::is_array(array) } {
        return false;
    }
    // SAFETY: the caller vouches for a live value, which is an array.
    let table: *const HashTable = unsafe { value::pointer(array) };
    // SAFETY: one of PHP's global values, which may be undefined: its pointer is only compared.
    let same = std::ptr::eq(table, unsafe { value::pointer::<HashTable>(post) });
    // SAFETY: `table` is the table of an array; its number of elements is copied.
    same && unsafe { (*table).nNumOfElements } == 0
}

/// Whether the body is in memory; reads it from its file if it has one.
fn at_hand() -> bool {
    with(|context| {
        let Context { form, body, .. } = context;
        match body {
            Body::File(file) => match usize::try_from(file.size()) {
                Ok(size @ ..=MOST) => form.fill(size, |memory| file.read_at(memory, 0)) == size,
                _ => false,
            },
            _ => form.position.is_some(),
        }
    }) == Some(true)
}

/// Copies the body from PHP's stream. False: there is none, or it is larger than it should be.
fn read_stream() -> bool {
    // SAFETY: SG is PHP's, at a valid address (`ffi::host`). PHP is not called while it is borrowed.
    let globals = unsafe { &*sapi_globals() };
    let stream = globals.request_info.request_body;
    let Ok(size @ ..=LEAST) = usize::try_from(globals.read_post_bytes) else { return false };
    if stream.is_null() {
        return false;
    }
    // SAFETY: PHP's stream of the body, which lives until the end of the request.
    if unsafe { _php_stream_seek(stream, 0, libc::SEEK_SET) } != 0 {
        return false;
    }
    let mut memory = std::ptr::null_mut();
    with(|context| {
        context.form.fill(size + 1, |space| {
            memory = space.as_mut_ptr();
            0
        })
    });
    if memory.is_null() {
        return false;
    }
    let mut length = 0;
    loop {
        // SAFETY: `length` is at most the size of the memory.
        let place = unsafe { memory.add(length) };
        // SAFETY: PHP's stream, and memory of that size, which belongs to the context and which nothing else uses meanwhile: a
        // stream of PHP's memory or of a file calls nothing of ours.
        let read = unsafe { _php_stream_read(stream, place.cast(), size + 1 - length) };
        match usize::try_from(read) {
            Ok(0) | Err(_) => break,
            Ok(more) => length += more,
        }
        if length > size {
            return false;
        }
    }
    with(|context| context.form.fill(length, |_| length)).is_some()
}

fn field(context: &mut Context, at: usize) -> Option<ForPhp> {
    let (name, value) = context.form.field(at)?;
    Some(ForPhp { name: name.as_ptr().cast(), value: value.as_ptr().cast(), length: value.len() })
}

/// Registers a field in `$_POST` as the filter does it.
///
/// # Safety
/// The field's pointers are valid, and `array` is an array. May bail out; the caller owns nothing with a destructor.
unsafe fn register(field: &ForPhp, input: Input, array: *mut zval) {
    let &ForPhp { name, value: text, length } = field;
    if matches!(input, Input::Unfiltered) {
        // SAFETY: the caller vouches for a C string, for a value of that length, which PHP copies, and for the array.
        return unsafe { php_register_variable_safe(name, text, length, array) };
    }
    // SAFETY: the caller vouches for a text of that length. A request runs.
    let value = unsafe { zend_string::of_request(text.cast(), length) };
    // A bailout would skip its destructor, and PHP takes the reference over.
    let mut value = ManuallyDrop::new(value);
    let value: *mut zval = &raw mut *value;
    // SAFETY: the caller vouches for the C string and the array. The reference to the new string goes over to PHP.
    unsafe { php_register_variable_ex(name, value, array) };
}

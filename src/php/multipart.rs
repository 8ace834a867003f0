//! Our reader of `multipart/form-data` forms, in the place of PHP's `rfc1867_post_handler`.
//!
//! PHP reads the body and writes files in pieces of 5 KB. Ours does what PHP does, step by step, but reads and writes in large pieces
//! (`crate::form::multipart`). What extensions are told about the progress of an upload stays the same.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::{null, null_mut};

use super::ffi::{
    _zend_hash_init, _zend_new_array_0, HashTable, core_globals, host, php_error_docref, rfc1867_post_handler,
    sapi_globals, zend_ini_long, zval,
};
use super::multipart_events::{Event, FormData, Size, callback, tell};
use super::multipart_parts::{self as parts, Next};
use super::multipart_progress::{E_WARNING, Progress, files_array, warn};
use super::text::c_bytes;
use super::{body_stream, memory, multipart_file, multipart_register as register, value};
use crate::form::multipart::boundary;

const FORM: &[u8] = b"multipart/form-data";

/// Installs our reader, in a worker. No request runs.
pub(super) fn take_over() {
    super::multipart_events::take_over();
    body_stream::replace_handler(FORM, host().rfc1867_post_handler, handle);
}

/// Called by PHP to fill `$_POST` and `$_FILES`. May bail out.
pub(super) unsafe extern "C" fn handle(kind: *mut c_char, array: *mut c_void) {
    // SAFETY: PHP passes the content type as a C string.
    match unsafe { begin(kind) } {
        // SAFETY: PHP passes the value of `$_POST`.
        Some(mut progress) => unsafe { read(&mut progress, array.cast()) },
        // SAFETY: the arguments that PHP has passed, to the function that PHP would have called. It may bail out; this frame owns
        // nothing.
        None => unsafe { rfc1867_post_handler(kind, array) },
    }
}

/// Gets ready for a form. `None`: PHP's reader has to read it; nothing was changed.
///
/// # Safety
/// `kind` is a C string that stays.
unsafe fn begin(kind: *const c_char) -> Option<Progress> {
    let callback = callback()?;
    if body_stream::asked_by_script() || !body_stream::fits() || setting(c"mbstring.encoding_translation") != 0 {
        return None;
    }
    // SAFETY: the caller vouches for a C string.
    let boundary = boundary::of_type(unsafe { c_bytes(kind) }?)?;
    // SAFETY: SG(request_info.content_length) is PHP's, at a valid address (`ffi::host`). The value is copied.
    let length = unsafe { (*sapi_globals()).request_info.content_length };
    // SAFETY: PG(max_input_vars) is PHP's, at a valid address (`ffi::host`). The value is copied.
    let most_fields = unsafe { (*core_globals()).max_input_vars };
    let files = integer(setting(c"max_file_uploads"));
    let most_parts = match integer(setting(c"max_multipart_body_parts")) {
        given @ 0.. => given,
        _ => integer(most_fields.wrapping_add(files)),
    };
    parts::begin(boundary, u64::try_from(length).unwrap_or(0))?;
    let shown = most_parts.to_ne_bytes();
    let most_shown = c_int::from_ne_bytes([shown[0], shown[1], shown[2], shown[3]]);
    Some(Progress {
        parts: most_parts,
        most_parts: most_shown,
        files,
        fields: 0,
        most_fields,
        max_file_size: 0,
        skip: false,
        unnamed: 0,
        callback,
        extra: null_mut(),
    })
}

fn setting(name: &std::ffi::CStr) -> i64 {
    // SAFETY: PHP has started; the name is given with its length.
    unsafe { zend_ini_long(name.as_ptr(), name.count_bytes(), 0) }
}

/// A limit as PHP keeps it: before PHP 8.4 in an `int`.
fn integer(limit: i64) -> i64 {
    if cfg!(php84) {
        return limit;
    }
    let low = limit.to_le_bytes();
    i64::from(i32::from_le_bytes([low[0], low[1], low[2], low[3]]))
}

/// # Safety
/// `array` is an array. May bail out; the caller owns nothing with a destructor.
unsafe fn read(progress: &mut Progress, array: *mut zval) {
    prepare();
    // SAFETY: SG(request_info.content_length) is PHP's, at a valid address (`ffi::host`). The value is copied.
    let length = unsafe { (*sapi_globals()).request_info.content_length };
    if tell(progress, Event::Start, &mut Size(usize::try_from(length.cast_unsigned()).unwrap_or(usize::MAX))) {
        // SAFETY: the caller vouches for an array.
        while unsafe { part(progress, array) } {}
    }
    let mut end = Size(parts::seen());
    tell(progress, Event::End, &mut end);
    parts::end();
}

/// Makes PHP's table of uploaded files, and `$_FILES`.
fn prepare() {
    // SAFETY: a request begins. The call may bail out; this frame owns nothing.
    let files = unsafe { memory::allocate(size_of::<HashTable>()) }.cast::<HashTable>();
    let destructor: unsafe extern "C" fn(*mut zval) = multipart_file::forget;
    // SAFETY: new memory for a table. The destructor is a function for its values.
    unsafe { _zend_hash_init(files, 8, destructor as *mut c_void, false) };
    // SAFETY: SG(rfc1867_uploaded_files) is PHP's, at a valid address (`ffi::host`), and this is PHP's thread.
    unsafe { (*sapi_globals()).rfc1867_uploaded_files = files };
    let place = files_array();
    // SAFETY: one of PHP's global values; its type is read.
    if !unsafe { value::is_array(place) } {
        // SAFETY: PHP's allocator.
        let array = unsafe { _zend_new_array_0() };
        // SAFETY: PHP's value, which has no content. The new array's reference goes over.
        unsafe { value::set_array(place, array) };
    }
}

/// Reads the next part. False: it was the last.
///
/// # Safety
/// As for `read`.
unsafe fn part(progress: &mut Progress, array: *mut zval) -> bool {
    let next = parts::next();
    if matches!(next, Next::Over) {
        return false;
    }
    if matches!(next, Next::Undescribed) {
        return true;
    }
    progress.parts -= 1;
    if progress.parts < 0 {
        let text = c"Multipart body parts limit exceeded %d. To increase the limit change max_multipart_body_parts in php.ini.";
        // SAFETY: a format and the number for it. The call may bail out; the frames here own nothing.
        unsafe { php_error_docref()(null(), E_WARNING, text.as_ptr(), progress.most_parts) };
        return false;
    }
    match next {
        Next::Field => {
            // SAFETY: the caller vouches for an array.
            unsafe { field(progress, array) };
            true
        }
        named => file(progress, &named),
    }
}

/// Reads a field and registers it.
///
/// # Safety
/// As for `read`.
unsafe fn field(progress: &mut Progress, array: *mut zval) {
    let (text, length) = parts::read_value();
    // SAFETY: the value is that long. The call may bail out; this frame owns nothing.
    let mut value = unsafe { memory::copy(text, length) };
    let name = parts::name();
    progress.fields = progress.fields.wrapping_add(1);
    let mut filtered = 0;
    let within = progress.fields <= progress.most_fields;
    // SAFETY: C strings; PHP allocated the value.
    if within && unsafe { register::filter(name, &raw mut value, length, &raw mut filtered) } {
        let mut new_length = filtered;
        let mut event = FormData::new(name, &raw mut value, filtered, &raw mut new_length);
        if !tell(progress, Event::FormData, &mut event) {
            // SAFETY: PHP's allocator made it.
            return unsafe { memory::free(value.cast()) };
        }
        // SAFETY: the filter has left a value of that length; `array` is an array.
        unsafe { register::unless_protected(value, new_length, array) };
    } else {
        if progress.fields == progress.most_fields.wrapping_add(1) {
            let text = c"Input variables exceeded %ld. To increase the limit change max_input_vars in php.ini.";
            // SAFETY: a format and the number for it. The call may bail out; the frames here own nothing.
            unsafe { php_error_docref()(null(), E_WARNING, text.as_ptr(), progress.most_fields) };
        }
        let mut event = FormData::new(name, &raw mut value, length, null_mut());
        tell(progress, Event::FormData, &mut event);
    }
    if parts::is_max_file_size() {
        // SAFETY: the value is a C string.
        progress.max_file_size = unsafe { libc::strtoll(value, null_mut(), 10) };
    }
    // SAFETY: PHP's allocator made it.
    unsafe { memory::free(value.cast()) };
}

/// Reads a file. False: the form is garbled.
fn file(progress: &mut Progress, next: &Next) -> bool {
    // SAFETY: PG(file_uploads) is PHP's, at a valid address (`ffi::host`). The value is copied.
    if !unsafe { (*core_globals()).file_uploads } {
        progress.skip = true;
    } else if progress.files <= 0 {
        progress.skip = true;
        if progress.files == 0 {
            progress.files -= 1;
            warn(c"Maximum number of allowable file uploads has been exceeded");
        }
    }
    match next {
        Next::Nameless => {
            warn(c"File Upload Mime headers garbled");
            return false;
        }
        Next::Unnamed => {
            parts::set_name(progress.unnamed);
            progress.unnamed = progress.unnamed.wrapping_add(1);
        }
        _ => {}
    }
    progress.skip |= !parts::may_be_file();
    if !progress.skip {
        multipart_file::read(progress);
    }
    true
}

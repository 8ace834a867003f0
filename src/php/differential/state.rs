//! What a comparison of readers changes in PHP, and puts back.

use std::ffi::{CStr, c_char, c_int, c_uint};
use std::mem::replace;
use std::ptr::null_mut;

use super::super::body::Body;
use super::super::context::with;
use super::super::ffi::{
    self, _php_stream_free, _zend_new_array_0, ErrorCallback, HashTable, Rfc1867Callback, core_globals,
    destroy_uploaded_files_hash, executor_globals, php_rfc1867_callback, sapi_globals, sapi_module, sapi_request_info,
    zend_error_cb, zend_ini_entry, zend_string, zval, zval_ptr_dtor,
};
use super::super::{ini, input_filter, multipart_events, value, zend_string as zend_strings};
use super::Case;
use super::events::{self, record, tell};

/// `sapi_module.input_filter`
type Filter = unsafe extern "C" fn(c_int, *const c_char, *mut *mut c_char, usize, *mut usize) -> c_uint;

/// Settings that have no variable of their own.
const SETTINGS: [&CStr; 2] = [c"max_file_uploads", c"max_multipart_body_parts"];

fn setting(name: &CStr) -> *mut zend_ini_entry {
    ini::find(name).unwrap_or(null_mut())
}

fn undefined() -> zval {
    // SAFETY: a C structure of numbers and pointers, all of which may be zero: the undefined value.
    unsafe { std::mem::zeroed() }
}

/// What a comparison changes in PHP.
pub(super) struct Saved {
    info: sapi_request_info,
    read: (i64, u8),
    limits: (i64, i64, u8),
    post: zval,
    pub(super) raw: Option<(*mut zval, zval)>,
    callback: ErrorCallback,
    filter: Option<Filter>,
    pub(super) numbers: i64,
    body: Body,
    files: zval,
    table: *mut HashTable,
    uploads: (i64, bool),
    told: (Option<Rfc1867Callback>, usize),
    settings: [*mut zend_string; 2],
}

impl Saved {
    /// Takes it, and leaves undefined arrays in place.
    pub(super) fn take() -> Self {
        let (sapi, core) = (sapi_globals(), core_globals());
        // SAFETY: see the head of `mod.rs`.
        unsafe {
            Self {
                info: (*sapi).request_info,
                read: ((*sapi).read_post_bytes, (*sapi).post_read),
                limits: ((*core).max_input_vars, (*core).max_input_nesting_level, (*core).display_errors),
                post: replace(&mut (*core).http_globals[0], undefined()),
                raw: input_filter::known().map(|(_, place)| (place, place.replace(undefined()))),
                callback: zend_error_cb().replace(record),
                filter: (*sapi_module()).input_filter,
                numbers: (*executor_globals()).regular_list.nNextFreeElement,
                files: replace(&mut (*core).http_globals[5], undefined()),
                table: replace(&mut (*sapi).rfc1867_uploaded_files, null_mut()),
                uploads: ((*core).upload_max_filesize, (*core).file_uploads),
                told: (*php_rfc1867_callback(), multipart_events::trust(tell as *const () as usize)),
                settings: SETTINGS.map(|name| (*setting(name)).value),
                body: with(|context| replace(&mut context.body, Body::Stream)).unwrap_or_default(),
            }
        }
    }

    /// Frees what the reader has made and puts everything back.
    pub(super) fn restore(self) {
        let (sapi, core) = (sapi_globals(), core_globals());
        // SAFETY: see the head of `mod.rs`.
        unsafe {
            let stream = (*sapi).request_info.request_body;
            if !stream.is_null() {
                _php_stream_free(stream, 3);
            }
            zval_ptr_dtor(&raw mut (*core).http_globals[0]);
            if !(*sapi).rfc1867_uploaded_files.is_null() {
                destroy_uploaded_files_hash();
            }
            (*sapi).rfc1867_uploaded_files = self.table;
            zval_ptr_dtor(&raw mut (*core).http_globals[5]);
            (&raw mut (*core).http_globals[5]).write(self.files);
            ((*core).upload_max_filesize, (*core).file_uploads) = self.uploads;
            *php_rfc1867_callback() = self.told.0;
            multipart_events::trust(self.told.1);
            for (name, value) in SETTINGS.into_iter().zip(self.settings) {
                zend_strings::release(replace(&mut (*setting(name)).value, value));
            }
            (&raw mut (*core).http_globals[0]).write(self.post);
            if let Some((place, raw)) = self.raw {
                zval_ptr_dtor(place);
                place.write(raw);
            }
            zend_error_cb().write(self.callback);
            (*sapi_module()).input_filter = self.filter;
            (*sapi).request_info = self.info;
            ((*sapi).read_post_bytes, (*sapi).post_read) = self.read;
            ((*core).max_input_vars, (*core).max_input_nesting_level, (*core).display_errors) = self.limits;
            (*executor_globals()).regular_list.nNextFreeElement = self.numbers;
        }
        with(|context| {
            context.body = self.body;
            context.form.leave();
        });
    }
}

/// Sets PHP up for a body.
pub(super) fn arrange(case: &Case) {
    events::begin(case.refused);
    let (sapi, core) = (sapi_globals(), core_globals());
    with(|context| context.body = Body::Memory(case.body.clone()));
    let limits = [case.max_file_uploads.to_string(), case.max_parts.to_string()];
    // SAFETY: see the head of `mod.rs`.
    unsafe {
        for (name, value) in SETTINGS.into_iter().zip(limits) {
            (*setting(name)).value = zend_strings::persistent(value.as_bytes());
        }
        ((*core).upload_max_filesize, (*core).file_uploads) = (case.upload_max_filesize, case.file_uploads);
        *php_rfc1867_callback() = case.callback.then_some(tell as Rfc1867Callback);
        if !case.filtered {
            (*sapi_module()).input_filter = Some(ffi::host().php_default_input_filter);
        }
        (*sapi).request_info.content_length = i64::try_from(case.body.len()).unwrap_or(0);
        (*sapi).request_info.request_body = null_mut();
        (*sapi).read_post_bytes = 0;
        (*sapi).post_read = 0;
        (*core).max_input_vars = case.max_input_vars;
        (*core).max_input_nesting_level = case.nesting;
        (*core).display_errors = case.display_errors;
        value::set_array(&raw mut (*core).http_globals[0], _zend_new_array_0());
    }
}

//! Functions for scripts: `fastcgi_finish_request`, `apache_request_headers`, `getallheaders`, `fpm_get_status`.

use std::ffi::{CStr, c_uint};

use super::context::{Context, with};
use super::ffi::{
    _zend_new_array_0, php_header, php_output_end_all, sapi_add_request_header, zend_execute_data, zend_function_entry,
    zend_internal_arg_info, zend_wrong_parameters_none_error, zval,
};
use super::{status, value, variables};
type Handler = unsafe extern "C" fn(*mut zend_execute_data, *mut zval);

const MAY_BE_FALSE: u32 = 4;
const MAY_BE_BOOL: u32 = 4 | 8;
const MAY_BE_ARRAY: u32 = 1 << 7;

static FUNCTIONS: [(&CStr, Handler, u32); 4] = [
    (c"fastcgi_finish_request", finish_request, MAY_BE_BOOL),
    (c"apache_request_headers", request_headers, MAY_BE_ARRAY),
    (c"getallheaders", request_headers, MAY_BE_ARRAY),
    (c"fpm_get_status", get_status, MAY_BE_ARRAY | MAY_BE_FALSE),
];

/// The table for PHP, which ends in an empty entry. It is made once and lives as long as the process.
pub(super) fn table() -> *const zend_function_entry {
    let mut entries: Vec<zend_function_entry> =
        FUNCTIONS.iter().map(|&(name, handler, result)| entry(name, handler, result)).collect();
    #[cfg(feature = "differential")]
    entries.push(entry(c"cgi_fpm_compare_forms", super::differential::compare, MAY_BE_BOOL));
    // SAFETY: a C structure of numbers and pointers, all of which may be zero: the end of the list.
    entries.push(unsafe { std::mem::zeroed() });
    Vec::leak(entries).as_ptr()
}

/// The entry of a function without parameters.
fn entry(name: &'static CStr, handler: Handler, result: u32) -> zend_function_entry {
    // SAFETY: a C structure of numbers and pointers, all of which may be zero.
    let mut info: zend_internal_arg_info = unsafe { std::mem::zeroed() };
    // The first argument entry describes the result. In place of its name it has the number of required parameters: 0.
    info.type_.type_mask = result;
    // SAFETY: a C structure of numbers, pointers and functions, all of which may be zero.
    let mut entry: zend_function_entry = unsafe { std::mem::zeroed() };
    entry.fname = name.as_ptr();
    entry.handler = Some(handler);
    entry.arg_info = Box::leak(Box::new(info));
    entry
}

/// Whether the call has no arguments. If it has, throws PHP's error.
unsafe fn no_arguments(call: *mut zend_execute_data) -> bool {
    // SAFETY: PHP passes the frame of the call.
    let count = unsafe { (*call).This.u2 };
    // SAFETY: a frame keeps the number of arguments there.
    let none = unsafe { count.num_args } == 0;
    if !none {
        // SAFETY: an internal function runs.
        unsafe { zend_wrong_parameters_none_error() };
    }
    none
}

/// `fastcgi_finish_request`: ends the answer, and the script goes on without a client. False: it was ended before.
unsafe extern "C" fn finish_request(call: *mut zend_execute_data, result: *mut zval) {
    // SAFETY: PHP passes the frame of the call.
    if !unsafe { no_arguments(call) } {
        return;
    }
    let open = with(|context| context.exchange().is_some_and(|exchange| !exchange.finished())).unwrap_or(false);
    if open {
        // SAFETY: a script runs, so output is active; may run the script's output callbacks, nothing is owned here.
        unsafe { php_output_end_all() };
        // SAFETY: a script runs. The call may bail out or run callbacks of the script; this frame owns nothing.
        unsafe { php_header() };
        with(Context::finish_early);
    }
    // SAFETY: PHP passes a place for the result, which may be written.
    unsafe { value::set_bool(result, open) };
}

/// `getallheaders`, `apache_request_headers`: the headers of the request by name.
unsafe extern "C" fn request_headers(call: *mut zend_execute_data, result: *mut zval) {
    // SAFETY: PHP passes the frame of the call.
    if !unsafe { no_arguments(call) } {
        return;
    }
    // SAFETY: PHP's allocator.
    let array = unsafe { _zend_new_array_0() };
    // SAFETY: PHP passes a place for the result, which may be written. The new array's reference goes over.
    unsafe { value::set_array(result, array) };
    variables::each(|variable| {
        let name_length = c_uint::try_from(variable.name_length()).unwrap_or(0);
        let length = c_uint::try_from(variable.whole_length).unwrap_or(0);
        // SAFETY: name and value are C strings with their lengths, which PHP copies. `result` holds an array.
        unsafe { sapi_add_request_header(variable.name, name_length, variable.value, length, result.cast()) };
    });
}

/// `fpm_get_status`: the state of the pool. False: there is none.
unsafe extern "C" fn get_status(call: *mut zend_execute_data, result: *mut zval) {
    // SAFETY: PHP passes the frame of the call.
    if unsafe { no_arguments(call) } {
        // SAFETY: a script runs; Zend passes a place for the result.
        unsafe { status::into_value(result) };
    }
}

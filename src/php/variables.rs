//! `$_SERVER`, `$_ENV` and `getenv()`: the environment of the process, then the variables of the request, in php-fpm's order.

use std::ffi::{c_char, c_int};
use std::sync::OnceLock;

use super::context::{Variable, with};
use super::ffi::{
    self, EnvironmentImport, HashTable, core_globals, php_register_variable_safe, sapi_globals, sapi_module,
    zend_array_destroy, zend_array_dup, zval,
};
use super::memory;
use super::settings::settings;
use super::text::c_bytes;
use super::value;

const TRACK_VARS_SERVER: usize = 3;
const TRACK_VARS_ENV: usize = 4;
/// Arguments of an input filter: `PARSE_ENV`, `PARSE_SERVER`.
const PARSE_ENV: c_int = 4;
const PARSE_SERVER: c_int = 5;

static PHP_IMPORT: OnceLock<EnvironmentImport> = OnceLock::new();

/// Installs our functions for the environment, in a worker. Code that runs in the zygote sees the environment of the process only.
pub(super) fn take_over() {
    // SAFETY: the address of PHP's variable (`ffi::host`). The function pointer is copied.
    let original = unsafe { *ffi::php_import_environment_variables() };
    if PHP_IMPORT.set(original).is_err() {
        return;
    }
    // SAFETY: the address of PHP's variable (`ffi::host`). No request runs, so PHP does not call it now.
    unsafe { *ffi::php_import_environment_variables() = import };
    // SAFETY: the address of PHP's variable (`ffi::host`). No request runs, so PHP does not call it now.
    unsafe { *ffi::php_load_environment_variables() = load };
}

/// Adds the environment of the process, by PHP's own function.
unsafe fn import_process(array: *mut zval) {
    let Some(import) = PHP_IMPORT.get() else { return };
    // SAFETY: PHP passes an array, and this is PHP's function to fill it.
    unsafe { import(array) };
}

/// `getenv()` without a name: all variables, without the input filter.
unsafe extern "C" fn load(array: *mut zval) {
    // SAFETY: PHP passes an array that its own function may fill.
    unsafe { import_process(array) };
    each(|variable| {
        // SAFETY: the name is a C string of the request, the value that long; `array` is an array.
        unsafe { php_register_variable_safe(variable.name, variable.value, variable.whole_length, array) };
    });
}

/// `$_ENV`, and the first part of `$_SERVER`. The second of them that PHP makes is a copy of the first.
unsafe extern "C" fn import(array: *mut zval) {
    for other in [TRACK_VARS_ENV, TRACK_VARS_SERVER] {
        // SAFETY: PHP passes an array, which is one of its global ones or a new one.
        if unsafe { copy_from(other, array) } {
            return;
        }
    }
    // SAFETY: PHP passes an array that its own function may fill.
    unsafe { import_process(array) };
    // SAFETY: PHP passes an array. The other one may be undefined, so only its pointer is compared.
    let kind = if unsafe { same_array(TRACK_VARS_ENV, array) } { PARSE_ENV } else { PARSE_SERVER };
    each(|variable| {
        // SAFETY: name and value are C strings of the request, `array` is an array.
        unsafe { register_filtered(kind, variable.name, variable.value, variable.length(), array) };
    });
}

fn tracked(which: usize) -> *mut zval {
    // SAFETY: PG(http_globals) is PHP's, at a valid address (`ffi::host`). Only a pointer to it is made.
    let first = unsafe { &raw mut (*core_globals()).http_globals };
    // SAFETY: `which` is one of the two constants, there are six such arrays.
    unsafe { first.cast::<zval>().add(which) }
}

/// Whether `array` is one of the global arrays.
unsafe fn same_array(which: usize, array: *mut zval) -> bool {
    // SAFETY: `array` is a value that PHP passes; its pointer is copied.
    let this: *mut HashTable = unsafe { value::pointer(array) };
    // SAFETY: one of PHP's global values, which may be undefined: its pointer is only compared.
    this == unsafe { value::pointer(tracked(which)) }
}

/// Replaces `array` by a copy of a global array, if that is filled already.
unsafe fn copy_from(which: usize, array: *mut zval) -> bool {
    let other = tracked(which);
    // SAFETY: `tracked` gives one of PHP's global values, and `array` is a value that PHP passes.
    if unsafe { same_array(which, array) } {
        return false;
    }
    // SAFETY: `other` is one of PHP's global values; its type is read.
    if !unsafe { value::is_array(other) } {
        return false;
    }
    // SAFETY: `other` is one of PHP's global values, and an array, as was just checked.
    let source: *mut HashTable = unsafe { value::pointer(other) };
    // SAFETY: `source` is the table of an array; its number of elements is copied.
    if unsafe { (*source).nNumOfElements } == 0 {
        return false;
    }
    // SAFETY: `array` is a value that PHP passes; its pointer is copied.
    let old = unsafe { value::pointer(array) };
    // SAFETY: `array` has just been made, so this is the only reference to its table.
    unsafe { zend_array_destroy(old) };
    // SAFETY: `source` is the table of an array that PHP has filled.
    let copy = unsafe { zend_array_dup(source) };
    // SAFETY: PHP passes a value that may be set. Its former table is gone, and the copy's reference goes over.
    unsafe { value::set_array(array, copy) };
    true
}

/// Calls `work` with each variable of the request, outside of `context::with`, because `work` calls PHP.
pub(super) fn each(mut work: impl FnMut(Variable)) {
    let places = with(|context| context.env.places()).unwrap_or(0);
    for place in 0..places {
        if let Some(variable) = with(|context| context.nth(place)).flatten() {
            work(variable);
        }
    }
}

/// Registers a variable if the input filter accepts it.
unsafe fn register_filtered(kind: c_int, name: *const c_char, value: *mut c_char, length: usize, array: *mut zval) {
    let mut value = value;
    let mut new_length = length;
    // SAFETY: the address of PHP's variable (`ffi::host`), which points to our description of the SAPI. The function pointer is
    // copied.
    let Some(filter) = (unsafe { (*sapi_module()).input_filter }) else { return };
    // SAFETY: the filter's contract: C strings, lengths, and places for the results.
    if unsafe { filter(kind, name, &raw mut value, length, &raw mut new_length) } != 0 {
        // SAFETY: the filter has left a C string of that length in `value`; `array` is an array.
        unsafe { php_register_variable_safe(name, value, new_length, array) };
    }
}

/// The SAPI callback that fills `$_SERVER`.
pub(super) unsafe extern "C" fn register(array: *mut zval) {
    // SAFETY: the address of PHP's variable (`ffi::host`). The function pointer is copied.
    let import = unsafe { *ffi::php_import_environment_variables() };
    // SAFETY: PHP passes an array, and this is PHP's function to fill it.
    unsafe { import(array) };
    // SAFETY: SG(request_info.request_uri) is PHP's, at a valid address (`ffi::host`). The value is copied.
    let uri = unsafe { (*sapi_globals()).request_info.request_uri };
    // SAFETY: null or a C string in the request's variables, which stay until the next request.
    let name = unsafe { c_bytes(uri) }.unwrap_or_default();
    let info = if settings().fix_pathinfo {
        let info = with(|context| context.variable(b"PATH_INFO")).unwrap_or(std::ptr::null_mut());
        // SAFETY: null or a C string in the request's variables, which stay until the next request.
        unsafe { c_bytes(info) }.unwrap_or_default()
    } else {
        &[]
    };
    let total = name.len() + info.len();
    // SAFETY: a request runs. The call may bail out; this frame owns nothing.
    let php_self = unsafe { memory::allocate(total + 1) }.cast::<u8>();
    // SAFETY: `php_self` is new memory of that size, which nothing else uses. Every byte is written before it is read.
    let bytes = unsafe { std::slice::from_raw_parts_mut(php_self, total + 1) };
    for (to, from) in bytes.iter_mut().zip(name.iter().chain(info).chain(&[0])) {
        *to = *from;
    }
    // SAFETY: `php_self` is a C string of that length, which PHP copies, and `array` is an array.
    unsafe { register_filtered(PARSE_SERVER, c"PHP_SELF".as_ptr(), php_self.cast(), total, array) };
    // SAFETY: allocated above; PHP has copied the text.
    unsafe { memory::free(php_self.cast()) };
}

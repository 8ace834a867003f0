//! `$_SERVER`, `$_ENV` and `getenv()`: the environment of the process, then the variables of the request, in php-fpm's order.

use std::ffi::{c_char, c_int};
use std::mem::ManuallyDrop;
use std::sync::OnceLock;

use super::context::{Variable, with};
use super::ffi::{
    self, _zend_new_array_0, EnvironmentImport, HashTable, core_globals, php_register_variable_safe, sapi_globals,
    sapi_module, zend_array_destroy, zend_array_dup, zend_hash_extend, zend_hash_update, zval,
};
use super::input_filter::{self, Input};
use super::settings::settings;
use super::text::c_bytes;
use super::{memory, server_keys, value, zend_string};

/// Elements that PHP adds to `$_SERVER`: `PHP_SELF`, `REQUEST_TIME_FLOAT`, `REQUEST_TIME`.
const ADDED: u32 = 3;

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
    if unsafe { same_array(TRACK_VARS_ENV, array) } {
        each(|variable| {
            // SAFETY: name and value are C strings of the request, `array` is an array.
            unsafe { register_filtered(PARSE_ENV, variable.name, variable.value, variable.length(), array) };
        });
        return;
    }
    // SAFETY: PHP passes an array.
    let quick = unsafe { Quick::begin(array) };
    each(|variable| {
        // SAFETY: name and value are C strings of the request, `array` is the array of `quick`.
        let done = quick.as_ref().is_some_and(|quick| unsafe { quick.register(variable) });
        if !done {
            // SAFETY: name and value are C strings of the request, `array` is an array.
            unsafe { register_filtered(PARSE_SERVER, variable.name, variable.value, variable.length(), array) };
        }
    });
}

/// Registers variables in `$_SERVER` as the input filter and `php_register_variable_ex` do, with keys that are kept.
struct Quick {
    server: *mut HashTable,
    /// The array of ext/filter.
    raw: Option<*mut HashTable>,
}

impl Quick {
    /// `None`: PHP has to do it.
    ///
    /// # Safety
    /// `array` is a live value that holds an array. A request runs; the caller owns nothing with a destructor.
    unsafe fn begin(array: *mut zval) -> Option<Self> {
        // SAFETY: the caller vouches for a live value.
        if !unsafe { same_array(TRACK_VARS_SERVER, array) } {
            return None;
        }
        let input = input_filter::of_server()?;
        // SAFETY: the caller vouches for an array.
        let server: *mut HashTable = unsafe { value::pointer(array) };
        let places = with(|context| context.env.places()).and_then(|places| u32::try_from(places).ok()).unwrap_or(0);
        // SAFETY: `server` is the table of an array; its number of elements is copied.
        let size = unsafe { (*server).nNumOfElements } + places + ADDED;
        // SAFETY: the table of an array whose keys are strings, so that it is no packed one. It grows at once, and not by several
        // steps. The call may bail out; the caller owns nothing.
        unsafe { zend_hash_extend(server, size, false) };
        let raw = match input {
            Input::Unfiltered => None,
            Input::Kept(value) => {
                // SAFETY: a request runs. The call may bail out; the caller owns nothing.
                let table = unsafe { _zend_new_array_0() };
                // SAFETY: as above, with a new table.
                unsafe { zend_hash_extend(table, places + ADDED, false) };
                // SAFETY: ext/filter's value, which is undefined. The reference to the new array goes over to it.
                unsafe { value::set_array(value, table) };
                Some(table)
            }
        };
        Some(Self { server, raw })
    }

    /// False: PHP has to do it.
    ///
    /// # Safety
    /// The variable's pointers are valid, and both arrays live. May bail out; the caller owns nothing with a destructor.
    unsafe fn register(&self, variable: Variable) -> bool {
        // SAFETY: the caller vouches for a C string.
        let Some(key) = unsafe { c_bytes(variable.name) }.and_then(server_keys::find) else { return false };
        // SAFETY: the caller vouches for the text. A request runs.
        let text = unsafe { zend_string::of_request(variable.value.cast(), variable.length()) };
        // A bailout would skip the destructor, and PHP takes the references over.
        let mut text = ManuallyDrop::new(text);
        if let Some(raw) = self.raw {
            // SAFETY: it holds a string.
            let mut other = ManuallyDrop::new(zend_string::again(unsafe { value::pointer(&raw const *text) }));
            // SAFETY: the array lives, and the key lives as long as the process. The second reference goes over to the array.
            unsafe { zend_hash_update(raw, key, &raw mut *other) };
        }
        // SAFETY: as above, with the first reference.
        unsafe { zend_hash_update(self.server, key, &raw mut *text) };
        true
    }
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

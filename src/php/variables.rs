//! `$_SERVER`, `$_ENV` and `getenv()`: the process environment, then the request's variables, in php-fpm's order.

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
/// What an input filter is told: `PARSE_ENV`, `PARSE_SERVER`.
const PARSE_ENV: c_int = 4;
const PARSE_SERVER: c_int = 5;

static PHP_IMPORT: OnceLock<EnvironmentImport> = OnceLock::new();

/// Makes PHP ask us for the environment. In a worker: the zygote's own code sees the process environment only.
pub(super) fn take_over() {
    // SAFETY: a function pointer of PHP's.
    let original = unsafe { *ffi::php_import_environment_variables() };
    if PHP_IMPORT.set(original).is_err() {
        return;
    }
    // SAFETY: PHP's variable; no request runs.
    unsafe { *ffi::php_import_environment_variables() = import };
    // SAFETY: as above.
    unsafe { *ffi::php_load_environment_variables() = load };
}

/// The process environment, by PHP's own function.
unsafe fn import_process(array: *mut zval) {
    let Some(import) = PHP_IMPORT.get() else { return };
    // SAFETY: `array` is an array (contract).
    unsafe { import(array) };
}

/// `getenv()` without a name: everything, unfiltered.
unsafe extern "C" fn load(array: *mut zval) {
    // SAFETY: PHP passes an array.
    unsafe { import_process(array) };
    each(|variable| {
        // SAFETY: the name is a C string of the request, the value that long; `array` is an array.
        unsafe { php_register_variable_safe(variable.name, variable.value, variable.whole_length, array) };
    });
}

/// `$_ENV`, and the base of `$_SERVER`. Whichever comes second is a copy of the first.
unsafe extern "C" fn import(array: *mut zval) {
    for other in [TRACK_VARS_ENV, TRACK_VARS_SERVER] {
        // SAFETY: PHP passes one of its arrays.
        if unsafe { copy_from(other, array) } {
            return;
        }
    }
    // SAFETY: PHP passes an array.
    unsafe { import_process(array) };
    // SAFETY: as above; the other one may be undefined, its pointer is compared only.
    let kind = if unsafe { same_array(TRACK_VARS_ENV, array) } { PARSE_ENV } else { PARSE_SERVER };
    each(|variable| {
        // SAFETY: name and value are C strings of the request, `array` is an array.
        unsafe { register_filtered(kind, variable.name, variable.value, variable.length(), array) };
    });
}

fn tracked(which: usize) -> *mut zval {
    // SAFETY: PHP's globals live as long as the process.
    let first = unsafe { &raw mut (*core_globals()).http_globals };
    // SAFETY: `which` is one of the two constants, there are six such arrays.
    unsafe { first.cast::<zval>().add(which) }
}

/// Whether `array` is one of the global arrays.
unsafe fn same_array(which: usize, array: *mut zval) -> bool {
    // SAFETY: PHP passes a value.
    let this: *mut HashTable = unsafe { value::pointer(array) };
    // SAFETY: a value of PHP's, maybe undefined: compared only.
    this == unsafe { value::pointer(tracked(which)) }
}

/// Replaces `array` by a copy of a global one that is filled already.
unsafe fn copy_from(which: usize, array: *mut zval) -> bool {
    let other = tracked(which);
    // SAFETY: a value of PHP's, and the one that PHP passes.
    if unsafe { same_array(which, array) } {
        return false;
    }
    // SAFETY: a value of PHP's.
    if !unsafe { value::is_array(other) } {
        return false;
    }
    // SAFETY: as above.
    let source: *mut HashTable = unsafe { value::pointer(other) };
    // SAFETY: its type says that it is an array.
    if unsafe { (*source).nNumOfElements } == 0 {
        return false;
    }
    // SAFETY: PHP passes an array.
    let old = unsafe { value::pointer(array) };
    // SAFETY: nobody else holds it yet.
    unsafe { zend_array_destroy(old) };
    // SAFETY: `source` is an array.
    let copy = unsafe { zend_array_dup(source) };
    // SAFETY: PHP passes a value that may be set.
    unsafe { value::set_array(array, copy) };
    true
}

/// Calls `each` with every variable of the request, outside of `with`, because it calls PHP.
pub(super) fn each(mut work: impl FnMut(Variable)) {
    let places = with(|context| context.env.places()).unwrap_or(0);
    for place in 0..places {
        if let Some(variable) = with(|context| context.nth(place)).flatten() {
            work(variable);
        }
    }
}

/// Registers a variable if the input filter lets it pass.
unsafe fn register_filtered(kind: c_int, name: *const c_char, value: *mut c_char, length: usize, array: *mut zval) {
    let mut value = value;
    let mut new_length = length;
    // SAFETY: PHP's variable.
    let Some(filter) = (unsafe { (*sapi_module()).input_filter }) else { return };
    // SAFETY: the filter's contract: C strings, lengths, and places for the results.
    if unsafe { filter(kind, name, &raw mut value, length, &raw mut new_length) } != 0 {
        // SAFETY: what the filter left.
        unsafe { php_register_variable_safe(name, value, new_length, array) };
    }
}

/// The SAPI's callback for `$_SERVER`.
pub(super) unsafe extern "C" fn register(array: *mut zval) {
    // SAFETY: PHP's variable.
    let import = unsafe { *ffi::php_import_environment_variables() };
    // SAFETY: PHP passes an array.
    unsafe { import(array) };
    // SAFETY: PHP's globals live as long as the process.
    let uri = unsafe { (*sapi_globals()).request_info.request_uri };
    // SAFETY: null or a C string of the request.
    let name = unsafe { c_bytes(uri) }.unwrap_or_default();
    let info = if settings().fix_pathinfo {
        let info = with(|context| context.variable(b"PATH_INFO")).unwrap_or(std::ptr::null_mut());
        // SAFETY: null or a C string of the request.
        unsafe { c_bytes(info) }.unwrap_or_default()
    } else {
        &[]
    };
    let total = name.len() + info.len();
    // SAFETY: PHP's allocator; may bail out, nothing is owned here.
    let php_self = unsafe { memory::allocate(total + 1) }.cast::<u8>();
    // SAFETY: fresh memory of that size.
    let bytes = unsafe { std::slice::from_raw_parts_mut(php_self, total + 1) };
    for (to, from) in bytes.iter_mut().zip(name.iter().chain(info).chain(&[0])) {
        *to = *from;
    }
    // SAFETY: a C string of that length; PHP copies it.
    unsafe { register_filtered(PARSE_SERVER, c"PHP_SELF".as_ptr(), php_self.cast(), total, array) };
    // SAFETY: allocated above.
    unsafe { memory::free(php_self.cast()) };
}

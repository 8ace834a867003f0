//! Tells which filter PHP passes the fields of a form and the variables of `$_SERVER` to (`sapi_module.input_filter`): none, ext/filter
//! without a filter of its own (`filter.default = unsafe_raw`), or another, which only PHP's own functions serve.
//!
//! ext/filter registers each field twice: in `$_POST`, and in an array of its own, for `filter_input()`. Both arrays are equal, and
//! an array that two values share is copied when one is written to. So our reader of forms makes one array, and lets ext/filter's
//! value refer to it as well. The arrays for `$_SERVER` differ (PHP adds more to it), but their values are the same strings.
//!
//! The place of ext/filter's arrays is known from the ini entry `filter.default`, which refers to the same structure (`php_filter.h`:
//! five arrays, then the default filter).

use std::cell::Cell;

use super::ffi::{host, sapi_module, zval};
use super::{extension, ini, value};

/// `FILTER_UNSAFE_RAW`
const UNSAFE_RAW: i64 = 0x0204;
/// The arrays of `zend_filter_globals`: post, get, cookie, env, server.
const ARRAYS: usize = 5;
const POST: usize = 0;
const SERVER: usize = 4;

/// ext/filter, as it was found at the start of the worker.
#[derive(Clone, Copy)]
struct Extension {
    /// The address of its function. It is only compared.
    function: usize,
    /// The array of the raw fields of a form.
    post: *mut zval,
    default: *const i64,
}

/// What happens to a field or a variable besides that it gets into `$_POST` or `$_SERVER`.
#[derive(Clone, Copy)]
pub(super) enum Input {
    /// Nothing.
    Unfiltered,
    /// ext/filter registers it in this array too. The array does not exist yet.
    Kept(*mut zval),
}

thread_local! {
    static EXTENSION: Cell<Option<Extension>> = const { Cell::new(None) };
}

/// Looks for ext/filter, in a worker. No request runs.
pub(super) fn take_over() {
    EXTENSION.set(find());
}

/// The filter of the fields of the current request's form. `None`: one that is not known here, or that changes fields.
pub(super) fn of_form() -> Option<Input> {
    current(POST)
}

/// The same for the variables of `$_SERVER`.
pub(super) fn of_server() -> Option<Input> {
    current(SERVER)
}

fn current(at: usize) -> Option<Input> {
    let function = function()?;
    if function == host().php_default_input_filter as usize {
        return Some(Input::Unfiltered);
    }
    let extension = EXTENSION.get().filter(|extension| extension.function == function)?;
    // SAFETY: `find` has found the structure of ext/filter, which lives as long as the process. The number is copied.
    let default = unsafe { extension.default.read() };
    let array = extension.post.wrapping_add(at);
    // SAFETY: as above; a value that PHP has set, if only to undefined.
    let kind = unsafe { value::kind(array) };
    (default == UNSAFE_RAW && kind == 0).then_some(Input::Kept(array))
}

/// The address of the filter.
fn function() -> Option<usize> {
    // SAFETY: the address of PHP's variable (`ffi::host`). The function pointer is copied.
    let filter = unsafe { (*sapi_module()).input_filter };
    filter.map(|filter| filter as usize)
}

/// The function and the value of ext/filter, if it was found.
#[cfg(feature = "differential")]
pub(super) fn known() -> Option<(usize, *mut zval)> {
    EXTENSION.get().map(|extension| (extension.function, extension.post))
}

fn find() -> Option<Extension> {
    let function = function()?;
    if !extension::has(c"filter", function) {
        return None;
    }
    // SAFETY: an entry lives as long as its module. No code of PHP's runs while it is borrowed.
    let setting = unsafe { &*ini::find(c"filter.default")? };
    let (offset, globals) = (setting.mh_arg1 as usize, setting.mh_arg2.cast::<zval>());
    let as_known = offset == ARRAYS * size_of::<zval>() && !globals.is_null() && setting.module_number > 0;
    as_known.then(|| Extension { function, post: globals, default: globals.wrapping_add(ARRAYS).cast_const().cast() })
}

//! Sets `php_value` and `php_admin_value` of a pool in its workers.

use std::ffi::{CStr, CString, c_int};
use std::mem::MaybeUninit;

use super::ffi::{
    SUCCESS, module_registry, php_dl, zend_collect_module_handlers, zend_disable_functions, zend_hash_str_del,
    zend_interned_strings_switch_storage, zend_module_entry, zend_startup_module_ex, zend_string,
    zend_unregister_functions, zval,
};
use super::stdout::flush_stdout;
use super::{ini, log, names, value};
use crate::config::PhpSetting;
use crate::log::messages::php as messages;

const MODULE_PERSISTENT: c_int = 1;

/// Sets them in order. One that cannot be set is logged and left out.
pub(super) fn apply(pool: &str, settings: &[PhpSetting]) {
    let mut loaded = false;
    for setting in settings {
        let late = setting.late.as_ref().and_then(|late| late.value(&names::OfPhp));
        let value = late.map_or_else(|| setting.value.clone(), |value| value.replace("$pool", pool));
        let (Ok(name), Ok(value)) = (CString::new(setting.name.as_str()), CString::new(value)) else {
            refuse(setting);
            continue;
        };
        if setting.name == "extension" && !value.is_empty() {
            loaded |= load_extension(&value);
            continue;
        }
        if !ini::set(&name, value.to_bytes(), setting.admin) {
            refuse(setting);
        } else if setting.name == "disable_functions" && !value.is_empty() {
            // SAFETY: a C string. No request runs.
            unsafe { zend_disable_functions(value.as_ptr()) };
        } else if setting.name == "disable_classes" && !value.is_empty() {
            disable_classes(&value);
        }
    }
    if loaded {
        // SAFETY: modules are loaded, no request runs: Zend rebuilds its lists of request handlers.
        unsafe { zend_collect_module_handlers() };
    }
    flush_stdout();
}

fn refuse(setting: &PhpSetting) {
    let directive = if setting.admin { "php_admin_value" } else { "php_value" };
    log::report(&messages::pool_setting_refused(directive.as_bytes(), setting.name.as_bytes()));
}

/// Loads an extension and starts it. PHP's `start_now` is not used: it would begin a request in the extension while no request
/// runs.
fn load_extension(file: &CStr) -> bool {
    let mut result = MaybeUninit::<zval>::zeroed();
    // SAFETY: outside of requests: what the extension interns must outlive them.
    unsafe { zend_interned_strings_switch_storage(false) };
    // SAFETY: a C string and a place for the result. PHP is started and no request runs.
    unsafe { php_dl(file.as_ptr(), MODULE_PERSISTENT, result.as_mut_ptr(), 0) };
    // SAFETY: `php_dl` has set it to true or false.
    let started = unsafe { value::is_true(result.as_ptr()) } && start_last();
    // SAFETY: back to the state of a worker between requests.
    unsafe { zend_interned_strings_switch_storage(true) };
    started
}

/// Starts the extension that was registered last. If it does not start, it is unloaded.
fn start_last() -> bool {
    // SAFETY: the address of PHP's table (`ffi::host`). PHP is not called while it is borrowed.
    let table = unsafe { &*module_registry() };
    // SAFETY: the keys of PHP's table of modules are their names.
    let Some(last) = unsafe { value::buckets(table) }.last() else { return false };
    let name = last.key;
    // SAFETY: the values of PHP's table of modules are pointers to them.
    let module: *mut zend_module_entry = unsafe { value::pointer(&raw const last.val) };
    // SAFETY: a module that is registered and not started.
    let started = unsafe { zend_startup_module_ex(module) } == SUCCESS;
    if !started {
        remove(module, name);
    }
    started
}

/// Removes a module that did not start from PHP's tables.
fn remove(module: *mut zend_module_entry, name: *const zend_string) {
    // SAFETY: a registered module.
    let functions = unsafe { (*module).functions };
    if !functions.is_null() {
        // PHP does not remove the functions of a persistent extension.
        // SAFETY: the module's list, which ends in an empty entry; null stands for PHP's table.
        unsafe { zend_unregister_functions(functions, -1, std::ptr::null_mut()) };
    }
    // SAFETY: the module's key in the table.
    let name = unsafe { &*name };
    // SAFETY: PHP's table of modules; the key is given with its length. Nothing else refers to the module, which was not started.
    unsafe { zend_hash_str_del(module_registry(), name.val.as_ptr(), name.len) };
}

fn disable_classes(list: &CStr) {
    for name in list.to_bytes().split(|byte| matches!(byte, b' ' | b',')).filter(|name| !name.is_empty()) {
        disable_class(name);
    }
}

#[cfg(not(php85))]
fn disable_class(name: &[u8]) {
    // SAFETY: a text with its length. No request runs.
    unsafe { super::ffi::zend_disable_class(name.as_ptr().cast(), name.len()) };
}

/// PHP 8.5 has no `disable_classes`.
#[cfg(php85)]
fn disable_class(_name: &[u8]) {}

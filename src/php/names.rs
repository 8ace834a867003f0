//! PHP's constants and the settings of php.ini, which the value of a setting may refer to by name.

use super::ffi::{cfg_get_entry, zend_get_constant_str, zval};
use super::value;
use crate::config::Names;

/// The names that PHP knows once it has started.
pub(super) struct OfPhp;

impl Names for OfPhp {
    fn variable(&self, name: &str) -> Option<Vec<u8>> {
        // SAFETY: PHP has read php.ini. The name is given with its length.
        let setting = unsafe { cfg_get_entry(name.as_ptr().cast(), name.len()) };
        text(setting).map(String::into_bytes)
    }

    fn constant(&self, name: &str) -> Option<String> {
        // SAFETY: PHP has started. The name is given with its length.
        text(unsafe { zend_get_constant_str(name.as_ptr().cast(), name.len()) })
    }
}

fn text(found: *const zval) -> Option<String> {
    if found.is_null() {
        return None;
    }
    // SAFETY: the value is in one of PHP's tables, which nothing changes meanwhile.
    unsafe { value::plain(found) }
}

//! PHP's constants, for the values of settings.

use super::ffi::zend_get_constant_str;
use super::value;

/// The text of a constant of PHP or an extension, as Zend puts it into a setting.
pub(super) fn text_of(name: &str) -> Option<String> {
    // SAFETY: a name and its length; PHP has started.
    let constant = unsafe { zend_get_constant_str(name.as_ptr().cast(), name.len()) };
    if constant.is_null() {
        return None;
    }
    // SAFETY: a constant that lives as long as PHP.
    unsafe { value::plain(constant) }
}

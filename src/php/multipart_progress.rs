//! What is counted while a multipart form is read, and what the files around `multipart.rs` have in common.

use std::ffi::{c_int, c_void};

#[cfg(php84)]
use super::ffi::php_error_docref;
#[cfg(not(php84))]
use super::ffi::zend_error;
use super::ffi::{Rfc1867Callback, core_globals, zval};

const TRACK_VARS_FILES: usize = 5;
pub(super) const E_WARNING: c_int = 2;

/// What is counted while a form is read.
pub(super) struct Progress {
    /// `max_multipart_body_parts`, less the parts that were read.
    pub(super) parts: i64,
    pub(super) most_parts: c_int,
    /// `max_file_uploads`, less the files that were read.
    pub(super) files: i64,
    pub(super) fields: i64,
    pub(super) most_fields: i64,
    /// The value of the field `MAX_FILE_SIZE`.
    pub(super) max_file_size: i64,
    /// No further file is taken.
    pub(super) skip: bool,
    pub(super) unnamed: u32,
    pub(super) callback: Option<Rfc1867Callback>,
    /// What the callback keeps for itself.
    pub(super) extra: *mut c_void,
}

/// Reports what is wrong with a form. Since PHP 8.4 the message names its origin.
pub(super) fn warn(message: &std::ffi::CStr) {
    #[cfg(php84)]
    // SAFETY: a format and no arguments. The call may bail out; the frames here own nothing.
    unsafe {
        php_error_docref()(std::ptr::null(), E_WARNING, message.as_ptr());
    };
    #[cfg(not(php84))]
    // SAFETY: as above.
    unsafe {
        zend_error()(E_WARNING, message.as_ptr());
    };
}

/// The value of `$_FILES`.
pub(super) fn files_array() -> *mut zval {
    // SAFETY: PG(http_globals) is PHP's, at a valid address (`ffi::host`). Only a pointer to one of its values is made.
    unsafe { &raw mut (*core_globals()).http_globals[TRACK_VARS_FILES] }
}

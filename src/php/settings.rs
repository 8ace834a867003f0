//! The values of the ini entries that `module.rs` registers.

use std::cell::UnsafeCell;
use std::ffi::c_char;
use std::ptr::null_mut;

/// The values of the ini entries. PHP writes them.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) rfc2616_headers: bool,
    pub(super) nph: bool,
    pub(super) fix_pathinfo: bool,
    pub(super) force_redirect: bool,
    pub(super) discard_path: bool,
    pub(super) logging: bool,
    pub(super) redirect_status_env: *mut c_char,
    pub(super) error_header: *mut c_char,
    pub(super) fpm_config: *mut c_char,
}

struct Shared(UnsafeCell<Settings>);
// SAFETY: PHP and everything that reads its settings runs on one thread.
unsafe impl Sync for Shared {}

static SETTINGS: Shared = Shared(UnsafeCell::new(Settings {
    rfc2616_headers: false,
    nph: false,
    fix_pathinfo: true,
    force_redirect: true,
    discard_path: false,
    logging: true,
    redirect_status_env: null_mut(),
    error_header: null_mut(),
    fpm_config: null_mut(),
}));

/// The current values.
pub(super) fn settings() -> Settings {
    // SAFETY: Zend writes them between our calls, on this thread.
    unsafe { *SETTINGS.0.get() }
}

/// The address of the values, for the definitions of the entries.
pub(super) fn place() -> *mut Settings {
    SETTINGS.0.get()
}

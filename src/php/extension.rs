//! Tells which extension a function of PHP's belongs to.

use std::ffi::{CStr, c_void};
use std::mem::MaybeUninit;

use super::ffi::{module_registry, zend_module_entry};
use super::value;

/// Whether the function at that address is in the same program or library as the extension.
pub(super) fn has(extension: &CStr, function: usize) -> bool {
    own_function(extension).is_some_and(|own| {
        let object = object_of(own);
        object.is_some() && object == object_of(function)
    })
}

/// A function that the extension must have been linked with. `None`: it is not loaded, or has no such function.
fn own_function(extension: &CStr) -> Option<usize> {
    // SAFETY: the values of PHP's table of modules are pointers to them.
    let module: *mut zend_module_entry = unsafe { value::pointer_at(module_registry(), extension.to_bytes()) }?;
    // SAFETY: a module lives as long as the process. The function pointer is copied.
    unsafe { (*module).request_shutdown_func }.map(|own| own as usize)
}

/// The address that the program or the library around a function was loaded to.
fn object_of(function: usize) -> Option<*mut c_void> {
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: the address is only compared with those of loaded objects; `info` has room for the answer.
    let found = unsafe { libc::dladdr(std::ptr::without_provenance(function), info.as_mut_ptr()) };
    // SAFETY: every member is a number or a pointer, all of which may be zero, so it is initialized either way.
    let info = unsafe { info.assume_init() };
    (found != 0).then_some(info.dli_fbase)
}

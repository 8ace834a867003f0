//! PHP leaves by `longjmp`. Here is where it lands when no code of PHP's catches it.

use std::ffi::{c_int, c_void};

use super::ffi::executor_globals;

unsafe extern "C" {
    fn cgi_fpm_try(bailout: *mut *mut c_void, call: unsafe extern "C" fn(*mut c_void), argument: *mut c_void) -> c_int;
}

/// Runs `call`, which may leave by PHP's bailout at any call into PHP. False if it did.
///
/// A bailout skips destructors: when `call` calls PHP, it must own nothing that has one.
pub(super) fn attempt<F: FnMut()>(mut call: F) -> bool {
    unsafe extern "C" fn run<F: FnMut()>(call: *mut c_void) {
        // SAFETY: `attempt` passes its own closure, which outlives the call, to the instance for the closure's type.
        let call = unsafe { &mut *call.cast::<F>() };
        call();
    }
    // SAFETY: EG(bailout) is PHP's, at a valid address (`ffi::host`). Only a pointer to it is made.
    let bailout = unsafe { &raw mut (*executor_globals()).bailout };
    // SAFETY: `bailout` is EG(bailout); the frames between here and the jump own nothing.
    unsafe { cgi_fpm_try(bailout.cast(), run::<F>, (&raw mut call).cast()) == 0 }
}

/// Whether PHP has a place to jump to. Without one, a bailout ends the process.
pub(super) fn inside() -> bool {
    // SAFETY: EG(bailout) is PHP's, at a valid address (`ffi::host`). The value is copied.
    !unsafe { (*executor_globals()).bailout }.is_null()
}

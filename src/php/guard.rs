//! PHP aborts a call by `longjmp` (bailout). Where no code of PHP catches it, it lands here.

use std::ffi::{c_int, c_void};

use super::ffi::executor_globals;

unsafe extern "C" {
    fn cgi_fpm_try(bailout: *mut *mut c_void, call: unsafe extern "C" fn(*mut c_void), argument: *mut c_void) -> c_int;
}

/// Runs `call`, which a bailout may abort at any call of PHP. False: it was aborted.
///
/// A bailout skips destructors. While `call` calls PHP, it must own nothing that has one.
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

/// Whether a bailout has a place to jump to (`EG(bailout)`). Without one, it ends the process.
pub(super) fn inside() -> bool {
    // SAFETY: EG(bailout) is PHP's, at a valid address (`ffi::host`). The value is copied.
    !unsafe { (*executor_globals()).bailout }.is_null()
}

//! php://input for a form of more than 16 KB that our reader reads: a stream over the memory that has the body.
//!
//! PHP writes such a body to a temporary file. What a script can see of that file is how a file treats positions: they may be behind
//! its end.

use std::ffi::{CStr, c_char, c_int};
use std::ptr::null_mut;
use std::sync::OnceLock;

use super::body::{Body, copy_from};
use super::context::{Context, with};
use super::ffi::{_php_stream, _php_stream_ops, executor_globals, sapi_globals};
use super::form_memory::{LEAST, MOST};
use super::memory;

/// `PHP_STREAM_FLAG_NO_BUFFER`
const NO_BUFFER: u32 = 2;
/// PHP's stream has three numbers: one of its own, one of the memory before the file, and one of the file.
const NUMBERS: i64 = 3;

struct Operations(_php_stream_ops);

// SAFETY: addresses of functions and of a static text, which may be used by every thread.
unsafe impl Send for Operations {}
// SAFETY: as above, and nothing changes them.
unsafe impl Sync for Operations {}

static OPERATIONS: OnceLock<Operations> = OnceLock::new();

fn operations() -> *const _php_stream_ops {
    let label: &'static CStr = c"TEMP";
    &raw const OPERATIONS
        .get_or_init(|| {
            Operations(_php_stream_ops {
                write: Some(write),
                read: Some(read),
                close: Some(close),
                flush: Some(flush),
                label: label.as_ptr(),
                seek: Some(seek),
                cast: None,
                stat: None,
                set_option: None,
            })
        })
        .0
}

/// Reads the body of a form from the connection into memory. False: it is too small or too large for that, or in a file; nothing was
/// read. May bail out.
pub(super) fn hold() -> bool {
    // SAFETY: SG(request_info.content_length) is PHP's, at a valid address (`ffi::host`). The value is copied.
    let length = unsafe { (*sapi_globals()).request_info.content_length };
    let Ok(length @ LEAST..=MOST) = usize::try_from(length) else { return false };
    if with(|context| !matches!(context.body, Body::File(_) | Body::Refused(_))) != Some(true) {
        return false;
    }
    // SAFETY: a request begins. The call may bail out; this frame owns nothing.
    let stream = unsafe { memory::stream_over(operations(), c"r+b".as_ptr()) };
    if stream.is_null() {
        return false;
    }
    // SAFETY: PHP has just made the stream. It is not used while it is borrowed.
    unsafe { &mut *stream }.flags |= NO_BUFFER;
    // SAFETY: EG(regular_list) is PHP's, at a valid address (`ffi::host`), and this is PHP's thread.
    unsafe { (*executor_globals()).regular_list.nNextFreeElement += NUMBERS - 1 };
    let count = with(|context| receive(context, length)).unwrap_or(0);
    // SAFETY: SG is PHP's, at a valid address (`ffi::host`). PHP is not called while it is borrowed.
    let globals = unsafe { &mut *sapi_globals() };
    globals.request_info.request_body = stream;
    globals.read_post_bytes = i64::try_from(count).unwrap_or(i64::MAX);
    globals.post_read = 1;
    true
}

fn receive(context: &mut Context, length: usize) -> usize {
    let mut form = std::mem::take(&mut context.form);
    let count = form.fill(length, |memory| context.read_body(memory, 0));
    form.position = Some(0);
    context.form = form;
    count
}

unsafe extern "C" fn read(_stream: *mut _php_stream, buffer: *mut c_char, size: usize) -> isize {
    // SAFETY: PHP passes a buffer of that size, which it does not use during the call.
    let buffer = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), size) };
    let count = with(|context| copy(context, buffer)).unwrap_or(0);
    isize::try_from(count).unwrap_or(0)
}

fn copy(context: &mut Context, buffer: &mut [u8]) -> usize {
    let Some(position) = context.form.position else { return 0 };
    let count = copy_from(context.form.body(), position, buffer);
    context.form.position = Some(position + count as u64);
    count
}

unsafe extern "C" fn seek(_stream: *mut _php_stream, offset: i64, from: c_int, place: *mut i64) -> c_int {
    let sought = with(|context| {
        let now = i64::try_from(context.form.position?).ok()?;
        let end = i64::try_from(context.form.body().len()).ok()?;
        let base = match from {
            libc::SEEK_SET => Some(0),
            libc::SEEK_CUR => Some(now),
            libc::SEEK_END => Some(end),
            _ => None,
        };
        let sought = base.and_then(|base| base.checked_add(offset)).and_then(|sought| u64::try_from(sought).ok());
        context.form.position = sought.or(context.form.position);
        Some((sought.is_some(), sought.and_then(|sought| i64::try_from(sought).ok()).unwrap_or(now)))
    });
    let (found, position) = sought.flatten().unwrap_or((false, -1));
    // SAFETY: PHP passes a place for the new position, which may be written.
    unsafe { place.write(position) };
    if found { 0 } else { -1 }
}

/// Only PHP's own reader of bodies writes to them, and this body is complete.
unsafe extern "C" fn write(_stream: *mut _php_stream, _bytes: *const c_char, _size: usize) -> isize {
    -1
}

unsafe extern "C" fn flush(_stream: *mut _php_stream) -> c_int {
    0
}

/// The memory stays with the context.
unsafe extern "C" fn close(stream: *mut _php_stream, _handle: c_int) -> c_int {
    // SAFETY: PHP passes a stream of ours, which it frees next.
    unsafe { (*stream).abstract_ = null_mut() };
    0
}

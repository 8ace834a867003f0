//! What extensions are told about a multipart form (`php_rfc1867_callback`): ext/session tracks uploads.

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_uint};

use super::extension;
use super::ffi::{Rfc1867Callback as Callback, SUCCESS, php_rfc1867_callback};
use super::multipart_progress::Progress;

thread_local! {
    /// The address of ext/session's callback. It is only compared.
    static OF_SESSION: Cell<usize> = const { Cell::new(0) };
}

/// `MULTIPART_EVENT_…`
#[derive(Clone, Copy)]
pub(super) enum Event {
    Start = 0,
    FormData = 1,
    FileStart = 2,
    FileData = 3,
    FileEnd = 4,
    End = 5,
}

/// `multipart_event_start`, `multipart_event_end`
#[repr(C)]
pub(super) struct Size(pub(super) usize);

/// `multipart_event_formdata`
#[repr(C)]
pub(super) struct FormData {
    pub(super) seen: usize,
    pub(super) name: *const c_char,
    pub(super) value: *mut *mut c_char,
    pub(super) length: usize,
    pub(super) new_length: *mut usize,
}

/// `multipart_event_file_start`
#[repr(C)]
pub(super) struct FileStart {
    pub(super) seen: usize,
    pub(super) name: *const c_char,
    pub(super) file: *mut *const c_char,
}

/// `multipart_event_file_data`
#[repr(C)]
pub(super) struct FileData {
    pub(super) seen: usize,
    pub(super) offset: i64,
    pub(super) data: *const c_char,
    pub(super) length: usize,
    pub(super) new_length: *mut usize,
}

/// `multipart_event_file_end`
#[repr(C)]
pub(super) struct FileEnd {
    pub(super) seen: usize,
    pub(super) file: *const c_char,
    pub(super) fault: c_int,
}

impl FormData {
    pub(super) fn new(name: *const c_char, value: *mut *mut c_char, length: usize, new_length: *mut usize) -> Self {
        Self { seen: super::multipart_parts::seen(), name, value, length, new_length }
    }
}

/// Finds out which callback is ext/session's: the one that is in the same program or library as the extension.
pub(super) fn take_over() {
    OF_SESSION.set(find().unwrap_or(0));
}

fn find() -> Option<usize> {
    let callback = installed()? as usize;
    extension::has(c"session", callback).then_some(callback)
}

/// Takes a callback for ext/session's.
#[cfg(feature = "differential")]
pub(super) fn trust(callback: usize) -> usize {
    OF_SESSION.replace(callback)
}

fn installed() -> Option<Callback> {
    // SAFETY: the address of PHP's variable (`ffi::host`). The function pointer is copied.
    unsafe { *php_rfc1867_callback() }
}

/// The callback of this request, if there is one. `None`: it is not ext/session's, and might change what it is told.
pub(super) fn callback() -> Option<Option<Callback>> {
    match installed() {
        None => Some(None),
        Some(callback) => (callback as usize == OF_SESSION.get()).then_some(Some(callback)),
    }
}

/// Tells the callback about an event. False: it refuses. May bail out.
pub(super) fn tell<T>(progress: &mut Progress, event: Event, data: &mut T) -> bool {
    let Some(callback) = progress.callback else { return true };
    let data: *mut T = data;
    // SAFETY: PHP's callback, with the structure of that event, whose pointers are valid.
    unsafe { callback(event as c_uint, data.cast(), &raw mut progress.extra) == SUCCESS }
}

//! What extensions are told about a multipart form (`php_rfc1867_callback`): ext/session tracks uploads.

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_uint};

use super::ffi::{
    Rfc1867Callback as Callback, SUCCESS, module_registry, php_rfc1867_callback, zend_hash_str_find, zend_module_entry,
};
use super::input_filter::object_of;
use super::multipart_progress::Progress;
use super::value;

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
    seen: usize,
    name: *const c_char,
    value: *mut *mut c_char,
    length: usize,
    new_length: *mut usize,
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
    const NAME: &[u8] = b"session";
    let callback = installed()? as usize;
    // SAFETY: PHP's table of modules; the key is given with its length.
    let module = unsafe { zend_hash_str_find(module_registry(), NAME.as_ptr().cast(), NAME.len()) };
    if module.is_null() {
        return None;
    }
    // SAFETY: the values of the table are pointers to modules.
    let module: *const zend_module_entry = unsafe { value::pointer(module) };
    // SAFETY: a module lives as long as the process. The function pointer is copied.
    let own = unsafe { (*module).request_shutdown_func }? as usize;
    (object_of(callback)? == object_of(own)?).then_some(callback)
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

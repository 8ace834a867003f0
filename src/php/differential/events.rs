//! Records what PHP reports and what ext/session would be told while a reader runs.

use std::cell::{Cell, RefCell};
use std::ffi::{OsStr, c_int, c_uint, c_void};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;

use super::super::ffi::{self, zend_string};
use super::super::multipart_events::{FileData, FileEnd, FileStart, FormData};
use super::super::text::c_bytes;
use super::describe::string_bytes;
use crate::escape::{line, lines};

thread_local! {
    /// The number of events so far, and the one that is refused.
    static EVENTS: Cell<(u64, u64)> = const { Cell::new((0, u64::MAX)) };
    static MESSAGES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Forgets what was recorded. The event of that number will be refused.
pub(super) fn begin(refused: u64) {
    EVENTS.set((0, refused));
    MESSAGES.with_borrow_mut(Vec::clear);
}

/// What was recorded.
pub(super) fn messages() -> String {
    MESSAGES.with_borrow(|messages| lines(messages))
}

/// Stands for `zend_error_cb`: records a message.
pub(super) unsafe extern "C" fn record(kind: c_int, _file: *mut zend_string, _line: u32, message: *mut zend_string) {
    // SAFETY: PHP passes a message that lives during the call.
    let message = unsafe { string_bytes(message) };
    MESSAGES.with_borrow_mut(|messages| {
        messages.extend_from_slice(format!("{kind}: ").as_bytes());
        messages.extend_from_slice(message);
        messages.push(b'\n');
    });
}

/// Stands for ext/session's callback: records what it is told, and refuses one event.
pub(super) unsafe extern "C" fn tell(event: c_uint, data: *mut c_void, extra: *mut *mut c_void) -> c_int {
    let (number, refused) = EVENTS.get();
    EVENTS.set((number + 1, refused));
    let mut text = format!("event {event}");
    // SAFETY: see the head of `mod.rs`; the structure is that of the event.
    unsafe {
        let _ = write!(text, " extra {} seen {}", *extra as usize, *data.cast::<usize>());
        *extra = std::ptr::without_provenance_mut(*extra as usize + 1);
        match event {
            1 => {
                let data = &*data.cast::<FormData>();
                let value = std::slice::from_raw_parts((*data.value).cast::<u8>(), data.length);
                let name = c_bytes(data.name).unwrap_or_default();
                let new = data.new_length.as_ref();
                let _ = write!(text, " {} {} {} {new:?}", line(name), line(value), data.length);
            }
            2 => {
                let data = &*data.cast::<FileStart>();
                let (name, file) = (c_bytes(data.name), c_bytes(*data.file));
                let _ = write!(text, " {} {}", line(name.unwrap_or_default()), line(file.unwrap_or_default()));
            }
            3 => {
                let data = &*data.cast::<FileData>();
                let bytes = std::slice::from_raw_parts(data.data.cast::<u8>(), data.length);
                let _ = write!(text, " {} {} {} {}", data.offset, data.length, *data.new_length, line(bytes));
            }
            4 => {
                let data = &*data.cast::<FileEnd>();
                let there = c_bytes(data.file).map(|path| std::fs::metadata(OsStr::from_bytes(path)).is_ok());
                let _ = write!(text, " {there:?} {}", data.fault);
            }
            _ => {}
        }
    }
    MESSAGES.with_borrow_mut(|messages| messages.extend_from_slice(format!("{text}\n").as_bytes()));
    if number == refused { ffi::FAILURE } else { ffi::SUCCESS }
}

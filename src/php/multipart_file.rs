//! Reads a file of a multipart form and registers it in `$_FILES`.

use std::ffi::{c_char, c_int};
use std::mem::ManuallyDrop;
use std::ptr::{null, null_mut};

use super::ffi::{
    core_globals, php_open_temporary_fd_ex, sapi_globals, zend_empty_string, zend_hash_add, zend_string, zval,
};

use super::multipart_events::{Event, FileData, FileEnd, FileStart, tell};
use super::multipart_parts as parts;
use super::multipart_progress::{Progress, warn};
use super::multipart_register::{text_of_file, value_of_file};
use super::{value, zend_string as string};
use crate::form::multipart::window::Piece;

/// `PHP_UPLOAD_ERROR_…`
const TOO_LARGE: c_int = 1;
const LARGER_THAN_ASKED: c_int = 2;
const INCOMPLETE: c_int = 3;
const NO_FILE: c_int = 4;
const NO_DIRECTORY: c_int = 6;
const NOT_WRITTEN: c_int = 7;
const STOPPED: c_int = 8;

/// `PHP_TMP_FILE_OPEN_BASEDIR_CHECK_ON_FALLBACK`
const CHECK_ON_FALLBACK: u32 = 1;

/// A file, while it is read.
struct Upload {
    /// 0, or why it is not there.
    fault: c_int,
    /// What was kept of it so far.
    size: i64,
    /// The boundary after it has been seen.
    ended: bool,
    /// The path of its copy, or null.
    path: *mut zend_string,
}

/// Reads the file and registers it. May bail out; the caller owns nothing with a destructor.
pub(super) fn read(progress: &mut Progress) {
    let mut file = parts::file_name();
    let mut start = FileStart { seen: parts::seen(), name: parts::name(), file: &raw mut file };
    if !tell(progress, Event::FileStart, &mut start) {
        return;
    }
    let mut upload = Upload { fault: 0, size: 0, ended: false, path: null_mut() };
    if parts::file_name_length() == 0 {
        upload.fault = NO_FILE;
    } else {
        upload.read(progress);
    }
    if upload.fault == 0 && !upload.ended {
        upload.fault = INCOMPLETE;
    }
    let mut end = FileEnd { seen: parts::seen(), file: upload.c_path(), fault: upload.fault };
    if !tell(progress, Event::FileEnd, &mut end) {
        upload.fault = STOPPED;
    }
    upload.settle();
    upload.register();
}

impl Upload {
    fn c_path(&self) -> *const c_char {
        // SAFETY: null, or a string of PHP's that this holds a reference to. Only the address of its bytes is taken.
        unsafe { self.path.as_ref() }.map_or(null(), |path| path.val.as_ptr())
    }

    /// Copies the file.
    fn read(&mut self, progress: &mut Progress) {
        let mut piece = self.next_piece();
        // SAFETY: PG(upload_tmp_dir) is PHP's, at a valid address (`ffi::host`). The value is copied.
        let directory = unsafe { (*core_globals()).upload_tmp_dir };
        // SAFETY: null or a C string, and a C string; a place for the path. The call may bail out; a piece needs no destructor.
        let descriptor =
            unsafe { php_open_temporary_fd_ex(directory, c"php".as_ptr(), &raw mut self.path, CHECK_ON_FALLBACK) };
        progress.files -= 1;
        if descriptor == -1 {
            warn(c"File upload error - unable to create a temporary file");
            self.fault = NO_DIRECTORY;
            return;
        }
        // SAFETY: PHP has just opened it and gives it up.
        unsafe { parts::begin_file(descriptor) };
        while self.fault == 0
            && let Some(data) = piece.filter(|data| data.length() > 0)
        {
            if !self.take(progress, &data) {
                self.fault = STOPPED;
                break;
            }
            piece = self.next_piece();
        }
        if !parts::close_file() && self.fault == 0 {
            self.fault = NOT_WRITTEN;
        }
    }

    fn next_piece(&mut self) -> Option<Piece> {
        let piece = parts::read_piece();
        self.ended |= piece.as_ref().is_some_and(|piece| piece.ended);
        piece
    }

    /// Adds a piece to the copy if the file may be so large. False: the callback refuses it.
    fn take(&mut self, progress: &mut Progress, piece: &Piece) -> bool {
        let mut length = piece.length();
        let mut data = FileData {
            seen: parts::seen(),
            offset: self.size,
            data: parts::bytes_of(piece),
            length,
            new_length: &raw mut length,
        };
        if !tell(progress, Event::FileData, &mut data) {
            return false;
        }
        let size = self.size.wrapping_add_unsigned(piece.length() as u64);
        // SAFETY: PG(upload_max_filesize) is PHP's, at a valid address (`ffi::host`). The value is copied.
        let most = unsafe { (*core_globals()).upload_max_filesize };
        if most > 0 && size > most {
            self.fault = TOO_LARGE;
        } else if progress.max_file_size != 0 && size > progress.max_file_size {
            self.fault = LARGER_THAN_ASKED;
        } else {
            parts::keep(piece);
            self.size = size;
        }
        if self.fault != 0 {
            parts::discard();
        }
        true
    }

    /// Removes the copy of a file that is not there; adds another to PHP's table of uploaded files.
    fn settle(&mut self) {
        if self.path.is_null() {
            return;
        }
        if self.fault == 0 {
            let mut pointer = value::of_pointer(self.path.cast());
            // SAFETY: PHP's table, which `multipart::prepare` has made.
            let files = unsafe { (*sapi_globals()).rfc1867_uploaded_files };
            let place: *mut zval = &raw mut *pointer;
            // SAFETY: the table takes over the reference to the path, and has one of its own to the key.
            unsafe { zend_hash_add(files, self.path, place) };
            return;
        }
        if self.fault != NO_DIRECTORY {
            // SAFETY: a C string.
            unsafe { libc::unlink(self.c_path()) };
        }
        string::release_of_request(self.path);
        self.path = null_mut();
    }

    /// Adds the file to `$_FILES`.
    fn register(&self) {
        parts::begin_fields();
        let (base, length) = parts::base_name();
        text("name", base, length);
        text("full_path", parts::file_name(), parts::file_name_length());
        let (kind, length) = if self.fault == 0 { parts::content_type() } else { (c"".as_ptr(), 0) };
        text("type", kind, length);
        parts::protect();
        // SAFETY: the address of PHP's variable (`ffi::host`). The pointer is copied.
        let mut path = ManuallyDrop::new(if self.path.is_null() {
            // SAFETY: as above.
            value::of_static_string(unsafe { *zend_empty_string() })
        } else {
            string::again(self.path)
        });
        let place: *mut zval = &raw mut *path;
        // SAFETY: a live value, whose reference goes over.
        unsafe { value_of_file(place, true) };
        number("error", i64::from(self.fault));
        number("size", if self.fault == 0 { self.size } else { 0 });
    }
}

fn text(field: &str, value: *const c_char, length: usize) {
    parts::set_field(field.as_bytes());
    text_of_file(value, length);
}

fn number(field: &str, number: i64) {
    parts::set_field(field.as_bytes());
    let mut value = ManuallyDrop::new(value::of_number(number));
    let place: *mut zval = &raw mut *value;
    // SAFETY: a live value that needs no destructor.
    unsafe { value_of_file(place, false) };
}

/// The destructor of PHP's table of uploaded files.
pub(super) unsafe extern "C" fn forget(value: *mut zval) {
    // SAFETY: the values of the table are pointers to paths, as `settle` puts them there, with a reference each.
    string::release_of_request(unsafe { value::pointer(value) });
}

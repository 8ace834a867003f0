//! Gives PHP a body that is in a file, without a copy.
//!
//! PHP keeps the body in a stream of its own, which it fills from the connection. `php://input` and forms are read from that
//! stream. If the body is in a file, this module makes a stream of that file and puts it in the place of PHP's.

use std::ffi::c_int;
use std::os::fd::{FromRawFd as _, IntoRawFd as _, OwnedFd};
use std::ptr::null_mut;
use std::sync::OnceLock;

use super::body::Body;
use super::context::with;
use super::ffi::{
    PostHandler, PostReader, core_globals, host, sapi_globals, sapi_module, sapi_post_entry,
    sapi_read_standard_form_data,
};
use super::memory;
use super::text::c_bytes;
use super::{form_stream, user_ini, value};

/// The type of a form without files.
pub(super) const FORM: &[u8] = b"application/x-www-form-urlencoded";

/// PHP's own reader of bodies that are not forms.
static PHP_READER: OnceLock<PostReader> = OnceLock::new();

/// Installs our readers of bodies. No request runs.
pub(super) fn take_over() {
    // SAFETY: the address of PHP's variable (`ffi::host`), which points to our description of the SAPI. No request runs, so PHP
    // does not read it now.
    let reader = unsafe { &mut (*sapi_module()).default_post_reader };
    if let Some(original) = reader.replace(read_other) {
        let _ = PHP_READER.set(original);
    }
    let Some(entry) = entry_of(FORM) else { return };
    // SAFETY: the entry is PHP's own copy in its table. No request runs, so PHP does not read it now.
    let form_reader = unsafe { &mut (*entry).post_reader };
    let original: PostReader = host().sapi_read_standard_form_data;
    // The reader of an extension, such as mbstring, is not replaced: it reads the file through `read_post`.
    if form_reader.is_some_and(|reader| std::ptr::fn_addr_eq(reader, original)) {
        *form_reader = Some(read_form);
    }
}

/// PHP's entry for a kind of forms, which lives as long as the process.
fn entry_of(kind: &[u8]) -> Option<*mut sapi_post_entry> {
    // SAFETY: SG(known_post_content_types) is PHP's, at a valid address (`ffi::host`). Only a pointer to it is made.
    let kinds = unsafe { &raw const (*sapi_globals()).known_post_content_types };
    // SAFETY: the values of this table are pointers, to PHP's own copies of the entries. Nothing changes it meanwhile.
    unsafe { value::pointer_at(kinds, kind) }
}

/// Installs `ours` in the place of PHP's reader of a kind of forms, in a worker. No request runs. The reader of an extension, such as
/// mbstring, is not replaced.
pub(super) fn replace_handler(kind: &[u8], php: PostHandler, ours: PostHandler) {
    let Some(entry) = entry_of(kind) else { return };
    // SAFETY: the entry is PHP's own copy in its table. No request runs, so PHP does not read it now.
    let handler = unsafe { &mut (*entry).post_handler };
    if handler.is_some_and(|handler| std::ptr::fn_addr_eq(handler, php)) {
        *handler = Some(ours);
    }
}

pub(super) unsafe extern "C" fn read_form() {
    // request_parse_body() may have limits of its own, which PHP's reader applies.
    let by_script = asked_by_script();
    if !by_script && !is_wanted() {
        return;
    }
    let started_over = by_script && start_over();
    if by_script || !(fits() && (put_in_place() || form_stream::hold())) {
        // SAFETY: PHP asks for a form's body, which is what this function reads. It may bail out; this frame owns nothing.
        unsafe { sapi_read_standard_form_data() };
    }
    if started_over {
        leave_unread();
    }
}

/// If PHP has read nothing, because the body is larger than the script's limit, keeps PHP from parsing the file.
fn leave_unread() {
    // SAFETY: SG is PHP's, at a valid address (`ffi::host`). PHP is not called while it is borrowed.
    let globals = unsafe { &mut *sapi_globals() };
    if globals.read_post_bytes == 0 {
        // The stream is freed with the request. php://input makes another one, through `read_post`.
        globals.request_info.request_body = std::ptr::null_mut();
        globals.post_read = 0;
    }
}

/// Whether PHP reads the body before the script (`enable_post_data_reading`, also of the script's directory). May bail out.
fn is_wanted() -> bool {
    user_ini::apply_once();
    // SAFETY: PG(enable_post_data_reading) is PHP's, at a valid address (`ffi::host`). The value is copied.
    unsafe { (*core_globals()).enable_post_data_reading }
}

/// Leaves the body to the script: sets what PHP sets without `enable_post_data_reading`.
fn leave_to_script() {
    // SAFETY: SG(request_info) is PHP's, at a valid address (`ffi::host`). PHP is not called while it is borrowed.
    let info = unsafe { &mut (*sapi_globals()).request_info };
    let kind = std::mem::replace(&mut info.content_type_dup, null_mut());
    info.post_entry = null_mut();
    if !kind.is_null() {
        // SAFETY: PHP allocated it for this request, and the only pointer to it was just replaced by null.
        unsafe { memory::free(kind.cast()) };
    }
}

unsafe extern "C" fn read_other() {
    if !asked_by_script() && !is_wanted() {
        return leave_to_script();
    }
    // SAFETY: SG(request_info) is PHP's, at a valid address (`ffi::host`). PHP is not called while it is borrowed.
    let info = unsafe { &(*sapi_globals()).request_info };
    // SAFETY: null or a C string in the request's variables, which stay until the next request.
    let method = unsafe { c_bytes(info.request_method) };
    // SAFETY: null, or PHP's entry for the type of the body, which lives as long as the process.
    let entry = unsafe { info.post_entry.as_ref() };
    match entry {
        Some(form) if form.post_reader.is_none() => drop(start_over()),
        None if method == Some(b"POST") && fits() && put_in_place() => return,
        _ => {}
    }
    if let Some(original) = PHP_READER.get() {
        // SAFETY: this is PHP's own reader, called when PHP asks for a body. It may bail out; this frame owns nothing.
        unsafe { original() };
    }
}

/// Puts the file in place for bodies that PHP does not read before the script, such as those of PUT.
pub(super) fn activate() {
    // SAFETY: SG(request_info) is PHP's, at a valid address (`ffi::host`). PHP is not called while it is borrowed.
    let info = unsafe { &(*sapi_globals()).request_info };
    if info.content_type_dup.is_null() && info.request_body.is_null() {
        put_in_place();
    }
}

/// Whether `request_parse_body()` reads the form.
pub(super) fn asked_by_script() -> bool {
    #[cfg(php84)]
    // SAFETY: SG(request_parse_body_context.throw_exceptions) is PHP's, at a valid address (`ffi::host`). The value is copied.
    let asked = unsafe { (*sapi_globals()).request_parse_body_context.throw_exceptions };
    #[cfg(not(php84))]
    let asked = false;
    asked
}

/// Whether `post_max_size` allows the body. If not, PHP reports it.
pub(super) fn fits() -> bool {
    // SAFETY: SG is PHP's, at a valid address (`ffi::host`). PHP is not called while it is borrowed.
    let globals = unsafe { &*sapi_globals() };
    globals.post_max_size <= 0 || globals.request_info.content_length <= globals.post_max_size
}

/// Puts the body file in the place of PHP's stream. False: there is no file, it is empty, or PHP cannot make a stream of it.
fn put_in_place() -> bool {
    let descriptor = with(|context| match &context.body {
        Body::File(file) if file.size() > 0 => {
            file.descriptor().ok().map(|descriptor| (descriptor.into_raw_fd(), file.size()))
        }
        _ => None,
    });
    let Some((descriptor, size)) = descriptor.flatten() else { return false };
    let descriptor: c_int = descriptor;
    // SAFETY: `into_raw_fd` gave the number up above, so nothing owns it, and the stream takes it over. The mode is a C string, and
    // a request runs.
    let stream = unsafe { memory::stream_of(descriptor, c"rb".as_ptr()) };
    if stream.is_null() {
        // SAFETY: `into_raw_fd` gave the number up above, and PHP has not taken it, so nothing owns it.
        drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
        return false;
    }
    // SAFETY: SG is PHP's, at a valid address (`ffi::host`). PHP is not called while it is borrowed.
    let globals = unsafe { &mut *sapi_globals() };
    globals.request_info.request_body = stream;
    globals.read_post_bytes = i64::try_from(size).unwrap_or(i64::MAX);
    globals.post_read = 1;
    true
}

/// Makes PHP read the whole body again through `read_post`, also where php://input was read before: for `request_parse_body()`.
/// False: the body is not in a file.
fn start_over() -> bool {
    let in_file = with(|context| matches!(context.body, Body::File(_))) == Some(true);
    if in_file {
        // SAFETY: SG is PHP's, at a valid address (`ffi::host`). PHP is not called while it is borrowed.
        let globals = unsafe { &mut *sapi_globals() };
        // `post_read` stays set: php://input has the whole file and must not read more.
        globals.read_post_bytes = 0;
    }
    in_file
}

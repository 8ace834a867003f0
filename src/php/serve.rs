//! Serves one request, from its variables to the end of the answer, in php-fpm's order.

use std::ptr::null_mut;

use nix::errno::Errno;

use super::body::Body;
use super::context::{Context, with};
use super::ffi::{
    SUCCESS, core_globals, executor_globals, php_execute_script, php_fopen_primary_script, php_header,
    php_output_end_all, php_output_write, php_request_shutdown, php_request_startup, sapi_globals,
    zend_destroy_file_handle, zend_file_handle, zend_memory_peak_usage,
};
use super::guard::attempt;
use super::headers::Headers;
use super::text::{c_bytes, with_path};
use super::{error_header, log, memory, request_info, request_ini};
use crate::config::PhpValuePolicy;
use crate::engine::Served;
use crate::log::messages::php as messages;
use crate::request::{NotRun, Stage};
use crate::script::guard::extension_allowed;
use crate::sys::process;
use crate::sys::working_directory::WorkingDirectory;

/// The settings of the pool that serving a request needs.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    /// `security.fastcgi_php_value`
    pub(super) trust: PhpValuePolicy,
    /// `chroot`
    pub(super) root: Option<std::path::PathBuf>,
    /// `security.limit_extensions`
    pub(super) extensions: Vec<Vec<u8>>,
    /// The worker's directory between scripts. `None`: it has no path.
    pub(super) directory: Option<WorkingDirectory>,
}

/// Serves the request that the context holds.
pub(super) fn serve(around: &Surroundings) -> Served {
    stage(Stage::Info);
    // For a script that is no file, PHP reports errno without setting it. It must not be left from an earlier request.
    Errno::clear();
    with(|context| context.open_body(around.root.as_deref()));
    attempt(request_info::describe);
    attempt(|| request_ini::apply(around.trust));
    with(|context| context.describe());
    // SAFETY: PHP has started in the zygote, and no request runs.
    if unsafe { php_request_startup() } != SUCCESS {
        return given_up();
    }
    attempt(|| answer(around));
    if process::was_forked_by_script() {
        end_copy();
    }
    stage(Stage::Ending);
    attempt(error_header::after_script);
    report_outcome();
    free_path();
    // SAFETY: `php_request_startup` was called for this request, and it is ended once.
    unsafe { php_request_shutdown(null_mut()) };
    request_ini::undo();
    with(Context::finish);
    Served::Ready
}

/// Ends a process that the script has forked: it must not go on as a second worker that the zygote does not know.
fn end_copy() -> ! {
    with(Context::finish);
    free_path();
    // SAFETY: `php_request_startup` was called for this request, and it is ended once.
    unsafe { php_request_shutdown(null_mut()) };
    // SAFETY: EG(exit_status) is PHP's, at a valid address (`ffi::host`). The value is copied.
    process::exit_now(unsafe { (*executor_globals()).exit_status })
}

/// PHP failed while it started the request, for example because the body is larger than `memory_limit`. No request can be shut
/// down: PHP would free memory of the request before again. What PHP has printed is sent, and the worker ends.
fn given_up() -> Served {
    stage(Stage::Ending);
    attempt(|| {
        // SAFETY: output has been active since the request began to start. The call may bail out; this frame owns nothing.
        unsafe { php_output_end_all() };
        // SAFETY: output has been active since the request began to start. The call may bail out; this frame owns nothing.
        unsafe { php_header() };
    });
    report_outcome();
    with(Context::finish);
    Served::Spent
}

/// Runs the script, or answers why it does not run. May bail out.
fn answer(around: &Surroundings) {
    // SAFETY: SG(request_info.path_translated) is PHP's, at a valid address (`ffi::host`). The value is copied.
    let path = unsafe { (*sapi_globals()).request_info.path_translated };
    // SAFETY: SG(request_info.request_method) is PHP's, at a valid address (`ffi::host`). The value is copied.
    let method = unsafe { (*sapi_globals()).request_info.request_method };
    if method.is_null() {
        return;
    }
    if body_refused() {
        return refuse(500, "The request's body can't be read.\n");
    }
    if form_cut_off() {
        return refuse(400, "The request's body is incomplete.\n");
    }
    // SAFETY: null or a C string that PHP keeps until `free_path`.
    let Some(script) = (unsafe { c_bytes(path) }) else {
        log::report(&messages::primary_script_unknown());
        return refuse(404, "File not found.\n");
    };
    if !extension_allowed(script, &around.extensions) {
        log::report(&messages::script_denied(script));
        return refuse(403, "Access denied.\n");
    }
    // SAFETY: a C structure of numbers and pointers, all of which may be zero. PHP fills it in.
    let mut file: zend_file_handle = unsafe { std::mem::zeroed() };
    // SAFETY: a request runs, and SG(request_info.path_translated) is set. PHP fills in the handle.
    if unsafe { php_fopen_primary_script(&raw mut file) } == SUCCESS {
        run(around, &mut file);
    } else {
        not_opened(Errno::last_raw());
    }
    if !file.in_list {
        // SAFETY: the handle was filled in by PHP, or is zero. Opcache has not taken it (`in_list`).
        unsafe { zend_destroy_file_handle(&raw mut file) };
    }
}

/// Whether the body is in a file that cannot be used. Logs the reason.
fn body_refused() -> bool {
    let reason = with(|context| match &context.body {
        Body::Refused(unusable) => Some(unusable.to_string()),
        _ => None,
    });
    let Some(reason) = reason.flatten() else { return false };
    log::report(&messages::body_file_refused(reason.as_bytes()));
    true
}

/// Whether the body is a form that PHP has parsed though a part of it is missing: the last field may be incomplete, and others
/// are not there. Logs and counts it.
fn form_cut_off() -> bool {
    if with(|context| context.cut_off) != Some(true) || !parses_form() {
        return false;
    }
    // SAFETY: SG is PHP's, at a valid address (`ffi::host`). PHP is not called while it is borrowed.
    let globals = unsafe { &*sapi_globals() };
    // SAFETY: null or a C string that PHP keeps until `free_path`.
    let script = unsafe { c_bytes(globals.request_info.path_translated) }.unwrap_or_default();
    let [received, expected] = [globals.read_post_bytes, globals.request_info.content_length].map(|n| n.to_string());
    log::report(&messages::form_cut_off(script, received.as_bytes(), expected.as_bytes()));
    with(|context| context.tracker().map(|tracker| tracker.not_run(NotRun::Incomplete)));
    true
}

/// Whether PHP parses the body before the script: PHP knows its type, `enable_post_data_reading` is on, and `variables_order`
/// includes `$_POST`.
fn parses_form() -> bool {
    // SAFETY: SG(request_info.post_entry) is PHP's, at a valid address (`ffi::host`). The value is copied.
    let entry = unsafe { (*sapi_globals()).request_info.post_entry };
    // SAFETY: PG(variables_order) is PHP's, at a valid address (`ffi::host`). The value is copied.
    let order = unsafe { (*core_globals()).variables_order };
    // SAFETY: null or a C string that the ini entry keeps until the setting changes, which no code here causes meanwhile.
    let order = unsafe { c_bytes(order) }.unwrap_or_default();
    !entry.is_null() && order.iter().any(|letter| matches!(letter, b'P' | b'p'))
}

fn not_opened(error: i32) {
    let script = with(|context| context.script.map(|script| context.env.bytes(script).to_vec())).flatten();
    if let Some(script) = script {
        log::report(&messages::script_not_opened(&script, reason(error)));
    }
    if error == libc::EACCES {
        refuse(403, "Access denied.\n");
    } else {
        refuse(404, "No input file specified.\n");
    }
}

/// libc's text for an error number, also `Success` for 0.
fn reason(error: i32) -> &'static [u8] {
    // SAFETY: strerror accepts any number. Only this thread of the worker calls it.
    let text = unsafe { libc::strerror(error) };
    // SAFETY: strerror gives a C string that stays until its next call, which is not made while the text is used.
    unsafe { c_bytes(text) }.unwrap_or_default()
}

fn refuse(code: i32, text: &str) {
    // SAFETY: SG(sapi_headers.http_response_code) is PHP's, at a valid address (`ffi::host`), and this is PHP's thread.
    unsafe { (*sapi_globals()).sapi_headers.http_response_code = code };
    // SAFETY: a text with its length. A request runs, so output is active; the call may bail out, and this frame owns nothing.
    unsafe { php_output_write(text.as_ptr().cast(), text.len()) };
}

fn stage(stage: Stage) {
    with(|context| context.tracker().map(|tracker| tracker.stage(stage)));
}

/// Records status and memory of the request. Before the shutdown functions, as php-fpm does.
fn report_outcome() {
    // SAFETY: SG(sapi_headers) is PHP's, at a valid address (`ffi::host`). PHP is not called while it is borrowed.
    let headers = unsafe { &(*sapi_globals()).sapi_headers };
    let status = u16::try_from(headers.http_response_code).unwrap_or(0);
    // SAFETY: the list of headers is PHP's, and PHP is not called while `list` is used.
    let list = unsafe { Headers::new(headers.headers.head) };
    // SAFETY: PHP's allocator runs; it gives a number.
    let memory_peak = unsafe { zend_memory_peak_usage(true) };
    with(|context| context.report_outcome(status, memory_peak as u64, list));
}

/// Frees SG(request_info.path_translated). Before the shutdown functions, as php-fpm does.
fn free_path() {
    // SAFETY: SG(request_info.path_translated) is PHP's, at a valid address (`ffi::host`), and this is PHP's thread.
    let path = unsafe { std::mem::replace(&mut (*sapi_globals()).request_info.path_translated, null_mut()) };
    if !path.is_null() {
        // SAFETY: `request_info::describe` allocated it for this request. Where PHP has freed it, the pointer was null.
        unsafe { memory::free(path.cast()) };
    }
}

/// Runs an opened script in its directory. As PHP does, it changes back before the shutdown functions.
fn run(around: &Surroundings, file: &mut zend_file_handle) {
    stage(Stage::Running);
    // SAFETY: EG(exit_status) is PHP's, at a valid address (`ffi::host`), and this is PHP's thread.
    unsafe { (*executor_globals()).exit_status = 0 };
    // SAFETY: null or the name of the opened file, which the file handle keeps.
    let name = unsafe { file.filename.as_ref() }.map_or(null_mut(), |name| name.val.as_ptr().cast_mut());
    if around.directory.is_some() {
        // SAFETY: null, or the bytes of a Zend string, which end in a NUL. The file handle keeps it.
        change_to_directory_of(unsafe { c_bytes(name) }.unwrap_or_default());
    }
    // SAFETY: a request runs, and the file was opened for it. PHP catches bailouts of the script.
    unsafe { php_execute_script(file) };
    if let Some(directory) = &around.directory {
        directory.enter();
    }
}

/// Changes to the directory of a script, by its path each time: the path may have become that of another directory.
fn change_to_directory_of(script: &[u8]) {
    let Some(slash) = script.iter().rposition(|&byte| byte == b'/') else { return };
    let directory = script.get(..slash.max(1)).unwrap_or_default();
    with_path(directory, |path| {
        // SAFETY: `with_path` gives a C string. If the call fails, the script runs where the worker is, as in PHP.
        unsafe { libc::chdir(path) }
    });
}

//! The start of PHP in a zygote, and its end.

use std::ffi::{CString, c_char, c_void};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use super::ffi::{
    SUCCESS, ZendExtension, compiler_globals, executor_globals, php_module_shutdown, sapi_flush, sapi_globals,
    sapi_module_struct, sapi_shutdown, sapi_startup, zend_destroy_modules, zend_extensions,
    zend_hash_graceful_reverse_destroy, zend_llist_apply, zend_signal_globals, zend_signal_startup,
};
use super::{log, module, sapi, start_steps};
use crate::engine::{EngineError, EngineOptions, StartSteps};

/// `ZEND_COMPILE_EXTENDED_INFO`
const EXTENDED_INFO: u32 = 3;

/// Starts PHP: php.ini, extensions, opcode cache, preloading.
pub(super) fn start(options: &EngineOptions, as_text: bool, steps: &mut dyn StartSteps) -> Result<(), EngineError> {
    // SAFETY: ignoring a signal runs no code. Sockets that scripts open must not end the worker.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    // SAFETY: the host's main hasn't started PHP yet.
    unsafe { zend_signal_startup() };
    let sapi: &'static mut sapi_module_struct = Box::leak(Box::new(sapi::description()));
    // SAFETY: the description is leaked, so it lives as long as the process. PHP has not started.
    unsafe { sapi_startup(sapi) };
    // After sapi_startup, which resets these members.
    sapi.php_ini_path_override = options.ini_path.as_deref().map_or(Ok(std::ptr::null_mut()), path)?;
    sapi.php_ini_ignore = i32::from(options.no_ini);
    sapi.ini_entries = text(ini_text(&options.defines))?;
    sapi.phpinfo_as_text = i32::from(as_text);
    // PHP makes PHP_BINARY of it. It is not argv, whose memory holds the process title now.
    sapi.executable_location = path(&std::env::current_exe().unwrap_or_default())?;
    let scan_dir = options.scan_dir.as_deref().map(ScanDir::set).transpose()?;
    let sapi: *mut sapi_module_struct = sapi;
    // SAFETY: `sapi` points to the description that was leaked above, which lives as long as the process.
    let started = start_steps::within(|| unsafe { module::start_module(sapi) }, steps);
    if let Some(scan_dir) = scan_dir {
        scan_dir.restore();
    }
    if started? != SUCCESS {
        return Err(log::last_words().map_or(EngineError::NoReason, EngineError::Failed));
    }
    if options.extended_info {
        // SAFETY: CG(compiler_options) is PHP's, at a valid address (`ffi::host`), and this is PHP's thread.
        unsafe { (*compiler_globals()).compiler_options |= EXTENDED_INFO };
    }
    Ok(())
}

/// Ends PHP.
pub(super) fn stop() {
    // SAFETY: `start` has started PHP, and no request runs.
    unsafe { php_module_shutdown() };
    // SAFETY: `start` called `sapi_startup`, and PHP's modules have ended.
    unsafe { sapi_shutdown() };
}

/// Before the process ends: closes persistent resources and ends all extensions, as `php_module_shutdown` does, but does not free PHP's
/// tables. In a worker that would copy nearly each page of the zygote's heap, to change something in it.
pub(super) fn end_extensions() {
    // Such a PHP looks for memory that was not freed.
    if cfg!(php_debug) {
        return stop();
    }
    // SAFETY: PHP has started, and no request runs.
    unsafe { sapi_flush() };
    // SAFETY: EG(persistent_list) is PHP's, at a valid address (`ffi::host`), and this is PHP's thread.
    let resources = unsafe { &raw mut (*executor_globals()).persistent_list };
    // SAFETY: as `zend_shutdown` does (`zend_destroy_rsrc_list`), before the extensions end.
    unsafe { zend_hash_graceful_reverse_destroy(resources) };
    // SAFETY: the persistent resources are closed. Nothing of PHP runs afterwards but the functions below.
    unsafe { zend_destroy_modules() };
    // SAFETY: PHP's list of Zend extensions, whose elements `end_extension` expects.
    unsafe { zend_llist_apply(zend_extensions(), end_extension) };
}

/// `zend_extension_shutdown`
unsafe extern "C" fn end_extension(extension: *mut c_void) {
    // SAFETY: the elements of the list are Zend extensions.
    let extension = unsafe { &mut *extension.cast::<ZendExtension>() };
    if let Some(shutdown) = extension.shutdown {
        // SAFETY: called once, with its extension, as PHP would.
        unsafe { shutdown(extension) };
    }
}

/// `SAPI_OPTION_NO_CHDIR`
const NO_CHDIR: i32 = 1;

/// In a worker: makes PHP read the signal actions again, which have changed. With `own_chdir`, this library changes the directory
/// in PHP's place.
pub(super) fn enter_worker(own_chdir: bool) {
    // SAFETY: no request runs. Reads the dispositions again, as php-fpm's workers do.
    unsafe { zend_signal_startup() };
    if own_chdir {
        // SAFETY: SG(options) is PHP's, at a valid address (`ffi::host`), and this is PHP's thread.
        unsafe { (*sapi_globals()).options |= NO_CHDIR };
    }
}

/// Keeps PHP's signal handlers from the first request on, which saves seven system calls per request. Handlers of scripts are
/// still removed.
pub(super) fn keep_signal_handlers() {
    // SAFETY: SIGG(reset) is PHP's, at a valid address (`ffi::host`), and this is PHP's thread.
    unsafe { (*zend_signal_globals()).reset = false };
}

/// A C string that lives as long as the process.
fn text(bytes: Vec<u8>) -> Result<*mut c_char, EngineError> {
    match CString::new(bytes) {
        Ok(text) => Ok(text.into_raw()),
        Err(_) => Err(EngineError::NulByte),
    }
}

fn path(path: &Path) -> Result<*mut c_char, EngineError> {
    text(path.as_os_str().to_owned().into_vec())
}

/// The `-d` options as lines of php.ini. A value that does not begin with a letter, a digit or a quote is quoted.
fn ini_text(defines: &[String]) -> Vec<u8> {
    let mut lines = String::new();
    for define in defines {
        match define.split_once('=') {
            None => lines.extend([define, "=1\n"]),
            Some((name, value))
                if !value.is_empty()
                    && !value.starts_with(|first: char| first.is_ascii_alphanumeric() || "\"'".contains(first)) =>
            {
                lines.extend([name, "=\"", value, "\"\n"]);
            }
            Some(_) => lines.extend([define, "\n"]),
        }
    }
    lines.into_bytes()
}

/// PHP takes its scan directory from the environment. The variable is set while PHP starts and then restored, so that scripts do
/// not see it.
struct ScanDir {
    before: Option<CString>,
}

const SCAN_DIR: &std::ffi::CStr = c"PHP_INI_SCAN_DIR";

impl ScanDir {
    fn set(directory: &Path) -> Result<Self, EngineError> {
        // SAFETY: a C string. PHP has not started, so the process has one thread.
        let before = unsafe { libc::getenv(SCAN_DIR.as_ptr()) };
        // SAFETY: null or a C string of the environment, which nothing changes meanwhile.
        let before = unsafe { super::text::c_bytes(before) }.map(|value| CString::new(value).unwrap_or_default());
        let mut assignment = SCAN_DIR.to_bytes().to_vec();
        assignment.push(b'=');
        assignment.extend(directory.as_os_str().as_encoded_bytes());
        // PHP keeps a pointer to the value, which must stay valid when the variable is removed.
        let assignment = text(assignment)?;
        // SAFETY: a C string that is never freed, since the environment keeps it. PHP has not started, so the process has one
        // thread.
        unsafe { libc::putenv(assignment) };
        Ok(Self { before })
    }

    fn restore(self) {
        // SAFETY: a C string. A zygote has one thread while it starts PHP.
        unsafe { libc::unsetenv(SCAN_DIR.as_ptr()) };
        if let Some(before) = self.before {
            // SAFETY: C strings, which are copied. A zygote has one thread while it starts PHP.
            unsafe { libc::setenv(SCAN_DIR.as_ptr(), before.as_ptr(), 1) };
        }
    }
}

/// Whether `expose_php` is on.
pub(super) fn exposes_itself() -> bool {
    // SAFETY: PG is PHP's, at a valid address (`ffi::host`). PHP is not called while it is borrowed.
    let globals = unsafe { &*super::ffi::core_globals() };
    globals.expose_php
}

/// The version of the PHP that runs, from the Zend engine's version: since PHP 7 its major number is PHP's less four.
pub(super) fn running_version() -> String {
    // SAFETY: PHP has started and has made this text.
    let zend = unsafe { super::ffi::get_zend_version() };
    // SAFETY: a C string of PHP's that lives as long as the process.
    let zend = unsafe { std::ffi::CStr::from_ptr(zend) }.to_string_lossy();
    let version = zend.strip_prefix("Zend Engine v4.").and_then(|rest| rest.split(',').next());
    version.map_or_else(|| super::host::BUILT_FOR.to_owned(), |rest| format!("8.{rest}"))
}

#[cfg(test)]
mod tests {
    use super::ini_text;

    #[test]
    fn defines_become_lines() {
        let defines = ["a", "b=1", "c=/x y", "d=\"q\"", "e=", "f=On;x"].map(str::to_owned);
        assert_eq!(String::from_utf8_lossy(&ini_text(&defines)), "a=1\nb=1\nc=\"/x y\"\nd=\"q\"\ne=\nf=On;x\n");
    }
}

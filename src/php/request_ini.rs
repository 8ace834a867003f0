//! PHP_VALUE and PHP_ADMIN_VALUE: ini settings from the web server, for one request.

use std::cell::RefCell;
use std::ffi::{CStr, c_int, c_void};

use super::context::with;
use super::ffi::{core_globals, zend_parse_ini_string, zval};
use super::ini::{Before, remember};
use super::text::c_bytes;
use super::{log, memory, value};
use crate::config::{LogLevel, Trust};

/// `ZEND_INI_SCANNER_NORMAL`, `ZEND_INI_PARSER_ENTRY`
const SCANNER_NORMAL: c_int = 0;
const PARSER_ENTRY: c_int = 1;

/// Those that would outlast the request, or load code. php-fpm lets them. opcache leaves its memory write-protected for a worker that
/// then no longer knows of it.
const REFUSED: [&CStr; 5] =
    [c"extension", c"zend_extension", c"disable_functions", c"disable_classes", c"opcache.protect_memory"];

thread_local! {
    /// In the order of the changes. Borrowed only between calls into PHP, which may bail out.
    static CHANGES: RefCell<Vec<Before>> = const { RefCell::new(Vec::new()) };
}

/// Applies both variables, if they are there and the pool takes them. May bail out.
pub(super) fn apply(trust: Trust) {
    for (name, admin) in [(c"PHP_VALUE", false), (c"PHP_ADMIN_VALUE", true)] {
        let lines = with(|context| context.variable(name.to_bytes())).unwrap_or(std::ptr::null_mut());
        // SAFETY: null or a C string of the request.
        match unsafe { c_bytes(lines) } {
            None | Some(b"") => {}
            Some(lines) if trust == Trust::All || (trust == Trust::User && !admin) => parse(lines, admin),
            Some(_) => complain("", name, " isn't taken here (see security.fastcgi_php_value)"),
        }
    }
}

/// Restores what the request before had. After PHP's request shutdown; bails out nowhere.
pub(super) fn undo() {
    while let Some(before) = CHANGES.with_borrow_mut(Vec::pop) {
        before.restore();
    }
}

fn parse(lines: &[u8], admin: bool) {
    // PHP says so until the next request begins. An owner that believes it ends the request that is none yet: session does so for a
    // handler that doesn't exist, but not in a worker's first request.
    // SAFETY: PHP's globals live as long as the process; no request runs.
    unsafe { (*core_globals()).modules_activated = false };
    // SAFETY: PHP's allocator; nothing is owned here.
    let text = unsafe { memory::allocate(lines.len() + 2) }.cast::<u8>();
    // SAFETY: fresh memory of that size.
    let bytes = unsafe { std::slice::from_raw_parts_mut(text, lines.len() + 2) };
    for (to, from) in bytes.iter_mut().zip(lines.iter().chain(b"\n\0")) {
        *to = *from;
    }
    let mode = (&raw const admin).cast_mut().cast::<c_void>();
    // SAFETY: a C string that the parser may change, our callback and what it expects.
    unsafe { zend_parse_ini_string(text.cast(), true, SCANNER_NORMAL, entry, mode) };
    // SAFETY: allocated above.
    unsafe { memory::free(text.cast()) };
}

/// One line.
unsafe extern "C" fn entry(key: *mut zval, value: *mut zval, _index: *mut zval, kind: c_int, admin: *mut c_void) {
    if key.is_null() {
        return;
    }
    // SAFETY: `parse` passes a bool.
    let admin = unsafe { *admin.cast::<bool>() };
    // SAFETY: the parser passes strings.
    let key = unsafe { value::text(key) };
    // SAFETY: as above, or null.
    let value = unsafe { value::text(value) };
    match (kind, key, value) {
        (PARSER_ENTRY, Some(key), Some(value)) if !key.is_empty() => set(key, value.to_bytes(), admin),
        (PARSER_ENTRY, Some(key), None) if !key.is_empty() => complain("empty value for key '", key, "'"),
        (PARSER_ENTRY, ..) => complain("empty key", c"", ""),
        _ => complain("only classic entries are allowed", c"", ""),
    }
}

fn set(key: &CStr, value: &[u8], admin: bool) {
    let before = if REFUSED.contains(&key) { None } else { remember(key) };
    let Some(before) = before else { return complain("unable to set '", key, "'") };
    // First, for the entry's owner may bail out when it has taken half of the value.
    CHANGES.with_borrow_mut(|changes| changes.push(before));
    if !before.change(value, admin) {
        CHANGES.with_borrow_mut(Vec::pop);
    }
}

fn complain(before: &str, key: &CStr, after: &str) {
    let parts = [b"Passing INI directive through FastCGI: ", before.as_bytes(), key.to_bytes(), after.as_bytes()];
    log::report(LogLevel::Error, &parts);
}

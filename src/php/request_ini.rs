//! `PHP_VALUE` and `PHP_ADMIN_VALUE`: ini settings that the web server sends for one request.

use std::cell::RefCell;
use std::ffi::{CStr, c_int, c_void};

use super::context::with;
use super::ffi::{core_globals, zend_parse_ini_string, zval};
use super::ini::{Before, remember};
use super::names::OfPhp;
use super::text::c_bytes;
use super::{log, memory, trusted, value};
use crate::config::{Names, PhpValuePolicy};
use crate::log::messages::{ByteMessage, php as messages};

/// `ZEND_INI_SCANNER_NORMAL`, `ZEND_INI_PARSER_ENTRY`
const SCANNER_NORMAL: c_int = 0;
const PARSER_ENTRY: c_int = 1;

/// Settings that would outlast the request or load code. php-fpm accepts them. (With `opcache.protect_memory`, opcache leaves its
/// memory write-protected in a worker that has the setting no longer.)
const REFUSED: [&CStr; 5] =
    [c"extension", c"zend_extension", c"disable_functions", c"disable_classes", c"opcache.protect_memory"];

thread_local! {
    /// The changed entries in order. Borrowed only between calls of PHP, which may bail out.
    static CHANGES: RefCell<Vec<Before>> = const { RefCell::new(Vec::new()) };
}

/// Where a line comes from, which decides what it may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    /// `PHP_VALUE` of a trusted web server.
    Value,
    /// `PHP_ADMIN_VALUE` of a trusted web server. Scripts cannot change these settings.
    Admin,
    /// `PHP_VALUE` of an untrusted web server.
    Untrusted,
}

/// Applies both variables, if they are sent and the pool accepts them. May bail out.
pub(super) fn apply(trust: PhpValuePolicy) {
    for (name, admin) in [(c"PHP_VALUE", false), (c"PHP_ADMIN_VALUE", true)] {
        let lines = with(|context| context.variable(name.to_bytes())).unwrap_or(std::ptr::null_mut());
        // SAFETY: null or a C string in the request's variables, which stay until the next request.
        let Some(lines) = (unsafe { c_bytes(lines) }).filter(|lines| !lines.is_empty()) else { continue };
        match (trust, admin) {
            (PhpValuePolicy::All, false) => parse(lines, Word::Value),
            (PhpValuePolicy::All, true) => parse(lines, Word::Admin),
            (PhpValuePolicy::User, false) => {
                match trusted::looked_up(lines, |constant| OfPhp.constant(constant).is_some()) {
                    Some(what) => refuse(what, name),
                    None => parse(lines, Word::Untrusted),
                }
            }
            (PhpValuePolicy::User, true) | (PhpValuePolicy::Nothing, _) => refuse(b"", name),
        }
    }
}

/// Logs that the pool does not accept the variable. Not for each request: a client that reaches the socket could fill the log.
fn refuse(before: &[u8], what: &CStr) {
    let told = with(|context| context.tracker().and_then(|tracker| tracker.setting_refused()));
    let Some(others) = told.flatten() else { return };
    let more = if others > 0 { format!("; {others} more since the last one") } else { String::new() };
    let name = [before, what.to_bytes()].concat();
    log::report(&messages::passed_setting_not_allowed(&name, more.as_bytes()));
}

/// Restores the former values. After PHP's request shutdown. Bailouts of owners are caught.
pub(super) fn undo() {
    while let Some(before) = CHANGES.with_borrow_mut(Vec::pop) {
        before.restore();
    }
}

fn parse(lines: &[u8], word: Word) {
    // PHP leaves this set until the next request begins. The owner of an entry that relies on it acts as if a request ran:
    // session ends the request for a handler that does not exist, though not in a worker's first request. SAFETY:
    // PG(modules_activated) is PHP's, at a valid address (`ffi::host`), and this is PHP's thread.
    unsafe { (*core_globals()).modules_activated = false };
    // SAFETY: PHP's allocator; nothing is owned here.
    let text = unsafe { memory::allocate(lines.len() + 2) }.cast::<u8>();
    // SAFETY: `text` is new memory of that size, which nothing else uses. Every byte is written before it is read.
    let bytes = unsafe { std::slice::from_raw_parts_mut(text, lines.len() + 2) };
    for (to, from) in bytes.iter_mut().zip(lines.iter().chain(b"\n\0")) {
        *to = *from;
    }
    let word = (&raw const word).cast_mut().cast::<c_void>();
    // SAFETY: a C string that the parser may change, our callback and what it expects.
    unsafe { zend_parse_ini_string(text.cast(), true, SCANNER_NORMAL, entry, word) };
    // SAFETY: allocated above, and the parser keeps no pointer into it.
    unsafe { memory::free(text.cast()) };
}

/// The parser's callback for one line.
unsafe extern "C" fn entry(key: *mut zval, value: *mut zval, _index: *mut zval, kind: c_int, word: *mut c_void) {
    if key.is_null() {
        return;
    }
    // SAFETY: `parse` passes one.
    let word = unsafe { *word.cast::<Word>() };
    // SAFETY: the parser passes strings.
    let key = unsafe { value::text(key) };
    // SAFETY: the parser passes a value with a string, or null.
    let value = unsafe { value::text(value) };
    match (kind, key, value) {
        (PARSER_ENTRY, Some(key), Some(value)) if !key.is_empty() => set(key, value.to_bytes(), word),
        (PARSER_ENTRY, Some(key), None) if !key.is_empty() => {
            complain(word, key, messages::passed_setting_has_no_value(key.to_bytes()))
        }
        (PARSER_ENTRY, ..) => complain(word, c"", messages::passed_setting_has_no_name()),
        _ => complain(word, c"", messages::passed_setting_is_no_entry()),
    }
}

fn set(key: &CStr, value: &[u8], word: Word) {
    let before = if REFUSED.contains(&key) { None } else { remember(key) };
    let Some(before) = before else { return complain(word, key, messages::passed_setting_refused(key.to_bytes())) };
    if word == Word::Untrusted && !(trusted::is_harmless(key) && before.is_changeable()) {
        return refuse(b"", key);
    }
    // Before the entry is set: its owner may bail out after it has taken a part of the value.
    CHANGES.with_borrow_mut(|changes| changes.push(before));
    if !before.change(value, word == Word::Admin) {
        CHANGES.with_borrow_mut(Vec::pop);
    }
}

/// Logs what is wrong with a line; of a web server that isn't trusted, only that it is refused.
fn complain(word: Word, key: &CStr, message: ByteMessage) {
    if word == Word::Untrusted {
        return refuse(b"", if key.is_empty() { c"such a line" } else { key });
    }
    log::report(&message);
}

//! Applies the `[HOST=]` and `[PATH=]` sections of php.ini and `.user.ini` files to each request, as php-fpm does.

use std::cell::RefCell;
use std::ffi::{c_char, c_int};
use std::mem::MaybeUninit;
use std::ptr::null_mut;

use super::context::with;
use super::ffi::host;
use super::ffi::{
    _zend_hash_init, HashTable, core_globals, php_ini_activate_config, php_ini_activate_per_dir_config,
    php_ini_activate_per_host_config, php_ini_has_per_dir_config, php_ini_has_per_host_config, php_parse_user_ini_file,
    sapi_get_request_time, sapi_globals, tsrm_realpath, zend_dirname, zend_hash_clean, zend_hash_destroy,
};
use super::text::{PATH_MAX, bytes_at, c_bytes, with_path};
use crate::plan::expiring::Expiring;

const PHP_INI_PERDIR: c_int = 2;
const PHP_INI_STAGE_HTACCESS: c_int = 32;

/// At most this many directories are cached. With `cgi.fix_pathinfo = 0` a client can name any number of them, also missing ones.
const MOST: usize = 1024;

thread_local! {
    /// By directory: the settings of all `.user.ini` files that apply to it. The tables are boxed, since PHP's table must not
    /// move. The map is borrowed only between calls of PHP, because a bailout would leave it borrowed.
    static CACHE: RefCell<Expiring<Box<HashTable>>> = RefCell::new(Expiring::new(MOST));
}

/// Drops the cache before PHP shuts down.
pub(super) fn forget() {
    CACHE.with_borrow_mut(|cache| cache.take_all().for_each(destroy));
}

/// Applies the settings for the script's directory, once a request: before PHP reads the body, so that `post_max_size` and
/// `enable_post_data_reading` take effect, or else in the SAPI callback `activate`.
pub(super) fn apply_once() {
    // SAFETY: SG(request_info.path_translated) is PHP's, at a valid address (`ffi::host`). The value is copied.
    let script = unsafe { (*sapi_globals()).request_info.path_translated };
    if !script.is_null() && with(|context| std::mem::replace(&mut context.ini_applied, true)) == Some(false) {
        activate(script);
    }
}

/// Applies them for a script. Calls of PHP may bail out, so nothing with a destructor is owned across them.
fn activate(script: *const c_char) {
    // SAFETY: PHP has read php.ini; this asks whether it has such sections.
    if unsafe { php_ini_has_per_host_config() } {
        activate_host();
    }
    // SAFETY: PG(user_ini_filename) is PHP's, at a valid address (`ffi::host`). The value is copied.
    let name = unsafe { (*core_globals()).user_ini_filename };
    // SAFETY: null or a C string that the ini entry keeps until the setting changes, which no code here causes meanwhile.
    let scan = unsafe { c_bytes(name) }.is_some_and(|name| !name.is_empty());
    // SAFETY: PHP has read php.ini; this asks whether it has such sections.
    if !scan && !unsafe { php_ini_has_per_dir_config() } {
        return;
    }
    // SAFETY: a C string that PHP keeps for the request.
    let script = unsafe { c_bytes(script) }.unwrap_or_default();
    with_path(script, |text| activate_directory(Path::directory_of(text, script.len()), scan.then_some(name)));
}

fn activate_directory(mut path: Path, name: Option<*const c_char>) {
    // SAFETY: a C string and its length, in a buffer that PHP may change and restores.
    unsafe { php_ini_activate_per_dir_config(path.text, path.length) };
    let Some(name) = name else { return };
    let root = with(|context| context.variable(b"DOCUMENT_ROOT")).unwrap_or(null_mut());
    // SAFETY: null or a C string in the request's variables, which stay until the next request.
    if let Some(root) = unsafe { c_bytes(root) } {
        activate_files(&mut path, name, root);
    }
}

fn activate_host() {
    let mut name = [0; 256];
    let length = with(|context| {
        let host = context.env.value(b"SERVER_NAME")?;
        let place = name.get_mut(..host.len())?;
        place.copy_from_slice(host);
        place.make_ascii_lowercase();
        Some(host.len())
    });
    if let Some(length) = length.flatten() {
        // SAFETY: a text with its length, which is only read.
        unsafe { php_ini_activate_per_host_config(name.as_ptr().cast(), length) };
    }
}

fn activate_files(path: &mut Path, name: *const c_char, root: &[u8]) {
    // SAFETY: PHP's own clock.
    let now = unsafe { sapi_get_request_time() }.floor();
    let (table, expires) = table_for(path.bytes());
    if now > expires {
        // SAFETY: `table_for` made the table and keeps it for the life of the process.
        unsafe { zend_hash_clean(table) };
        // SAFETY: PG(user_ini_cache_ttl) is PHP's, at a valid address (`ffi::host`). The value is copied.
        let lifetime = unsafe { (*core_globals()).user_ini_cache_ttl };
        set_expiry(path.bytes(), now + f64::from(i32::try_from(lifetime).unwrap_or(i32::MAX)));
        if !path.make_absolute() {
            return;
        }
        scan(path, name, root.strip_suffix(b"/").unwrap_or(root).len(), root, table);
    }
    // SAFETY: `table_for` made the table and keeps it for the life of the process.
    unsafe { php_ini_activate_config(table, PHP_INI_PERDIR, PHP_INI_STAGE_HTACCESS) };
}

/// Reads the files of the document root and of each directory down to this one. Outside of the document root, only this
/// directory's file.
fn scan(path: &mut Path, name: *const c_char, root_length: usize, root: &[u8], table: *mut HashTable) {
    let (trimmed, _) = root.split_at(root_length);
    if path.length > root_length && path.bytes().starts_with(trimmed) {
        let mut at = root_length;
        while let Some(slash) = path.bytes().iter().skip(at).position(|&byte| byte == b'/') {
            at += slash;
            path.set(at, 0);
            // SAFETY: `path` and `name` are C strings, and `table` was made by `table_for`, which PHP fills.
            unsafe { php_parse_user_ini_file(path.text, name, table) };
            path.set(at, b'/');
            at += 1;
        }
    } else if path.length > root_length || !root.starts_with(path.bytes()) || root_length < root.len() {
        // SAFETY: `path` and `name` are C strings, and `table` was made by `table_for`, which PHP fills.
        unsafe { php_parse_user_ini_file(path.text, name, table) };
    }
}

/// The table of a directory, and when it expires. A new table has expired.
fn table_for(directory: &[u8]) -> (*mut HashTable, f64) {
    CACHE.with_borrow_mut(|cache| {
        let (found, gone) = cache.get_or_make(directory, new_table);
        let found = found.map_or((null_mut(), f64::MAX), |(expires, table)| (&raw mut **table, expires));
        gone.into_iter().for_each(destroy);
        found
    })
}

fn new_table() -> Box<HashTable> {
    // SAFETY: a C structure of numbers and pointers, initialized below.
    let mut table: Box<HashTable> = Box::new(unsafe { std::mem::zeroed() });
    let destructor = host().config_zval_dtor as *mut std::ffi::c_void;
    // SAFETY: a persistent table: no memory of the request's, so this can't bail out.
    unsafe { _zend_hash_init(&raw mut *table, 0, destructor, true) };
    table
}

#[expect(clippy::boxed_local, reason = "as it was kept")]
fn destroy(mut table: Box<HashTable>) {
    // SAFETY: initialized by `new_table`; no other code uses it any more.
    unsafe { zend_hash_destroy(&raw mut *table) };
}

fn set_expiry(directory: &[u8], expires: f64) {
    CACHE.with_borrow_mut(|cache| cache.renew(directory, expires));
}

/// The path of a directory with a slash at its end, in a buffer of `with_path`.
struct Path {
    text: *mut c_char,
    length: usize,
}

impl Path {
    /// Makes of a script's path the path of its directory, in place.
    fn directory_of(text: *mut c_char, length: usize) -> Self {
        // SAFETY: a C string and its length; the result isn't longer, or is `.`.
        let length = unsafe { zend_dirname(text, length) };
        let path = Self { text, length: length + 1 };
        path.set(length, b'/');
        path.set(length + 1, 0);
        path
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: that many bytes are set.
        unsafe { bytes_at(self.text, self.length) }
    }

    /// `at` is at most the length.
    fn set(&self, at: usize, byte: u8) {
        // SAFETY: `at` is at most the length, and the buffer has room for the longest path, a slash and a NUL.
        let place = unsafe { self.text.cast::<u8>().add(at) };
        // SAFETY: `at` is at most the length, and the buffer has room for the longest path, a slash and a NUL.
        unsafe { place.write(byte) };
    }

    /// Makes a relative path absolute. False: it does not resolve.
    fn make_absolute(&mut self) -> bool {
        if self.bytes().starts_with(b"/") {
            return true;
        }
        let mut resolved = [MaybeUninit::<c_char>::uninit(); PATH_MAX];
        // SAFETY: a C string, and a buffer of MAXPATHLEN.
        let found = unsafe { tsrm_realpath(self.text, resolved.as_mut_ptr().cast()) };
        // SAFETY: null or the buffer with a C string in it.
        let Some(found) = (unsafe { c_bytes(found) }) else { return false };
        for (at, &byte) in found.iter().chain(&[0]).enumerate() {
            self.set(at, byte);
        }
        self.length = found.len();
        true
    }
}

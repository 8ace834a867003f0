//! php.ini's `[HOST=]` and `[PATH=]` sections and `.user.ini` files, as php-fpm applies them at each request.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{c_char, c_int};

use super::context::with;
use super::ffi::{
    _zend_hash_init, HashTable, core_globals, php_ini_activate_config, php_ini_activate_per_dir_config,
    php_ini_activate_per_host_config, php_ini_has_per_dir_config, php_ini_has_per_host_config, php_parse_user_ini_file,
    sapi_get_request_time, tsrm_realpath, zend_dirname, zend_hash_clean, zend_hash_destroy,
};
use super::host::host;
use super::text::c_bytes;

const PHP_INI_PERDIR: c_int = 2;
const PHP_INI_STAGE_HTACCESS: c_int = 32;
const PATH_MAX: usize = 4096;

/// The settings of all `.user.ini` files that hold for a directory. Boxed: PHP's table must not move.
struct Entry {
    expires: f64,
    settings: Box<HashTable>,
}

thread_local! {
    /// By directory. Only between calls into PHP: a bailout would leave it borrowed.
    static CACHE: RefCell<HashMap<Vec<u8>, Entry>> = RefCell::new(HashMap::new());
}

/// Drops what is cached; PHP is going to shut down.
pub(super) fn forget() {
    for (_, mut entry) in CACHE.take() {
        // SAFETY: initialized by `table_for`.
        unsafe { zend_hash_destroy(&raw mut *entry.settings) };
    }
}

/// The SAPI's `activate`, for a script at `script`. Calls into PHP may bail out: nothing is owned across them.
pub(super) fn activate(script: *const c_char) {
    // SAFETY: PHP's own state.
    if unsafe { php_ini_has_per_host_config() } {
        activate_host();
    }
    // SAFETY: PHP's globals live as long as the process.
    let name = unsafe { (*core_globals()).user_ini_filename };
    // SAFETY: null or a C string of the ini entry.
    let scan = unsafe { c_bytes(name) }.is_some_and(|name| !name.is_empty());
    // SAFETY: PHP's own state.
    if !scan && !unsafe { php_ini_has_per_dir_config() } {
        return;
    }
    // SAFETY: a C string that PHP keeps for the request.
    let script = unsafe { c_bytes(script) }.unwrap_or_default();
    let mut path = Path::directory_of(script);
    // SAFETY: a C string and its length, in a buffer that PHP may change and restores.
    unsafe { php_ini_activate_per_dir_config(path.start(), path.length) };
    if scan && let Some(root) = with(|context| context.variable(b"DOCUMENT_ROOT")) {
        // SAFETY: null or a C string of the request.
        if let Some(root) = unsafe { c_bytes(root) } {
            activate_files(&mut path, name, root);
        }
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
        // SAFETY: a name and its length.
        unsafe { php_ini_activate_per_host_config(name.as_ptr().cast(), length) };
    }
}

fn activate_files(path: &mut Path, name: *const c_char, root: &[u8]) {
    // SAFETY: PHP's own clock.
    let now = unsafe { sapi_get_request_time() }.floor();
    let (table, expires) = table_for(path.bytes());
    if now > expires {
        // SAFETY: a table of `table_for`.
        unsafe { zend_hash_clean(table) };
        let key = *path;
        if !path.make_absolute() {
            return;
        }
        scan(path, name, root.strip_suffix(b"/").unwrap_or(root).len(), root, table);
        // SAFETY: PHP's globals live as long as the process.
        let lifetime = unsafe { (*core_globals()).user_ini_cache_ttl };
        set_expiry(key.bytes(), now + f64::from(i32::try_from(lifetime).unwrap_or(i32::MAX)));
    }
    // SAFETY: a table of `table_for`.
    unsafe { php_ini_activate_config(table, PHP_INI_PERDIR, PHP_INI_STAGE_HTACCESS) };
}

/// Reads the files from the document root down to the directory; outside of the document root, only the directory's.
fn scan(path: &mut Path, name: *const c_char, root_length: usize, root: &[u8], table: *mut HashTable) {
    let (trimmed, _) = root.split_at(root_length);
    if path.length > root_length && path.bytes().starts_with(trimmed) {
        let mut at = root_length;
        while let Some(slash) = path.bytes().iter().skip(at).position(|&byte| byte == b'/') {
            at += slash;
            path.set(at, 0);
            // SAFETY: C strings, a table of `table_for`.
            unsafe { php_parse_user_ini_file(path.start(), name, table) };
            path.set(at, b'/');
            at += 1;
        }
    } else if path.length > root_length || root.starts_with(path.bytes()) && root_length < root.len() {
        // SAFETY: as above.
        unsafe { php_parse_user_ini_file(path.start(), name, table) };
    }
}

/// The directory's table and when it expires; a new one has expired.
fn table_for(directory: &[u8]) -> (*mut HashTable, f64) {
    CACHE.with_borrow_mut(|cache| {
        if !cache.contains_key(directory) {
            // SAFETY: a C structure of numbers and pointers, initialized below.
            let mut settings: Box<HashTable> = Box::new(unsafe { std::mem::zeroed() });
            let destructor = host().config_zval_dtor as *mut std::ffi::c_void;
            // SAFETY: a persistent table: no memory of the request's, so this can't bail out.
            unsafe { _zend_hash_init(&raw mut *settings, 0, destructor, true) };
            cache.insert(directory.to_vec(), Entry { expires: 0.0, settings });
        }
        cache
            .get_mut(directory)
            .map_or((std::ptr::null_mut(), f64::MAX), |entry| (&raw mut *entry.settings, entry.expires))
    })
}

fn set_expiry(directory: &[u8], expires: f64) {
    CACHE.with_borrow_mut(|cache| {
        if let Some(entry) = cache.get_mut(directory) {
            entry.expires = expires;
        }
    });
}

/// A directory's path with a slash at its end, on the stack.
#[derive(Clone, Copy)]
struct Path {
    buffer: [u8; PATH_MAX + 2],
    length: usize,
}

impl Path {
    fn directory_of(script: &[u8]) -> Self {
        let mut path = Self { buffer: [0; PATH_MAX + 2], length: 0 };
        for (to, &from) in path.buffer.iter_mut().take(PATH_MAX).zip(script) {
            *to = from;
        }
        // SAFETY: a C string and its length; the result isn't longer.
        path.length = unsafe { zend_dirname(path.start(), script.len().min(PATH_MAX)) };
        path.set(path.length, b'/');
        path.length += 1;
        path.set(path.length, 0);
        path
    }

    fn start(&mut self) -> *mut c_char {
        self.buffer.as_mut_ptr().cast()
    }

    fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }

    fn set(&mut self, at: usize, byte: u8) {
        if let Some(place) = self.buffer.get_mut(at) {
            *place = byte;
        }
    }

    /// False if a relative path doesn't resolve.
    fn make_absolute(&mut self) -> bool {
        if self.buffer.first() == Some(&b'/') {
            return true;
        }
        let relative = *self;
        // SAFETY: a C string, and a buffer of at least MAXPATHLEN.
        let resolved = unsafe { tsrm_realpath(relative.buffer.as_ptr().cast(), self.start()) };
        // SAFETY: null or the buffer with a C string in it.
        self.length = unsafe { c_bytes(resolved) }.map_or(0, <[u8]>::len);
        self.length != 0
    }
}

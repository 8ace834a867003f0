//! PHP's cache of resolved paths, asked directly. `tsrm_realpath` asks it as well, but clears and copies buffers of 4 KiB before, and
//! allocates memory, which costs a small request a tenth of PHP's own instructions.

use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, Ordering};

use super::ffi::{core_globals, php_clear_stat_cache, realpath_cache_lookup, zend_ini_long};
use super::text::{PATH_MAX, c_bytes};

/// PHP has stopped to use its cache in this process, though entries may be left in it.
static UNUSED: AtomicBool = AtomicBool::new(false);

/// At the start of a worker: the pool may have set `realpath_cache_size = 0`, while the cache has entries of the zygote.
pub(super) fn begin() {
    const SIZE: &std::ffi::CStr = c"realpath_cache_size";
    // SAFETY: a name with its length. No request runs.
    if unsafe { zend_ini_long(SIZE.as_ptr(), SIZE.count_bytes(), 0) } == 0 {
        UNUSED.store(true, Ordering::Relaxed);
    }
}

/// At the start of each request, when its settings are known: with `open_basedir`, PHP uses the cache no more, also in later requests
/// (`php_request_startup`).
pub(super) fn note_open_basedir() {
    // SAFETY: PG(open_basedir) is PHP's, at a valid address (`ffi::host`). The value is copied.
    let limit = unsafe { (*core_globals()).open_basedir };
    // SAFETY: null or a C string that the ini entry keeps until the setting changes, which no code here causes meanwhile.
    if unsafe { c_bytes(limit) }.is_some_and(|limit| !limit.is_empty()) {
        UNUSED.store(true, Ordering::Relaxed);
    }
}

/// Empties the cache, and forgets the file that PHP has asked the system about last (`stat`). To be called between two requests.
pub(super) fn clear() {
    // SAFETY: no request runs. Without a name, all entries are freed, which belong to the process and not to a request.
    unsafe { php_clear_stat_cache(true, null(), 0) };
}

/// Whether PHP's cache has the path, so that `tsrm_realpath` would resolve it. False: ask that.
pub(super) fn has(path: &[u8]) -> bool {
    if UNUSED.load(Ordering::Relaxed) || !is_asked_as_it_is(path) {
        return false;
    }
    // SAFETY: null: only the result is wanted.
    let now = unsafe { libc::time(null_mut()) };
    // SAFETY: a text with its length, which is compared with the paths of entries. The result is only compared.
    !unsafe { realpath_cache_lookup(path.as_ptr().cast(), path.len(), now) }.is_null()
}

/// Whether `tsrm_realpath` looks this path up in the cache before it does anything else: it is absolute, and its last part is neither
/// empty nor `.` nor `..`.
fn is_asked_as_it_is(path: &[u8]) -> bool {
    let last = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    path.starts_with(b"/") && path.len() < PATH_MAX - 1 && !matches!(last, b"" | b"." | b"..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_paths_are_looked_up() {
        for path in ["/a.php", "/srv/www/index.php", "/srv//www/../index.php", "/..a", "/a/..."] {
            assert!(is_asked_as_it_is(path.as_bytes()), "{path}");
        }
        for path in ["", "/", "a.php", "./a.php", "/a/", "/a/.", "/a/..", "/.."] {
            assert!(!is_asked_as_it_is(path.as_bytes()), "{path}");
        }
        let long = format!("/{}", "a".repeat(PATH_MAX - 3));
        assert!(is_asked_as_it_is(long.as_bytes()) && !is_asked_as_it_is(format!("{long}a").as_bytes()));
    }
}

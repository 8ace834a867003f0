//! The process title: the memory of the arguments, as `ps` reads it, and the short name for pgrep.

use std::ffi::{CStr, c_char, c_int};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

static AREA: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
static SIZE: AtomicUsize = AtomicUsize::new(0);

/// Remembers where the arguments (and the environment right behind them, once it was copied away) stand.
///
/// # Safety
/// `argv` must be main's own, with `argc` strings, and stay mapped. The caller has copied what it needs of it.
pub unsafe fn remember(argc: c_int, argv: *const *const c_char) {
    let Ok(argc) = usize::try_from(argc) else { return };
    let mut end: *const u8 = std::ptr::null();
    let mut start = end;
    for i in 0..argc {
        // SAFETY: i < argc, and argv has argc pointers.
        let slot = unsafe { argv.add(i) };
        // SAFETY: as above.
        let arg = unsafe { *slot };
        // SAFETY: each is a NUL-terminated string.
        let length = unsafe { CStr::from_ptr(arg) }.to_bytes_with_nul().len();
        if !end.is_null() && arg.cast() != end {
            break;
        }
        start = if start.is_null() { arg.cast() } else { start };
        // SAFETY: one past this string's NUL.
        end = unsafe { arg.cast::<u8>().add(length) };
    }
    SIZE.store((end as usize) - (start as usize), Ordering::Relaxed);
    AREA.store(start.cast_mut(), Ordering::Relaxed);
}

/// Sets the title, cut to the room there is, and the process name `php-fpm`.
pub fn set(title: &str) {
    let _ = nix::sys::prctl::set_name(c"php-fpm");
    let (area, size) = (AREA.load(Ordering::Relaxed), SIZE.load(Ordering::Relaxed));
    if area.is_null() || size < 2 {
        return;
    }
    let length = title.len().min(size - 1);
    // SAFETY: `size` bytes from `area` on are the argument strings of this process, writable, and read by nobody here any more.
    unsafe { area.write_bytes(0, size) };
    // SAFETY: length < size, and the title is memory of ours, elsewhere.
    unsafe { area.copy_from_nonoverlapping(title.as_ptr(), length) };
}

//! The process title: the memory of the arguments, as `ps` reads it, and the short name for pgrep.

use std::ffi::{CStr, c_char, c_int};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use crate::escape;

static AREA: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
static SIZE: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" {
    static mut environ: *mut *mut c_char;
}

/// Remembers where the arguments stand, and the environment right behind them, which is copied away: a title may be
/// longer than the command line was.
///
/// # Safety
/// `argv` must be main's own, with `argc` strings, and stay mapped. The caller has copied what it needs of it. There is
/// one thread.
pub unsafe fn remember(argc: c_int, argv: *const *const c_char) {
    let Ok(argc) = usize::try_from(argc) else { return };
    let mut area = Area { start: std::ptr::null(), end: std::ptr::null() };
    for i in 0..argc {
        // SAFETY: i < argc, and argv has argc pointers.
        let slot = unsafe { argv.add(i) };
        // SAFETY: as above.
        let arg = unsafe { *slot };
        // SAFETY: each is a NUL-terminated string.
        if unsafe { area.take(arg) }.is_none() {
            break;
        }
    }
    if !area.start.is_null() {
        // SAFETY: one thread.
        unsafe { move_environment(&mut area) };
    }
    SIZE.store((area.end as usize) - (area.start as usize), Ordering::Relaxed);
    AREA.store(area.start.cast_mut(), Ordering::Relaxed);
}

/// Strings that stand one behind the other.
struct Area {
    start: *const u8,
    end: *const u8,
}

impl Area {
    /// Adds the string if it is the next one.
    ///
    /// # Safety
    /// It is NUL-terminated.
    unsafe fn take<'a>(&mut self, string: *const c_char) -> Option<&'a CStr> {
        if !self.end.is_null() && string.cast() != self.end {
            return None;
        }
        // SAFETY: the caller's contract.
        let text = unsafe { CStr::from_ptr(string) };
        self.start = if self.start.is_null() { string.cast() } else { self.start };
        // SAFETY: one past this string's NUL.
        self.end = unsafe { string.cast::<u8>().add(text.to_bytes_with_nul().len()) };
        Some(text)
    }
}

/// Gives each variable that stands behind the area memory of its own, and the area its room.
///
/// # Safety
/// Nobody else looks at the environment meanwhile.
unsafe fn move_environment(area: &mut Area) {
    // SAFETY: libc's list, or null.
    let list = unsafe { environ };
    if list.is_null() {
        return;
    }
    for i in 0.. {
        // SAFETY: the list ends with a null pointer, at which this stops.
        let slot = unsafe { list.add(i) };
        // SAFETY: as above.
        let variable = unsafe { *slot };
        if variable.is_null() {
            return;
        }
        // SAFETY: a variable is a NUL-terminated string.
        let Some(text) = (unsafe { area.take(variable) }) else { return };
        // SAFETY: the list is libc's own and writable; the copy is never freed.
        unsafe { *slot = text.to_owned().into_raw() };
    }
}

/// Sets the title, cut to the room there is, and the process name `php-fpm`. `ps` shows it, so it is a line.
pub fn set(title: &str) {
    let title = escape::line(title.as_bytes());
    let _ = nix::sys::prctl::set_name(c"php-fpm");
    let (area, size) = (AREA.load(Ordering::Relaxed), SIZE.load(Ordering::Relaxed));
    if area.is_null() || size < 2 {
        return;
    }
    let length = title.floor_char_boundary(size - 1);
    // SAFETY: `size` bytes from `area` on are the argument strings of this process (and copied variables), writable, and read by nobody here any more.
    unsafe { area.write_bytes(0, size) };
    // SAFETY: length < size, and the title is memory of ours, elsewhere.
    unsafe { area.copy_from_nonoverlapping(title.as_ptr(), length) };
}

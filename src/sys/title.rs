//! The process title: the memory of the arguments, which `ps` shows, and the short name of the process (`PR_SET_NAME`), which
//! pgrep finds.

use std::ffi::{CStr, c_char, c_int};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use crate::escape;

static AREA: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
static SIZE: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" {
    static mut environ: *mut *mut c_char;
}

/// Remembers the memory of the arguments. The environment follows it in memory; its strings are copied elsewhere, so that a title
/// may be longer than the command line was.
///
/// # Safety
/// `argv` is main's, has `argc` strings and stays mapped. The caller has copied the arguments that it needs, since `set`
/// overwrites them. The process has one thread.
pub unsafe fn remember(argc: c_int, argv: *const *const c_char) {
    let Ok(argc) = usize::try_from(argc) else { return };
    let mut area = Area { start: std::ptr::null(), end: std::ptr::null() };
    for i in 0..argc {
        // SAFETY: `i` is below `argc`, and the caller vouches that argv has `argc` pointers.
        let slot = unsafe { argv.add(i) };
        // SAFETY: the caller vouches that argv has `argc` pointers.
        let arg = unsafe { *slot };
        // SAFETY: the caller vouches that each argument ends in a NUL.
        if unsafe { area.take(arg) }.is_none() {
            break;
        }
    }
    if !area.start.is_null() {
        // SAFETY: the caller vouches that there is one thread, so no other code uses the environment.
        unsafe { move_environment(&mut area) };
    }
    SIZE.store((area.end as usize) - (area.start as usize), Ordering::Relaxed);
    AREA.store(area.start.cast_mut(), Ordering::Relaxed);
}

/// A range of memory with strings that follow each other without a gap.
struct Area {
    start: *const u8,
    end: *const u8,
}

impl Area {
    /// Adds a string if it begins where the range ends.
    ///
    /// # Safety
    /// It ends in a NUL.
    unsafe fn take<'a>(&mut self, string: *const c_char) -> Option<&'a CStr> {
        if !self.end.is_null() && string.cast() != self.end {
            return None;
        }
        // SAFETY: the caller vouches that the string ends in a NUL.
        let text = unsafe { CStr::from_ptr(string) };
        self.start = if self.start.is_null() { string.cast() } else { self.start };
        // SAFETY: the result is one past the string's NUL, so at most one past its allocation.
        self.end = unsafe { string.cast::<u8>().add(text.to_bytes_with_nul().len()) };
        Some(text)
    }
}

/// Copies the variables that follow the range to memory of their own, and adds their place to the range.
///
/// # Safety
/// No other code uses the environment meanwhile.
unsafe fn move_environment(area: &mut Area) {
    // SAFETY: the caller vouches that no other code uses the environment. The list is libc's, or null.
    let list = unsafe { environ };
    if list.is_null() {
        return;
    }
    for i in 0.. {
        // SAFETY: the list ends in a null pointer, and the loop stops there.
        let slot = unsafe { list.add(i) };
        // SAFETY: the slot is inside the list, which ends in a null pointer.
        let variable = unsafe { *slot };
        if variable.is_null() {
            return;
        }
        // SAFETY: each variable ends in a NUL.
        let Some(text) = (unsafe { area.take(variable) }) else { return };
        // SAFETY: the list is writable and, by the caller's contract, not in use. The copy is never freed.
        unsafe { *slot = text.to_owned().into_raw() };
    }
}

/// Sets the title, shortened to the memory there is, and the process name `php-fpm`. The title is escaped to one line, since `ps`
/// shows it.
pub fn set(title: &str) {
    let title = escape::line(title.as_bytes());
    let _ = nix::sys::prctl::set_name(c"php-fpm");
    let (area, size) = (AREA.load(Ordering::Relaxed), SIZE.load(Ordering::Relaxed));
    if area.is_null() || size < 2 {
        return;
    }
    let length = title.floor_char_boundary(size - 1);
    // SAFETY: `remember` stored the range: `size` writable bytes, of arguments and of variables that were copied elsewhere. Nothing
    // here reads them.
    unsafe { area.write_bytes(0, size) };
    // SAFETY: `length` is below `size`, and the title is in other memory.
    unsafe { area.copy_from_nonoverlapping(title.as_ptr(), length) };
}

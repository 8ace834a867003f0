//! Returns memory to the kernel that an idle process does not need: the free pages of its heap, the part of its stack that earlier
//! calls have used, and pages of files.

use std::ffi::c_void;
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};

use super::clock::{self, Moment};
use super::{mappings, proc_file, single_threaded};

/// What the calls below may use of the stack; it stays.
const MARGIN: usize = 4 * 1024;
/// So much of the stack below that is returned. Below the main thread's stack the kernel keeps a gap of 1 MiB without other mappings
/// (`stack_guard_gap`), so the range has nothing but stack.
const DEEPEST: usize = 512 * 1024;

/// How long a process keeps the memory of its last work. The next work could use it again.
const KEEP: Duration = Duration::from_secs(1);

/// When a process returns memory, if it has no work until then.
#[derive(Debug)]
pub struct ReleaseTimer {
    keep: Duration,
    due: Option<Moment>,
}

impl Default for ReleaseTimer {
    fn default() -> Self {
        Self::after(KEEP)
    }
}

impl ReleaseTimer {
    /// One with another time than the usual.
    #[must_use]
    pub fn after(keep: Duration) -> Self {
        Self { keep, due: None }
    }

    /// The process has work.
    pub fn restart(&mut self) {
        self.due = Some(clock::now() + self.keep);
    }

    /// When memory is to be returned.
    #[must_use]
    pub fn due(&self) -> Option<Moment> {
        self.due
    }

    /// Whether the time has come. True once.
    pub fn has_come(&mut self, now: Moment) -> bool {
        self.due.take_if(|due| *due <= now).is_some()
    }
}

/// Returns the free pages of the heap, and the unused part of the stack. To be called in the main thread.
pub fn release() {
    trim_heap();
    release_stack();
}

/// Unmaps the pages of programs and libraries that are the same as in their files. They stay in the page cache, and those that are used
/// again are mapped again. Worth it for a process that has started PHP and only waits from then on: most of the pages were needed
/// for the start.
pub fn release_files() {
    if single_threaded::count() != Some(1) {
        return;
    }
    let smaps = proc_file::read("/proc/self/smaps").unwrap_or_default();
    for range in mappings::unchanged_files(&smaps) {
        // SAFETY: the mapping is private, cannot be written to and has no page that differs from the file, so each page is read from
        // the file again with the same content. There is one thread, so nothing has changed that since the list was read.
        unsafe { dont_need(range.start, range.end) };
    }
}

#[cfg(target_env = "gnu")]
fn trim_heap() {
    // SAFETY: returns whole pages of free memory. The allocator locks itself.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(target_env = "gnu"))]
fn trim_heap() {}

/// `MADV_DONTNEED`: the pages are zero when they are used next.
#[inline(never)]
fn release_stack() {
    let Some(page) = page_size() else { return };
    let here = (&raw const page).addr();
    let Some(end) = here.checked_sub(MARGIN).map(|end| end / page * page) else { return };
    let Some(start) = end.checked_sub(DEEPEST / page * page) else { return };
    // SAFETY: the stack grows downwards, and `end` is more than this function and the call use below `here`. So the range is below
    // everything that is live, and has no memory but the main thread's stack (see `DEEPEST`).
    unsafe { dont_need(start, end) };
}

/// Makes bytes zero that nobody needs. Whole pages are returned to the kernel.
pub fn clear(bytes: &mut [u8]) {
    let Some(page) = page_size() else { return };
    let (start, end) = (bytes.as_ptr().addr(), bytes.as_ptr().addr() + bytes.len());
    let (first, last) = (start.next_multiple_of(page), end / page * page);
    if first >= last {
        return bytes.fill(0);
    }
    bytes[..first - start].fill(0);
    bytes[last - start..].fill(0);
    // SAFETY: the pages are in `bytes`, which is borrowed for writing. Each byte stays initialised: memory of the allocator is private
    // and anonymous, so it is zero afterwards.
    unsafe { dont_need(first, last) };
}

/// Drops the pages of a range: `MADV_DONTNEED`. Private anonymous memory there is zero from now on. Only whole pages are dropped.
///
/// # Safety
/// Nobody needs the content, and no reference to it exists.
pub unsafe fn release_range(start: usize, end: usize) {
    let Some(page) = page_size() else { return };
    // SAFETY: the caller vouches for the whole range.
    unsafe { dont_need(start.next_multiple_of(page), end / page * page) };
}

/// # Safety
/// As for `release_range`; both are multiples of the page size.
unsafe fn dont_need(start: usize, end: usize) {
    if start < end {
        // SAFETY: the caller vouches that nobody needs the content. If a part is not mapped, the kernel drops the rest.
        unsafe {
            libc::madvise(std::ptr::with_exposed_provenance_mut::<c_void>(start), end - start, libc::MADV_DONTNEED)
        };
    }
}

pub(super) fn page_size() -> Option<usize> {
    let size = sysconf(SysconfVar::PAGE_SIZE).ok()??;
    usize::try_from(size).ok().filter(|size| size.is_power_of_two())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::test_child;

    #[test]
    fn the_time_of_the_release_comes_once() {
        let mut timer = ReleaseTimer::default();
        assert!(timer.due().is_none() && !timer.has_come(clock::now()), "no work so far");
        timer.restart();
        let due = timer.due().unwrap();
        assert!(!timer.has_come(clock::now()) && timer.due() == Some(due));
        assert!(timer.has_come(due) && timer.due().is_none() && !timer.has_come(due));
    }

    #[test]
    fn cleared_bytes_are_zero() {
        for length in [0, 1, 4096, 100_000] {
            let mut bytes = vec![7u8; length];
            clear(&mut bytes);
            assert!(bytes.iter().all(|byte| *byte == 0), "{length}");
        }
    }

    /// Bytes of files that are mapped at this moment.
    fn mapped_files() -> u64 {
        let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
        let field = |name: &str| {
            let line = rollup.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
        };
        field("Rss:") - field("Anonymous:")
    }

    fn use_and_release_files() {
        for range in mappings::unchanged_files(&std::fs::read("/proc/self/smaps").unwrap()) {
            for address in range.step_by(4096) {
                // SAFETY: the list has mapped files, which can be read if they are programs or libraries.
                unsafe { std::ptr::with_exposed_provenance::<u8>(address).read_volatile() };
            }
        }
        let before = mapped_files();
        release_files();
        assert!(mapped_files() < before / 2, "{} kB of {before} kB", mapped_files());
    }

    #[test]
    fn pages_of_files_are_unmapped_and_come_back() {
        assert_eq!(test_child::run(use_and_release_files), 0);
    }

    #[test]
    fn live_data_stays() {
        let (on_the_stack, on_the_heap) = ([5u8; 3000], vec![6u8; 30_000]);
        release();
        assert!(on_the_stack.iter().all(|byte| *byte == 5) && on_the_heap.iter().all(|byte| *byte == 6));
    }
}

//! Gives a process its pages before it uses them, so that their first use costs no page fault. Their content stays.

use std::ffi::c_void;
use std::hint::black_box;
use std::ops::Range;

use super::idle_memory::page_size;

/// The pages that have a byte of the range, as if each was written to: `MADV_POPULATE_WRITE` (since Linux 5.14; without it, nothing
/// happens). Stops at the first page that cannot be written to.
pub fn for_writing(start: usize, length: usize) {
    let Some(page) = page_size() else { return };
    let first = start / page * page;
    let end = start.saturating_add(length).next_multiple_of(page);
    populate(first..end, libc::MADV_POPULATE_WRITE);
}

/// Those pages of the range that are in memory already, because another process uses them: `MADV_POPULATE_READ` (since Linux 5.14). No
/// memory is allocated. If a part of the range is not mapped, nothing happens.
pub fn shared_for_reading(start: usize, length: usize) {
    let Some(page) = page_size() else { return };
    let first = start / page * page;
    let mut present = vec![0u8; length / page];
    let address = std::ptr::with_exposed_provenance_mut::<c_void>(first);
    // SAFETY: the kernel writes one byte for each page of the range, as many as there are in `present`.
    if unsafe { libc::mincore(address, present.len() * page, present.as_mut_ptr()) } != 0 {
        return;
    }
    let mut at = first;
    for run in present.chunk_by(|one, other| (one ^ other) & 1 == 0) {
        let end = at + run.len() * page;
        if run[0] & 1 == 1 {
            populate(at..end, libc::MADV_POPULATE_READ);
        }
        at = end;
    }
}

/// The ends of `pages` are multiples of the page size.
fn populate(pages: Range<usize>, how: i32) {
    let address = std::ptr::with_exposed_provenance_mut::<c_void>(pages.start);
    // SAFETY: the call changes no byte of the memory, no matter which code has mapped it, and maps nothing new.
    unsafe { libc::madvise(address, pages.len(), how) };
}

/// So many bytes of the free memory of the heap. `idle_memory::release` returns them.
pub fn heap(length: usize) {
    black_box(vec![1u8; length]);
}

/// The stack below the caller. `idle_memory::release` returns it.
#[inline(never)]
pub fn stack() {
    black_box([1u8; 24 * 1024]);
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    /// The pages of a range that this process has mapped (`/proc/self/pagemap`: bit 63 of each entry).
    fn mapped(bytes: &[u8], page: usize) -> Vec<bool> {
        let file = std::fs::File::open("/proc/self/pagemap").unwrap();
        let mut entries = vec![0u8; bytes.len() / page * 8];
        file.read_exact_at(&mut entries, (bytes.as_ptr().addr() / page * 8) as u64).unwrap();
        entries.chunks(8).map(|entry| entry[7] & 0x80 != 0).collect()
    }

    /// `length` bytes of new memory, from the start of a page on.
    fn shared(length: usize) -> &'static mut [u8] {
        let (protection, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping at a place that the kernel chooses.
        let address = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, kind, -1, 0) };
        assert_ne!(address, libc::MAP_FAILED);
        // SAFETY: the mapping was made above, has that many zero bytes, and stays.
        unsafe { std::slice::from_raw_parts_mut(address.cast(), length) }
    }

    #[test]
    fn pages_are_there_before_they_are_written_to() {
        let page = page_size().unwrap();
        let bytes = shared(8 * page);
        assert_eq!(mapped(bytes, page), [false; 8]);
        bytes[page] = 7;
        for_writing(bytes.as_ptr().addr() + page + 1, 3 * page);
        assert_eq!(mapped(bytes, page), [false, true, true, true, true, false, false, false]);
        assert!(bytes[page] == 7 && bytes[2 * page..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn only_shared_pages_that_exist_are_mapped() {
        let page = page_size().unwrap();
        let bytes = shared(8 * page);
        (bytes[2 * page], bytes[3 * page], bytes[6 * page]) = (1, 2, 3);
        // The pages stay in memory: they belong to the area, not to this process.
        let address = bytes.as_mut_ptr().cast();
        // SAFETY: the pages are shared, so their content stays.
        assert_eq!(unsafe { libc::madvise(address, 8 * page, libc::MADV_DONTNEED) }, 0);
        assert_eq!(mapped(bytes, page), [false; 8]);
        shared_for_reading(bytes.as_ptr().addr(), 8 * page);
        assert_eq!(mapped(bytes, page), [false, false, true, true, false, false, true, false]);
        assert_eq!([bytes[2 * page], bytes[3 * page], bytes[6 * page]], [1, 2, 3]);
    }

    #[test]
    fn ranges_without_memory_do_no_harm() {
        for_writing(0, 4096);
        shared_for_reading(0, 1 << 20);
        shared_for_reading(usize::MAX - 5000, 4096);
        heap(100_000);
        stack();
    }
}

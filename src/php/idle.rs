//! What PHP's allocator keeps between two requests (Zend/zend_alloc.c): one chunk of 2 MiB, with all pages that requests have
//! written to, and further chunks, as many as requests have used on average.

use super::ffi::{core_globals, is_zend_mm, zend_memory_usage, zend_mm_get_heap, zend_set_memory_limit};
use crate::sys::idle_memory;

/// `ZEND_MM_CHUNK_SIZE`, also the alignment of chunks.
const CHUNK: usize = 2 * 1024 * 1024;
/// `ZEND_MM_PAGE_SIZE`. The first page of a chunk describes the chunk.
const PAGE: usize = 4096;

/// Returns the memory of requests to the kernel. To be called between two requests; does nothing if memory of a request is in use, or
/// if PHP uses another allocator (`USE_ZEND_ALLOC=0`).
pub(super) fn release_memory() {
    // SAFETY: reads a flag of the allocator, which PHP's start has set up.
    if !unsafe { is_zend_mm() } {
        return;
    }
    // SAFETY: reads a counter of the allocator. The end of a request sets it to 0, and each allocation adds to it.
    if unsafe { zend_memory_usage(false) } != 0 {
        return;
    }
    free_kept_chunks();
    // SAFETY: returns a pointer that the allocator has set when PHP started.
    let heap = unsafe { zend_mm_get_heap() };
    // The heap is in the first page of its first chunk (`zend_mm_init`).
    let chunk = heap.addr() & !(CHUNK - 1);
    if heap.addr() == chunk || heap.addr() - chunk >= PAGE {
        return;
    }
    // SAFETY: the allocator owns the whole chunk. Nothing is allocated, so only its first page has content that is needed, and nothing
    // refers into the others. `zend_mm_shutdown` has marked these as free.
    unsafe { idle_memory::release_range(chunk + PAGE, chunk + CHUNK) };
}

/// A limit that the kept chunks exceed makes the allocator free them (since PHP 8.0).
fn free_kept_chunks() {
    // SAFETY: no request runs. The limit is put back before one does.
    unsafe { zend_set_memory_limit(CHUNK) };
    // SAFETY: PG is PHP's, at a valid address (`ffi::host`), and this is PHP's thread.
    let limit = unsafe { (*core_globals()).memory_limit };
    // SAFETY: as above. -1, no limit, becomes the highest one, as in PHP's handler of the setting.
    unsafe { zend_set_memory_limit(usize::try_from(limit).unwrap_or(usize::MAX)) };
}

//! C's buffers of standard output.

/// What PHP shows outside of requests waits in C's buffers. It belongs to the log now: each worker that is forked would have its
/// own copy, and say it when it ends.
pub(super) fn flush_stdout() {
    // SAFETY: null stands for all streams.
    unsafe { libc::fflush(std::ptr::null_mut()) };
}

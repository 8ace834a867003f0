//! The buffers of C's standard output.

/// Writes out what PHP has printed outside of requests. If it stayed in the buffer, each forked worker would have a copy and
/// print it at its end.
pub(super) fn flush_stdout() {
    // SAFETY: null stands for all streams.
    unsafe { libc::fflush(std::ptr::null_mut()) };
}

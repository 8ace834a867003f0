//! Random bytes.

use std::io;

/// Fills a buffer with random bytes (getrandom(2)).
///
/// # Errors
/// `EPERM` or `ENOSYS` of a seccomp filter.
pub fn fill(buffer: &mut [u8]) -> io::Result<()> {
    getrandom::fill(buffer).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_buffers_differ() {
        let mut buffers = [[0; 32]; 2];
        buffers.iter_mut().for_each(|buffer| fill(buffer).unwrap());
        assert_ne!(buffers[0], buffers[1]);
    }
}

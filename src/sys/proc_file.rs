//! Files of `/proc` (proc(5)). The kernel makes their content while they are read and does not tell its size.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// What the kernel makes at once; most files are shorter.
const PAGE: usize = 4096;

/// The content. `std::fs::read` begins with 32 bytes, and needs six to eight calls for a short file.
///
/// # Errors
/// Those of open(2) and read(2). `ENOENT`, `ESRCH`: the process has ended.
pub(super) fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    content(&File::open(path)?)
}

/// The content of an open file, from where it was read to.
///
/// # Errors
/// Those of read(2).
pub(super) fn content(mut file: &File) -> io::Result<Vec<u8>> {
    let mut content = Vec::with_capacity(PAGE);
    file.read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    #[test]
    fn short_and_long_files_are_read_as_a_whole() {
        let own = super::read("/proc/self/stat").unwrap();
        assert!(own.starts_with(std::process::id().to_string().as_bytes()) && own.ends_with(b"\n"));
        let smaps = super::read("/proc/self/smaps").unwrap();
        assert!(smaps.len() > 2 * super::PAGE && smaps.ends_with(b"\n"));
        assert!(super::read("/proc/self/missing").is_err());
    }
}

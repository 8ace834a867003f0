//! What tells a file from another one at the same path, and from itself before a change.
#![forbid(unsafe_code)]

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Identifies the content of a file: device, inode, size, times of modification and change, each in seconds and nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark([u64; 7]);

impl Mark {
    /// That of the file at this path, links followed.
    ///
    /// # Errors
    /// Those of stat.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let m = std::fs::metadata(path)?;
        let [mtime, mtime_nsec, ctime, ctime_nsec] =
            [m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec()].map(i64::cast_unsigned);
        Ok(Self([m.dev(), m.ino(), m.size(), mtime, mtime_nsec, ctime, ctime_nsec]))
    }

    /// For a hash.
    pub(super) fn bytes(self) -> impl Iterator<Item = u8> {
        self.0.into_iter().flat_map(u64::to_le_bytes)
    }
}

//! Opening the log files of pools: a file, or one of the supervisor's own standard streams.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::RawFd;
use std::path::Path;

use crate::sys::fd;
use crate::sys::log_file::{self, Opening, Owner};

/// Copies of standard streams get no lower number than this.
pub(super) const FIRST_FD: RawFd = 3;

/// Begins to open a pool's log, or takes the standard stream that it names.
pub(super) fn begin(path: &Path, owner: Owner) -> Opening {
    match fd::standard_stream(path) {
        Some(1) => Opening::given(fd::dup_from(io::stdout(), FIRST_FD)),
        Some(_) => Opening::given(fd::dup_from(io::stderr(), FIRST_FD)),
        None => log_file::start(path, owner),
    }
}

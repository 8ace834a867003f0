//! What the system says about a call that failed.
#![forbid(unsafe_code)]

use std::io;

use nix::errno::Errno;

/// The reason as php-fpm words it: `No such file or directory (2)`.
#[must_use]
pub fn reason(e: &io::Error) -> String {
    e.raw_os_error().map_or_else(|| e.to_string(), |code| format!("{} ({code})", Errno::from_raw(code).desc()))
}

//! How a new socket waits beside another one at the same address (`user_change.rs`).

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::sys::clock;

/// How a socket waits beside the one of a former user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Waits {
    /// Its file has this name, in the directory of its address.
    As(PathBuf),
    /// The kernel gives it no connections of its port.
    AtPort,
}

/// A new socket, and how it waits, if it does.
pub(super) type Opened = (OwnedFd, Option<Waits>);

/// Another name for a file in that directory.
pub(super) fn temporary(path: &Path) -> PathBuf {
    path.with_file_name(format!(".cgi-fpm-{}-{}.sock", std::process::id(), clock::micros()))
}

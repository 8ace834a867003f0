//! Memory files that one process writes JSON into, and that another process finds by their names.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Pid, ftruncate};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The path of a process's memfd of that name, below `/proc`. `None`: it has none, or this process may not look.
pub(super) fn find_memory(pid: Pid, name: &str) -> Option<PathBuf> {
    // The kernel shows `/memfd:NAME (deleted)`.
    let wanted = format!("/memfd:{name} ");
    let mut descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten().map(|entry| entry.path());
    descriptors.find(|path| fs::read_link(path).is_ok_and(|target| target.to_string_lossy().starts_with(&wanted)))
}

/// Replaces what is in a memory file. A concurrent reader sees an incomplete text, never a mixture of two.
///
/// # Errors
/// `ENOMEM`.
pub(super) fn publish(file: &File, value: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_vec(value)?;
    ftruncate(file.as_fd(), 0)?;
    file.write_all_at(&text, 0)
}

/// Reads it, up to so many bytes. `None`: there is no such file, or it is being written.
pub(super) fn read_published<T: DeserializeOwned>(path: &Path, most: u64) -> Option<T> {
    let mut text = Vec::new();
    File::open(path).ok()?.take(most).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

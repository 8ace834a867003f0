//! The memory files of another process, by their names.

use std::fs;
use std::path::PathBuf;

use nix::unistd::Pid;

/// The path of a process's memfd of that name, below `/proc`. `None`: it has none, or this process may not look.
pub(super) fn find_memory(pid: Pid, name: &str) -> Option<PathBuf> {
    // The kernel shows `/memfd:NAME (deleted)`.
    let wanted = format!("/memfd:{name} ");
    let mut descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten().map(|entry| entry.path());
    descriptors.find(|path| fs::read_link(path).is_ok_and(|target| target.to_string_lossy().starts_with(&wanted)))
}

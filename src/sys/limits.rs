//! Resource limits, with php-fpm's words for those that can't be set.
#![forbid(unsafe_code)]

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

use super::failure::reason;

/// RLIMIT_NOFILE, soft and hard.
///
/// # Errors
/// A line for the log, without the pool in front.
pub fn set_files(soft: u64, hard: u64) -> Result<(), String> {
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).map_err(|e| refusal("rlimit_files", "RLIMIT_NOFILE", soft, e))
}

/// RLIMIT_CORE; `None`: unlimited.
///
/// # Errors
/// A line for the log, without the pool in front.
pub fn set_core(bytes: Option<u64>) -> Result<(), String> {
    let limit = bytes.unwrap_or(RLIM_INFINITY);
    let shown = bytes.map_or_else(|| "-1".to_owned(), |bytes| bytes.to_string());
    setrlimit(Resource::RLIMIT_CORE, limit, limit).map_err(|e| refusal("rlimit_core", "RLIMIT_CORE", shown, e))
}

/// The hard limits of descriptors and core files.
///
/// # Errors
/// None in practice.
pub fn hard() -> std::io::Result<(u64, u64)> {
    Ok((getrlimit(Resource::RLIMIT_NOFILE)?.1, getrlimit(Resource::RLIMIT_CORE)?.1))
}

fn refusal(directive: &str, resource: &str, value: impl std::fmt::Display, e: nix::Error) -> String {
    format!(
        "failed to set {directive} for this pool. Please check your system limits or decrease {directive}. \
         setrlimit({resource}, {value}): {}",
        reason(&e.into())
    )
}

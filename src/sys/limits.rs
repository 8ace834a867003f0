//! Resource limits (setrlimit(2)), with php-fpm's text for one that cannot be set.
#![forbid(unsafe_code)]

use std::io;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

use super::failure::reason;

/// A resource limit cannot be set.
#[derive(Debug, thiserror::Error)]
#[error(
    "failed to set {directive} for this pool. Please check your system limits or decrease {directive}. \
     setrlimit({resource}, {value}): {}",
    reason(source)
)]
pub struct LimitError {
    directive: &'static str,
    resource: &'static str,
    value: String,
    source: io::Error,
}

/// A limit of open descriptors. Serialized as a pair, soft and hard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, u64)", into = "(u64, u64)")]
pub struct FileLimits {
    /// The limit in effect.
    pub soft: u64,
    /// The highest value to which the process may raise it.
    pub hard: u64,
}

impl From<(u64, u64)> for FileLimits {
    fn from((soft, hard): (u64, u64)) -> Self {
        Self { soft, hard }
    }
}

impl From<FileLimits> for (u64, u64) {
    fn from(limits: FileLimits) -> Self {
        (limits.soft, limits.hard)
    }
}

impl FileLimits {
    /// `RLIMIT_NOFILE` of this process.
    ///
    /// # Errors
    /// None in practice.
    pub fn of_process() -> io::Result<Self> {
        Ok(getrlimit(Resource::RLIMIT_NOFILE)?.into())
    }

    /// One number for both.
    #[must_use]
    pub const fn same(files: u64) -> Self {
        Self { soft: files, hard: files }
    }
}

/// Sets `RLIMIT_NOFILE`.
///
/// # Errors
/// That of setrlimit, in php-fpm's text (`fpm_unix_init_child`).
pub fn set_files(FileLimits { soft, hard }: FileLimits) -> Result<(), LimitError> {
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).map_err(|e| refusal("rlimit_files", "RLIMIT_NOFILE", soft, e))
}

/// Sets `RLIMIT_CORE`, in bytes. `None`: unlimited.
///
/// # Errors
/// That of setrlimit, in php-fpm's text (`fpm_unix_init_child`).
pub fn set_core(bytes: Option<u64>) -> Result<(), LimitError> {
    let limit = bytes.unwrap_or(RLIM_INFINITY);
    let shown = bytes.map_or_else(|| "-1".to_owned(), |bytes| bytes.to_string());
    setrlimit(Resource::RLIMIT_CORE, limit, limit).map_err(|e| refusal("rlimit_core", "RLIMIT_CORE", shown, e))
}

/// How far a process may set its own limits without a capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ceilings {
    /// The nice value: only a higher one may be set.
    pub nice: i32,
    /// The hard limit of `RLIMIT_NOFILE`.
    pub files: u64,
    /// The hard limit of `RLIMIT_CORE`, in bytes.
    pub core: u64,
}

impl Ceilings {
    /// No limit.
    pub const NONE: Self = Self { nice: i32::MIN, files: u64::MAX, core: u64::MAX };
}

/// The ceilings of this process.
///
/// # Errors
/// None in practice.
pub fn ceilings() -> io::Result<Ceilings> {
    let (files, core) = hard()?;
    Ok(Ceilings { nice: super::process::priority(), files, core })
}

/// The hard limits: `RLIMIT_NOFILE` and `RLIMIT_CORE`.
///
/// # Errors
/// None in practice.
pub fn hard() -> io::Result<(u64, u64)> {
    Ok((getrlimit(Resource::RLIMIT_NOFILE)?.1, getrlimit(Resource::RLIMIT_CORE)?.1))
}

/// Raises the hard limits `RLIMIT_NOFILE` and `RLIMIT_CORE`, and leaves the soft ones.
///
/// # Errors
/// `EPERM`: the process lacks CAP_SYS_RESOURCE.
pub fn raise_hard(files: Option<u64>, core: Option<u64>) -> io::Result<()> {
    for (resource, wanted) in [(Resource::RLIMIT_NOFILE, files), (Resource::RLIMIT_CORE, core)] {
        if let Some(wanted) = wanted {
            let (soft, hard) = getrlimit(resource)?;
            setrlimit(resource, soft, hard.max(wanted))?;
        }
    }
    Ok(())
}

fn refusal(directive: &'static str, resource: &'static str, value: impl ToString, e: nix::Error) -> LimitError {
    LimitError { directive, resource, value: value.to_string(), source: e.into() }
}

//! `rlimit_files`, `rlimit_core` and `process.priority` of `[global]`: the supervisor's own, which all its processes inherit.
#![forbid(unsafe_code)]

use crate::config::Global;
use crate::log::{self, messages::lifecycle::priority_ignored};
use crate::supervisor::generation::error::StartError;
use crate::sys::limits::{self, FileLimits};
use crate::sys::process;

/// Sets the limits that the configuration names, at the start and at each reload. Returns RLIMIT_NOFILE for zygotes and workers;
/// `found` is that of the start. The supervisor itself isn't held to a limit that is lower than its own: sockets,
/// pipes and counters of all pools are open in it.
///
/// # Errors
/// Nothing must be started.
pub(crate) fn apply(global: &Global, root: bool, found: FileLimits) -> Result<FileLimits, StartError> {
    let (most, _) = limits::hard()?;
    let nofile = match global.rlimit_files {
        Some(files) => FileLimits::same(files),
        // A limit that a former configuration has set is lifted, as far as our rights allow it.
        None => FileLimits { soft: found.soft.min(most), hard: found.hard.min(most) },
    };
    if nofile.hard > most {
        limits::set_files(FileLimits::same(nofile.hard))?;
    }
    if let Some(core) = global.rlimit_core {
        limits::set_core(core.bytes())?;
    }
    match global.process_priority {
        Some(nice) if root => process::set_priority(nice).map_err(StartError::Priority)?,
        Some(_) => log::say(&priority_ignored()),
        None => {}
    }
    Ok(nofile)
}

//! `-t`: whether the limit of file descriptors is high enough for the pools.

use crate::config::{Config, LoadOptions};
use crate::log::{self, messages::pools};
use crate::plan::descriptors::Need;
use crate::sys::limits;

/// A warning, if this process's limit (RLIMIT_NOFILE) is too low. A service may have another limit than the shell that tests.
/// `groups`: how many there are.
pub(super) fn remark(config: &Config, load: &LoadOptions, groups: usize) -> Option<log::Message> {
    let hard = limits::hard().ok()?;
    let limit = config.global.rlimit_files.filter(|_| load.root).map_or(hard.0, |files| files.max(hard.0));
    let need = Need::of(u64::try_from(groups).unwrap_or(u64::MAX), config.pools.iter());
    if need.least > limit {
        Some(pools::too_few_descriptors(need.least, limit).at(log::Level::Warning))
    } else {
        (need.most > limit).then(|| pools::descriptors_may_run_out(need.most, limit))
    }
}

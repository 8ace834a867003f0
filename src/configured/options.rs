//! The inputs for reading the configuration: the command line, the environment and the paths of this PHP.
#![forbid(unsafe_code)]

use crate::cli::Options;
use crate::config::{LoadOptions, PoolPaths};
use crate::host::Host;

/// The inputs for reading the configuration. The paths of pools are left to the groups.
#[must_use]
pub(crate) fn load_options(host: &Host, options: &Options) -> LoadOptions {
    let mut load = options.load_options();
    load.php_prefix.clone_from(&host.php_prefix);
    load.local_state_dir.clone_from(&host.local_state_dir);
    load.php_version.clone_from(&host.php_version);
    load.pool_paths = PoolPaths::LeftToGroups;
    load
}

//! The configuration of this program: what it is read with, what of it is said, and whether PHP can start as the pools' users.
#![forbid(unsafe_code)]

mod announce;
mod commands;
mod preflight;
pub mod start_files;

pub use announce::{announce, open_log, say};
pub use commands::{convert, test};
pub use preflight::load;

use crate::cli::Options;
use crate::config::{self, LoadOptions};
use crate::host::Host;
use crate::sys::ids::{self, Identity};

/// What the configuration is read with.
#[must_use]
pub fn load_options(host: &Host, options: &Options) -> LoadOptions {
    let mut load = options.load_options();
    load.php_prefix.clone_from(&host.php_prefix);
    load.local_state_dir.clone_from(&host.local_state_dir);
    load.php_version.clone_from(&host.php_version);
    load
}

/// What a pool's workers become; `None`: they stay what we are. Root that stays root, allowed with `-R`, keeps what
/// isn't named of group and groups.
pub fn identity_of(found: &config::Account) -> std::io::Result<Option<Identity>> {
    let (uid, gid) = (found.uid.unwrap_or(0), found.gid.unwrap_or(0));
    Ok(match (uid, gid) {
        (0, 0) => None,
        (0, gid) => Some(Identity { uid, gid, groups: ids::own_groups()? }),
        (uid, gid) => {
            let groups = found.groups_of.as_deref().map_or_else(|| vec![gid], |name| ids::supplementary(name, gid));
            Some(Identity { uid, gid, groups })
        }
    })
}

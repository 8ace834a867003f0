//! The user and groups of a pool's workers.
#![forbid(unsafe_code)]

use crate::config::Account;
use crate::sys::ids::{self, Identity};

/// What a pool's workers become; `None`: they stay what we are. Root that stays root, allowed with `-R`, keeps what
/// isn't named of group and groups.
pub fn identity_of(found: &Account) -> std::io::Result<Option<Identity>> {
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

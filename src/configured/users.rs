//! The user and groups of a pool's workers.
#![forbid(unsafe_code)]

use crate::config::Account;
use crate::sys::ids::{self, Identity};

/// The identity of a pool's workers; `None`: that of the supervisor. Workers that stay root (`-R`) keep the group and the
/// supplementary groups that are not named.
pub(crate) fn identity_of(found: &Account) -> std::io::Result<Option<Identity>> {
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

//! Whose code may run in a pool's workers. Connections, counters and files pass from one generation of a pool to the
//! next only if that is the same. Otherwise a process of the former user could pass forged connections to workers of
//! the new one.

use std::path::PathBuf;

use crate::config::PoolConfig;
use crate::sys::ids::Identity;
use crate::sys::log_file::Owner;

/// The user, root directory and AppArmor hat of a pool's workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trust {
    identity: Option<Identity>,
    chroot: Option<PathBuf>,
    hat: Option<String>,
}

impl Trust {
    /// The trust of a pool whose workers have that identity; `None`: the supervisor's.
    #[must_use]
    pub(crate) fn of(pool: &PoolConfig, identity: Option<&Identity>) -> Self {
        Self::in_place(identity, pool.chroot.clone(), pool.apparmor_hat.clone())
    }

    /// Who owns the pool's logs.
    #[must_use]
    pub(crate) fn owner_of_logs(&self) -> Owner {
        Owner::Pool(self.identity.as_ref().map(|identity| identity.uid))
    }

    /// The trust with these parts.
    #[must_use]
    pub(crate) fn in_place(identity: Option<&Identity>, chroot: Option<PathBuf>, hat: Option<String>) -> Self {
        let identity = identity.cloned().map(|mut identity| {
            identity.groups.sort_unstable();
            identity.groups.dedup();
            identity
        });
        Self { identity, chroot, hat }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_repetition_of_groups_make_no_other_user() {
        let of =
            |uid, groups: &[u32]| Trust::in_place(Some(&Identity { uid, gid: 7, groups: groups.to_vec() }), None, None);
        assert_eq!(of(1, &[7, 8]), of(1, &[8, 7, 8]));
        assert_ne!(of(1, &[7, 8]), of(1, &[7]));
        assert_ne!(of(1, &[7]), of(2, &[7]));
        let own = Trust::in_place(None, None, None);
        assert_ne!(of(1, &[7]), own);
        assert_ne!(Trust::in_place(None, Some("/srv".into()), None), own);
        assert_ne!(Trust::in_place(None, None, Some("hat".into())), own);
    }
}

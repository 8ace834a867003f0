//! Whose code may run in a pool's workers. Connections, counters and files pass from one generation of a pool to the
//! next only if that is the same. Otherwise a process of the former user could pass forged connections to workers of
//! the new one.

use std::path::PathBuf;

use crate::config::PoolConfig;
use crate::sys::ids::Identity;
use crate::sys::log_file::Owner;
use crate::sys::named_file;
use crate::text;

/// The user, root directory and AppArmor hat of a pool's workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trust {
    identity: Option<Identity>,
    chroot: Option<Root>,
    hat: Option<String>,
}

/// A directory: the numbers of its device, and its inode.
pub(crate) type DirectoryId = named_file::DirectoryId;

/// A root directory. Its path may lead to another directory later, and another path to the same one.
#[derive(Debug, Clone, Eq)]
struct Root {
    path: PathBuf,
    /// `None`: not known.
    id: Option<DirectoryId>,
}

impl PartialEq for Root {
    fn eq(&self, other: &Self) -> bool {
        match (self.id, other.id) {
            (Some(own), Some(others)) => own == others,
            _ => self.path == other.path,
        }
    }
}

impl Trust {
    /// The trust of a pool whose workers have that identity; `None`: the supervisor's. `root` is the directory of its
    /// `chroot`, if it is known.
    #[must_use]
    pub(crate) fn of(pool: &PoolConfig, identity: Option<&Identity>, root: Option<DirectoryId>) -> Self {
        let chroot = pool.chroot.clone().map(|path| (path, root));
        Self::in_place(identity, chroot, pool.apparmor_hat.clone())
    }

    /// Who owns the pool's logs.
    #[must_use]
    pub(crate) fn owner_of_logs(&self) -> Owner {
        Owner::Pool(self.identity.as_ref().map(|identity| identity.uid))
    }

    /// A number that is the same for equal trusts, in all processes and versions of this program. Two that differ only in how a root
    /// directory is known may have different ones.
    #[must_use]
    pub(crate) fn fingerprint(&self) -> u64 {
        let root = self.chroot.as_ref().map(|root| match root.id {
            Some(id) => format!("{id:?}"),
            None => format!("{:?}", root.path),
        });
        let identity = self.identity.as_ref().map(|identity| (identity.uid, identity.gid, &identity.groups));
        text::hash(format!("{identity:?} {root:?} {:?}", self.hat).into_bytes())
    }

    /// The trust with these parts.
    #[must_use]
    pub(crate) fn in_place(
        identity: Option<&Identity>,
        chroot: Option<(PathBuf, Option<DirectoryId>)>,
        hat: Option<String>,
    ) -> Self {
        let identity = identity.cloned().map(|mut identity| {
            identity.groups.sort_unstable();
            identity.groups.dedup();
            identity
        });
        Self { identity, chroot: chroot.map(|(path, id)| Root { path, id }), hat }
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
        assert_ne!(Trust::in_place(None, Some(("/srv".into(), None)), None), own);
        assert_ne!(Trust::in_place(None, None, Some("hat".into())), own);
    }

    #[test]
    fn a_fingerprint_stands_for_a_trust() {
        let of = |uid, groups: &[u32], chroot: Option<(PathBuf, _)>, hat: Option<String>| {
            let identity = Identity { uid, gid: 7, groups: groups.to_vec() };
            Trust::in_place(Some(&identity), chroot, hat).fingerprint()
        };
        let plain = of(1, &[7, 8], None, None);
        assert_eq!(plain, of(1, &[8, 7, 8], None, None));
        // Former versions have stored sockets with it.
        assert_eq!(plain, 13_666_715_832_300_019_062);
        let root = |path: &str, id| Some((PathBuf::from(path), id));
        let others = [
            of(2, &[7, 8], None, None),
            of(1, &[7], None, None),
            of(1, &[7, 8], root("/srv", None), None),
            of(1, &[7, 8], None, Some("hat".into())),
        ];
        assert!(!others.contains(&plain), "{others:?}");
        let moved = |path: &str| of(1, &[7], root(path, Some((8, 1, 100))), None);
        assert_eq!(moved("/srv/current"), moved("/srv/release"));
    }

    /// A link at the path of a root directory may lead elsewhere now.
    #[test]
    fn a_root_is_a_directory_and_not_a_path() {
        let of = |path: &str, id| Trust::in_place(None, Some((path.into(), id)), None);
        let (one, two) = (Some((8, 1, 100)), Some((8, 1, 101)));
        assert_ne!(of("/srv/current", one), of("/srv/current", two));
        assert_eq!(of("/srv/current", one), of("/srv/release", one));
        assert_eq!(of("/srv/current", one), of("/srv/current", None));
        assert_ne!(of("/srv/current", None), of("/srv/release", one));
    }
}

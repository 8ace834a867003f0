//! Which way the privileged settings of a group's pools are applied. Groups are made so that these are equal in all
//! pools of a group, except where `process.group` joins pools.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use caps::Capability;

use crate::config::PoolConfig;
use crate::plan::privileged::Privileged;
use crate::sys::limits::Ceilings;

/// The root directory of a group's pools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Root {
    /// No pool has a `chroot`.
    Present,
    /// All pools have this one; the zygote changes to it.
    Shared(PathBuf),
    /// They differ; each worker changes to its own.
    Several,
}

/// What a zygote does, and what it leaves to its workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ways {
    pub root: Root,
    /// The nice value for the zygote.
    pub nice: Option<i32>,
    /// The hard limits that the zygote needs, so that its workers can set theirs.
    pub files: Option<u64>,
    pub core: Option<u64>,
    /// Capabilities that workers need.
    pub keep: Vec<Capability>,
}

impl Ways {
    pub(super) fn of(pools: &[&PoolConfig], ceilings: Ceilings) -> Self {
        let settings = pools.iter().map(|pool| (pool.chroot.as_deref(), Privileged::of(pool, ceilings)));
        Self::among(&settings.collect::<Vec<_>>())
    }

    fn among(settings: &[(Option<&Path>, Privileged)]) -> Self {
        let roots: BTreeSet<Option<&Path>> = settings.iter().map(|(root, _)| *root).collect();
        let root = match roots.iter().copied().collect::<Vec<_>>().as_slice() {
            [] | [None] => Root::Present,
            [Some(root)] => Root::Shared((*root).to_owned()),
            _ => Root::Several,
        };
        let nices: BTreeSet<Option<i32>> = settings.iter().map(|(_, privileged)| privileged.nice).collect();
        let nice = if nices.len() == 1 { nices.iter().copied().flatten().next() } else { None };
        let uses = [(Capability::CAP_SYS_CHROOT, root == Root::Several), (Capability::CAP_SYS_NICE, nices.len() > 1)];
        Self {
            root,
            nice,
            files: settings.iter().filter_map(|(_, privileged)| privileged.files).max(),
            core: settings.iter().filter_map(|(_, privileged)| privileged.core).max(),
            keep: uses.into_iter().filter(|(_, needed)| *needed).map(|(one, _)| one).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Privileged = Privileged { nice: None, files: None, core: None };

    #[test]
    fn equal_settings_are_the_zygotes() {
        let urgent = Privileged { nice: Some(-3), files: Some(5000), core: Some(u64::MAX) };
        let lower = Privileged { files: Some(4000), core: Some(9), ..urgent };
        let root = Some(Path::new("/srv"));
        let ways = Ways::among(&[(root, urgent), (root, lower)]);
        assert_eq!(ways.root, Root::Shared("/srv".into()));
        assert_eq!((ways.nice, ways.files, ways.core), (urgent.nice, urgent.files, urgent.core));
        assert_eq!(ways.keep, []);
        let plain = Ways::among(&[(None, NONE)]);
        assert_eq!((plain.root, plain.nice, plain.keep), (Root::Present, None, Vec::new()));
    }

    #[test]
    fn different_settings_are_left_to_the_workers() {
        let root = Some(Path::new("/srv"));
        let ways = Ways::among(&[(root, NONE), (None, Privileged { nice: Some(-3), ..NONE })]);
        assert_eq!((ways.root, ways.nice), (Root::Several, None));
        assert_eq!(ways.keep, [Capability::CAP_SYS_CHROOT, Capability::CAP_SYS_NICE]);
    }
}

//! Which pools share a zygote.

use std::path::Path;

use super::privileged::Privileged;
use crate::config::{EngineKey, Global, PoolConfig};
use crate::sys::ids::Identity;
use crate::sys::limits::Ceilings;

/// Pools of one zygote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grouping {
    /// Unique among the groups.
    pub name: String,
    /// The user of its zygote, if all its pools have the same one; `None`: the zygote keeps the supervisor's user.
    pub identity: Option<Identity>,
    /// Indices of its pools.
    pub pools: Vec<usize>,
}

/// Sorts pools into groups that share a zygote: those with the same `process.group = NAME`, or those without one that are
/// equal in all that a zygote does for its pools. `process.group` in `[global]` holds for all pools without their own. The order of
/// the file is kept. `ceilings`: what a zygote may set without capabilities.
#[must_use]
pub(crate) fn group(global: &Global, pools: &[(&PoolConfig, Option<Identity>)], ceilings: Ceilings) -> Vec<Grouping> {
    let mut groups: Vec<(Key<'_>, Grouping)> = Vec::new();
    for (index, (pool, identity)) in pools.iter().enumerate() {
        // A pool that shows the status of another one needs the memory of that pool's group, so it joins that group.
        let shown = pool.status_of.as_ref().and_then(|name| pools.iter().position(|(other, _)| other.name == *name));
        if let Some((_, group)) = groups.iter_mut().find(|(_, g)| shown.is_some_and(|shown| g.pools.contains(&shown))) {
            group.pools.push(index);
            continue;
        }
        let named = pool.process_group.as_deref().or(global.process_group.as_deref());
        // The configuration is refused if pools of one `process.group` differ in their engine.
        let key = named.map_or_else(|| Key::equal(pool, identity.as_ref(), ceilings), Key::Named);
        if let Some((_, group)) = groups.iter_mut().find(|(k, _)| *k == key) {
            group.pools.push(index);
            if group.identity != *identity {
                group.identity = None;
            }
        } else {
            let name = named.map_or_else(|| pool.name.clone(), str::to_owned);
            groups.push((key, Grouping { name, identity: identity.clone(), pools: vec![index] }));
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// What pools of a group have in common.
#[derive(PartialEq, Eq)]
enum Key<'a> {
    /// `process.group`.
    Named(&'a str),
    Equal {
        identity: Option<&'a Identity>,
        /// opcache knows scripts by their paths, which mean other files in another root directory.
        chroot: Option<&'a Path>,
        /// Done once for the group, before the first code of its user runs.
        privileged: Privileged,
        engine: &'a EngineKey,
    },
}

impl<'a> Key<'a> {
    fn equal(pool: &'a PoolConfig, identity: Option<&'a Identity>, ceilings: Ceilings) -> Self {
        Self::Equal {
            identity,
            chroot: pool.chroot.as_deref(),
            privileged: Privileged::of(pool, ceilings),
            engine: &pool.engine,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, LoadOptions};

    const CEILINGS: Ceilings = Ceilings { nice: 0, files: 1024, core: 0 };

    /// The groups of pools named a, b …, each with a change of its settings; their members' names.
    fn grouped(changes: &[fn(&mut PoolConfig)]) -> Vec<String> {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("php-fpm.conf");
        let text = "[global]\nerror_log = /dev/null\n[www]\nlisten = 9000\npm = static\npm.max_children = 1\n";
        std::fs::write(&file, text).unwrap();
        let loaded = config::load(&file, &LoadOptions { allow_root: true, ..LoadOptions::default() }).unwrap();
        let pool = |(name, change): (char, &fn(&mut PoolConfig))| {
            let mut pool = loaded.config.pools[0].clone();
            pool.name = name.to_string();
            change(&mut pool);
            pool
        };
        let pools: Vec<PoolConfig> = ('a'..).zip(changes).map(pool).collect();
        let user = |uid| Identity { uid, gid: 7, groups: vec![7] };
        let view: Vec<_> = pools.iter().map(|pool| (pool, Some(user(33)))).collect();
        let groups = group(&Global::default(), &view, CEILINGS);
        groups.iter().map(|group| group.pools.iter().map(|&at| pools[at].name.as_str()).collect()).collect()
    }

    #[test]
    fn pools_that_differ_in_what_workers_do_share_a_zygote() {
        let changes: [fn(&mut PoolConfig); 4] = [
            |_| (),
            |pool| pool.chdir = Some("/srv".into()),
            |pool| pool.process_priority = Some(3),
            |pool| pool.rlimit_files = Some(100),
        ];
        assert_eq!(grouped(&changes), ["abcd"]);
    }

    #[test]
    fn pools_that_differ_in_what_their_zygote_does_are_apart() {
        let changes: [fn(&mut PoolConfig); 7] = [
            |_| (),
            |pool| pool.chroot = Some("/srv/a".into()),
            |pool| pool.chroot = Some("/srv/b".into()),
            |pool| pool.process_priority = Some(-3),
            |pool| pool.rlimit_files = Some(4096),
            |pool| pool.chroot = Some("/srv/a".into()),
            |_| (),
        ];
        assert_eq!(grouped(&changes), ["ag", "bf", "c", "d", "e"]);
    }

    #[test]
    fn a_name_joins_them() {
        let changes: [fn(&mut PoolConfig); 2] = [
            |pool| pool.process_group = Some("x".to_owned()),
            |pool| (pool.process_group, pool.chroot) = (Some("x".to_owned()), Some("/srv".into())),
        ];
        assert_eq!(grouped(&changes), ["ab"]);
    }
}

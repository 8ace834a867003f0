//! The groups of a configuration as the checks before a start need them: a pool, and the user that PHP starts as.
#![forbid(unsafe_code)]

use super::users::identity_of;
use crate::config::{self, Config, LoadOptions, PoolConfig};
use crate::plan::groups;
use crate::sys::ids::Identity;
use crate::sys::limits::Ceilings;

/// A group of pools.
#[derive(Debug)]
pub(super) struct Group<'a> {
    /// Its first pool. All have the same PHP and php.ini.
    pub pool: &'a PoolConfig,
    /// The user that PHP starts as, and its name. `None`: PHP starts as the user of this process, as for groups of several users.
    pub user: Option<(Identity, String)>,
}

/// The groups. Pools whose user is unknown are left out; the supervisor reports them.
pub(super) fn groups_of<'a>(config: &'a Config, load: &LoadOptions) -> Vec<Group<'a>> {
    let known = config.pools.iter().filter_map(|pool| {
        let found = config::account(pool, load).ok()?;
        Some((pool, identity_of(&found).ok()?.filter(|_| load.root)))
    });
    let view: Vec<(&PoolConfig, Option<Identity>)> = known.collect();
    let groups = groups::group(&config.global, &view, Ceilings::NONE).into_iter().filter_map(|group| {
        let (pool, _) = group.pools.first().and_then(|&first| view.get(first))?;
        let name = pool.user.clone().unwrap_or_default();
        Some(Group { pool, user: group.identity.map(|identity| (identity, name)) })
    });
    groups.collect()
}

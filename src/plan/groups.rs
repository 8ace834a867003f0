//! Which pools share a zygote.

use crate::config::{EngineKey, Global, PoolConfig};
use crate::sys::ids::Identity;

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

/// Sorts pools into groups that share a zygote: those with the same user and the same PHP, or with the same `process.group = NAME`;
/// `process.group` in `[global]` holds for all pools without their own. The order of the file is kept.
#[must_use]
pub(crate) fn group(global: &Global, pools: &[(&PoolConfig, Option<Identity>)]) -> Vec<Grouping> {
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
        let key = named.map_or(Key::Identity(identity.as_ref(), &pool.engine), Key::Named);
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

#[derive(PartialEq, Eq)]
enum Key<'a> {
    Named(&'a str),
    Identity(Option<&'a Identity>, &'a EngineKey),
}

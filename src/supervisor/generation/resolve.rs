//! From a configuration to its groups: which pools share a zygote, and with which users. What is looked up or opened for one group
//! and fails concerns that group alone.

use crate::config::{self, Config, LoadOptions, PoolConfig};
use crate::log;
use crate::plan::base::BaseId;
use crate::plan::groups::{self, Grouping};
use crate::supervisor::generation::names::{KnownUsers, PoolUser, Unknown, user_of};
use crate::sys::ids::Identity;
use crate::sys::limits::{self, Ceilings};
use crate::text;

/// A group of a configuration, before anything is opened for it.
#[derive(Debug)]
pub(crate) struct GroupDraft {
    /// Its name.
    pub name: String,
    /// The user of its zygote; `None`: the zygote keeps the supervisor's.
    pub identity: Option<Identity>,
    /// Its pools.
    pub pools: Vec<PoolConfig>,
    /// Its base zygote, once that is chosen.
    pub base: Option<BaseId>,
    /// The users of its pools, in the same order; or why one of them is unknown. `None`: to be looked up.
    pub(super) users: Option<KnownUsers>,
}

/// Sorts the pools of a configuration into groups. A pool whose user is unknown is in a group of its own, unless `process.group`
/// names another.
#[must_use]
pub(crate) fn drafts(config: &Config, load: &LoadOptions) -> Vec<GroupDraft> {
    let pools: Vec<PoolConfig> = config.pools.iter().map(|pool| permitted(pool, load)).collect();
    let mut users: Vec<Option<Result<PoolUser, Unknown>>> =
        pools.iter().map(|pool| Some(user_of(pool, load))).collect();
    let mut drafts = Vec::new();
    for Grouping { name, identity, pools: members } in groupings(config, load, &pools, &users) {
        let of_member = |at: &usize| users.get_mut(*at).and_then(Option::take);
        let users = Some(members.iter().filter_map(of_member).collect());
        let pools = members.iter().filter_map(|at| pools.get(*at).cloned()).collect();
        drafts.push(GroupDraft { name, identity, pools, base: None, users });
    }
    drafts
}

/// What a zygote may set without capabilities. Without root nothing more can be set.
fn ceilings(config: &Config, load: &LoadOptions) -> Ceilings {
    match limits::ceilings() {
        Ok(own) if load.root => Ceilings { files: config.global.rlimit_files.unwrap_or(own.files), ..own },
        _ => Ceilings::NONE,
    }
}

fn groupings(
    config: &Config,
    load: &LoadOptions,
    pools: &[PoolConfig],
    users: &[Option<Result<PoolUser, Unknown>>],
) -> Vec<Grouping> {
    let named = |pool: &PoolConfig| pool.process_group.is_some() || config.global.process_group.is_some();
    let (mut places, mut view, mut alone) = (Vec::new(), Vec::new(), Vec::<Grouping>::new());
    for (at, (pool, user)) in pools.iter().zip(users).enumerate() {
        match user {
            Some(Ok(user)) => view.push((pool, user.identity.clone())),
            _ if named(pool) => view.push((pool, None)),
            _ => {
                let shown = |&of: &usize| pools.get(of).is_some_and(|of| pool.status_of.as_ref() == Some(&of.name));
                match alone.iter_mut().find(|group| group.pools.iter().any(shown)) {
                    Some(group) => group.pools.push(at),
                    None => alone.push(Grouping { name: pool.name.clone(), identity: None, pools: vec![at] }),
                }
                continue;
            }
        }
        places.push(at);
    }
    let mut groups = groups::group(&config.global, &view, ceilings(config, load));
    for group in &mut groups {
        group.pools = group.pools.iter().filter_map(|&at| places.get(at).copied()).collect();
    }
    groups.extend(alone);
    groups.sort_by_key(|group| group.pools.first().copied());
    groups
}

/// The settings of a pool that this process may put into effect.
fn permitted(pool: &PoolConfig, load: &LoadOptions) -> PoolConfig {
    let mut pool = pool.clone();
    if !load.root {
        config::ignored_without_root(&pool).iter().for_each(log::say);
        (pool.chroot, pool.process_priority) = (None, None);
    }
    pool
}

impl GroupDraft {
    /// Identifies what the group would run with: settings, users, environments. 0: that is not known, because a user is not.
    #[must_use]
    pub(super) fn fingerprint(&self) -> u64 {
        let Some(Ok(users)) = &self.users else { return 0 };
        let users: Vec<_> =
            users.iter().zip(&self.pools).map(|(user, pool)| (&user.identity, user.environment(pool))).collect();
        let content = serde_json::to_vec(&(&self.name, &self.identity, &self.pools, users)).unwrap_or_default();
        text::hash(content).max(1)
    }

    /// The users of its pools are known.
    pub(super) fn learn_users(&mut self, users: &[PoolUser]) {
        if let [user] = users {
            self.identity.clone_from(&user.identity);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drafts_of(pools: &[(&str, &str)]) -> Vec<(String, Vec<String>, bool)> {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("php-fpm.conf");
        let pool = |(at, (name, lines)): (usize, &(&str, &str))| {
            format!("[{name}]\nlisten = {}\npm = static\npm.max_children = 1\n{lines}\n", 9000 + at)
        };
        let pools: String = pools.iter().enumerate().map(pool).collect();
        std::fs::write(&file, format!("[global]\nerror_log = /dev/null\n{pools}")).unwrap();
        let load = LoadOptions { allow_root: true, root: true, ..LoadOptions::default() };
        let config = config::load(&file, &load).unwrap().config;
        let shown = |draft: &GroupDraft| {
            let pools = draft.pools.iter().map(|pool| pool.name.clone()).collect();
            (draft.name.clone(), pools, matches!(draft.users, Some(Ok(_))))
        };
        drafts(&config, &load).iter().map(shown).collect()
    }

    #[test]
    fn a_pool_whose_user_is_unknown_is_a_group_that_fails() {
        let group = |name: &str, pools: &[&str], known| {
            (name.to_owned(), pools.iter().map(|&pool| pool.to_owned()).collect::<Vec<_>>(), known)
        };
        let unknown = "user = no-such-user";
        assert_eq!(
            drafts_of(&[("a", "user = 7"), ("b", unknown), ("c", "user = 7"), ("d", unknown), ("e", "user = 8")]),
            [
                group("a", &["a", "c"], true),
                group("b", &["b"], false),
                group("d", &["d"], false),
                group("e", &["e"], true)
            ]
        );
        // A pool that shows another one's status, and pools with a group's name, stay together.
        let status = "user = no-such-user\npm.status_listen = 9100\npm.status_path = /status";
        let drafts = drafts_of(&[("a", "user = 7"), ("b", status)]);
        assert_eq!(
            drafts.iter().map(|(_, pools, known)| (pools.len(), *known)).collect::<Vec<_>>(),
            [(1, true), (2, false)]
        );
        let named = |user: &str| format!("user = {user}\nprocess.group = shared");
        let (known, unknown) = (named("7"), named("no-such-user"));
        assert_eq!(drafts_of(&[("a", &known), ("b", &unknown)]), [group("shared", &["a", "b"], false)]);
    }
}

//! From a configuration to what a generation is made of: identities, environments, sockets, groups.

use crate::config::{self, Config, LoadOptions, PoolConfig};
use crate::configured;
use crate::ipc::Trust;
use crate::log;
use crate::plan::groups::{self, Grouping};
use crate::supervisor::generation::error::StartError;
use crate::supervisor::generation::totals::PoolTotals;
use crate::supervisor::sockets::Sockets;
use crate::sys::ids::Identity;

/// A pool with what was looked up for it.
#[derive(Debug)]
pub(crate) struct ResolvedPool {
    /// Its settings.
    pub config: PoolConfig,
    /// The user of its workers; `None`: the supervisor's.
    pub identity: Option<Identity>,
    /// `env[]`, `USER`, `HOME`.
    pub environment: Vec<(String, String)>,
    /// Its listening sockets.
    pub listen_fds: Vec<i32>,
    /// The shared memory of its counters.
    pub totals_fd: i32,
}

/// Looks up what each pool names, and sorts the pools into groups that share a zygote.
///
/// # Errors
/// Nothing must be started.
pub(crate) fn resolve(
    config: &Config,
    load: &LoadOptions,
    sockets: &mut Sockets,
    totals: &mut PoolTotals,
) -> Result<(Vec<ResolvedPool>, Vec<Grouping>), StartError> {
    let mut pools = Vec::new();
    for pool in &config.pools {
        let mut config = pool.clone();
        if !load.root {
            config::ignored_without_root(pool).iter().for_each(log::say);
            (config.chroot, config.process_priority) = (None, None);
        }
        let found = config::account(pool, load)?;
        let identity =
            configured::identity_of(&found).map_err(|source| StartError::Groups { pool: pool.name.clone(), source })?;
        let environment = environment(pool, &found);
        let listen_fds = sockets.open(pool)?;
        let trust = Trust::of(&config, identity.as_ref());
        let totals_fd = totals
            .open(&pool.name, &trust)
            .map_err(|source| StartError::Counters { pool: pool.name.clone(), source })?;
        pools.push(ResolvedPool { config, identity, environment, listen_fds, totals_fd });
    }
    let view: Vec<(&PoolConfig, Option<Identity>)> = pools.iter().map(|p| (&p.config, p.identity.clone())).collect();
    let groups = groups::group(&config.global, &view);
    Ok((pools, groups))
}

/// `env[]`, with USER and HOME of the pool's user unless given.
fn environment(pool: &PoolConfig, found: &config::Account) -> Vec<(String, String)> {
    let mut variables = pool.env.clone();
    for (name, value) in [("USER", &found.user), ("HOME", &found.home)] {
        if let Some(value) = value.as_ref().filter(|_| !pool.env.iter().any(|(n, _)| n == name)) {
            variables.push((name.to_owned(), value.clone()));
        }
    }
    variables
}

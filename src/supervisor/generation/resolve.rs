//! From a configuration to what a generation is made of: identities, environments, sockets, groups.

use crate::config::{self, Config, LoadOptions, PoolConfig, ProcessManager};
use crate::configured;
use crate::ipc::Trust;
use crate::log;
use crate::plan::groups::{self, Grouping};
use crate::plan::scaling::{Policy, Spare};
use crate::plan::watch::Limits;
use crate::supervisor::generation::StartError;
use crate::supervisor::generation::runtime::ResolvedPool;
use crate::supervisor::generation::totals::Book;
use crate::supervisor::sockets::Sockets;
use crate::sys::clock::millis;
use crate::sys::ids::Identity;

/// Pools with everything looked up, and how they share zygotes.
///
/// # Errors
/// Nothing must be started.
pub fn resolve(
    config: &Config,
    load: &LoadOptions,
    sockets: &mut Sockets,
    totals: &mut Book,
) -> Result<(Vec<ResolvedPool>, Vec<Grouping>), StartError> {
    let mut pools = Vec::new();
    for pool in &config.pools {
        let mut config = pool.clone();
        if !load.root {
            config::ignored_without_root(pool).into_iter().for_each(log::notice);
            (config.chroot, config.process_priority) = (None, None);
        }
        let found = config::account(pool, load).map_err(|e| StartError::Account(e.to_string()))?;
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

/// How many workers a pool has, and what decides it.
#[must_use]
pub fn policy(pool: &PoolConfig) -> Policy {
    match pool.pm {
        ProcessManager::Static => Policy::Static,
        ProcessManager::Dynamic => Policy::Dynamic(Spare {
            start: pool.pm_start_servers,
            min: pool.pm_min_spare_servers,
            max: pool.pm_max_spare_servers,
            max_rate: pool.pm_max_spawn_rate,
        }),
        ProcessManager::Ondemand => Policy::Ondemand(millis(pool.pm_process_idle_timeout)),
    }
}

/// What a pool allows a request.
#[must_use]
pub fn limits(pool: &PoolConfig) -> Limits {
    Limits {
        slow: millis(pool.request_slowlog_timeout),
        terminate: millis(pool.request_terminate_timeout),
        track_finished: pool.request_terminate_timeout_track_finished,
    }
}

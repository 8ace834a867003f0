//! The description of a generation for the fleet: groups, pools, how many workers, which limits.

use std::net::SocketAddr;
use std::time::Duration;

use crate::config::{self, ListenAddr, PoolConfig, ProcessManager};
use crate::plan::fleet::{GroupPlan, PoolPlan};
use crate::plan::scaling::{Policy, Spare};
use crate::plan::watch::Limits;
use crate::supervisor::generation::resolve::GroupDraft;

impl GroupDraft {
    /// Its plan; `idle_limit` is `group_idle_timeout` of `[global]`.
    #[must_use]
    pub(crate) fn plan(&self, idle_limit: Duration) -> GroupPlan {
        let plan = |p: &PoolConfig| PoolPlan {
            name: p.name.clone(),
            addresses: p.listen.iter().flat_map(addresses).collect(),
            size: p.pm_max_children,
            policy: policy(p),
            limits: limits(p),
        };
        GroupPlan {
            name: self.name.clone(),
            fingerprint: self.fingerprint(),
            idle_limit: longest(self.pools.iter().map(|p| p.group_idle_timeout.unwrap_or(idle_limit))),
            pools: self.pools.iter().map(plan).collect(),
        }
    }
}

/// An address, as all configurations write it; several, if a host has them.
pub(crate) fn addresses(listen: &ListenAddr) -> Vec<String> {
    match listen {
        ListenAddr::Unix(path) => vec![config::unix_path(path).0.to_string_lossy().into_owned()],
        ListenAddr::Tcp { spec, addrs } if addrs.is_empty() => vec![spec.clone()],
        ListenAddr::Tcp { addrs, .. } => addrs.iter().map(SocketAddr::to_string).collect(),
    }
}

/// The longest of these times; zero means no limit, so it is longer than any other.
fn longest(times: impl Iterator<Item = Duration> + Clone) -> Duration {
    if times.clone().any(|t| t.is_zero()) { Duration::ZERO } else { times.max().unwrap_or_default() }
}

/// `pm` with its numbers.
fn policy(pool: &PoolConfig) -> Policy {
    match pool.pm {
        ProcessManager::Static => Policy::Static,
        ProcessManager::Dynamic => Policy::Dynamic(Spare {
            start: pool.pm_start_servers,
            min: pool.pm_min_spare_servers,
            max: pool.pm_max_spare_servers,
            max_rate: pool.pm_max_spawn_rate,
        }),
        ProcessManager::Ondemand => Policy::Ondemand(pool.pm_process_idle_timeout),
    }
}

/// How long a request of the pool may take.
fn limits(pool: &PoolConfig) -> Limits {
    Limits {
        slow: pool.request_slowlog_timeout,
        terminate: pool.request_terminate_timeout,
        track_finished: pool.request_terminate_timeout_track_finished,
    }
}

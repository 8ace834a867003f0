//! The description of a generation for the fleet: groups, pools, how many workers, which limits.

use std::time::Duration;

use crate::config::{PoolConfig, ProcessManager};
use crate::ipc::PoolSpec;
use crate::plan::fleet::{GroupPlan, PoolPlan};
use crate::plan::scaling::{Policy, Spare};
use crate::plan::watch::Limits;
use crate::supervisor::generation::runtime::Runtime;

impl Runtime {
    /// The plan of each group; `idle_limit` is `group_idle_timeout` of `[global]`.
    #[must_use]
    pub(crate) fn plans(&self, idle_limit: Duration) -> Vec<GroupPlan> {
        let plan = |p: &PoolSpec| PoolPlan {
            name: p.config.name.clone(),
            size: p.size,
            policy: policy(&p.config),
            limits: limits(&p.config),
        };
        let plans = self.groups.iter().map(|g| GroupPlan {
            name: g.spec.group.clone(),
            idle_limit: longest(g.spec.pools.iter().map(|p| p.config.group_idle_timeout.unwrap_or(idle_limit))),
            pools: g.spec.pools.iter().map(plan).collect(),
        });
        plans.collect()
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

//! The members of a fleet: generations of groups, each a zygote with its pools' workers.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use crate::plan::crashes::Crashes;
use crate::plan::fleet::escalation::Escalation;
use crate::plan::fleet::keys::{GenerationId, WorkerKey};
use crate::plan::fleet::pool::{PoolPlan, PoolState, Worker};
use crate::plan::scaling::Policy;
use crate::sys::clock::{self, Moment};

/// The processes of a group that run with the configuration as it was read once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Generation {
    /// Unique; ascends, also through reloads.
    pub id: GenerationId,
    /// Which reading of the configuration it comes from, counted from 1. 0: a former version has made it, whose generations had
    /// all groups of a reading; then the id says it.
    #[serde(default)]
    number: u32,
    /// How far its life has come.
    pub phase: Phase,
    /// Its group. A generation of a former version has several.
    pub groups: Vec<Group>,
    /// When the phase began.
    pub since: Moment,
    /// Where its kept connections go while it drains: the generations that have its pools.
    #[serde(default, alias = "successor", deserialize_with = "one_or_several")]
    pub successors: Vec<GenerationId>,
    pub(super) steps: Option<Escalation>,
    /// It could not start, and drains back into those before it.
    #[serde(default)]
    pub given_up: bool,
    /// It drains, and since then others wait for its end.
    #[serde(default)]
    pub(super) blocking_since: Option<Moment>,
    /// Its zygotes are forked from a base zygote, which takes little: PHP has started there.
    #[serde(default)]
    pub(super) forked: bool,
    /// When the latest renewal began that has made it, or that was to replace it.
    #[serde(default)]
    pub(super) renewed: Option<Moment>,
    /// A renewal is to replace it from then on.
    #[serde(default)]
    pub(super) renewal_due: Option<Moment>,
}

/// A generation's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    /// It waits for its turn to start.
    Queued,
    /// Zygotes start, first workers are forked.
    Starting,
    /// Its workers accept requests; older generations were told to stop accepting them.
    Settling,
    /// It serves.
    Serving,
    /// It finishes the requests that it has.
    Draining,
}

/// Pools that share a zygote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Group {
    /// Its name.
    pub name: String,
    /// Of what it runs with; 0: unknown.
    #[serde(default)]
    pub fingerprint: u64,
    /// The process.
    pub zygote: Zygote,
    /// Its pools.
    pub pools: Vec<PoolState>,
    /// Zygotes that died in a row without having served.
    pub(super) failures: u32,
    /// The latest crashes of its workers.
    #[serde(default)]
    pub(super) crashes: Crashes,
    /// After this time without workers its zygote leaves, where none of its pools is to have any; zero: never.
    #[serde(default, with = "clock::as_millis")]
    pub(super) idle_limit: Duration,
    /// Since when it has had no workers.
    #[serde(default)]
    pub(super) idle_since: Option<Moment>,
    /// The supervisor watches its listening sockets, since there is no zygote.
    #[serde(default)]
    pub(super) watched: bool,
    /// Since when its zygote has been stopped, or has not reaped a dead worker.
    #[serde(default)]
    pub(super) unresponsive: Option<Moment>,
}

/// A zygote's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Zygote {
    /// Nothing is open for it yet; to be prepared at that time.
    Unprepared(Moment),
    /// The supervisor opens what it needs.
    Preparing,
    /// To be started when a connection comes, but not before that time.
    Asleep(Moment),
    /// To be started at that time.
    Due(Moment),
    /// It has been starting PHP since then.
    Starting(Moment),
    /// It has been ready to fork since then.
    Up(Moment),
    /// It was told to leave then.
    Dismissed(Moment),
    /// There is none, and none is wanted.
    Gone,
}

/// The target state of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupPlan {
    /// Unique name.
    pub name: String,
    /// Of what it runs with; 0: unknown.
    pub fingerprint: u64,
    /// After this time without workers its zygote leaves, where all its pools are ondemand; zero: never.
    pub idle_limit: Duration,
    /// Its pools.
    pub pools: Vec<PoolPlan>,
}

/// A former version had one successor at most.
fn one_or_several<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<GenerationId>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Read {
        Several(Vec<GenerationId>),
        One(Option<GenerationId>),
    }
    Ok(match Read::deserialize(from)? {
        Read::Several(ids) => ids,
        Read::One(id) => id.into_iter().collect(),
    })
}

impl Generation {
    /// A generation that begins.
    pub(super) fn new(id: GenerationId, number: u32, group: Group, now: Moment) -> Self {
        let (groups, successors) = (vec![group], Vec::new());
        let (phase, since) = (Phase::Queued, now);
        Self {
            id,
            number,
            phase,
            groups,
            since,
            successors,
            steps: None,
            given_up: false,
            blocking_since: None,
            forked: false,
            renewed: None,
            renewal_due: None,
        }
    }

    /// Which reading of the configuration it comes from; titles and the log show this number.
    #[must_use]
    pub(crate) fn number(&self) -> u32 {
        if self.number == 0 { self.id.0 } else { self.number }
    }

    /// Whether it has started, and no other one has taken its place.
    #[must_use]
    pub(crate) fn serves(&self) -> bool {
        matches!(self.phase, Phase::Settling | Phase::Serving)
    }

    /// Whether it has a pool of that name.
    pub(super) fn has_pool(&self, name: &str) -> bool {
        self.pools().any(|pool| pool.name == name)
    }

    /// Whether both have a pool of the same name.
    pub(super) fn shares_a_pool_with(&self, other: &Self) -> bool {
        self.pools().any(|pool| other.has_pool(&pool.name))
    }

    /// Its workers.
    pub(crate) fn workers(&self) -> impl Iterator<Item = (WorkerKey, &Worker)> {
        let generation = self.id;
        self.groups.iter().enumerate().flat_map(move |(group, g)| {
            g.pools.iter().enumerate().flat_map(move |(pool, p)| {
                p.workers.iter().map(move |(&slot, w)| (WorkerKey { generation, group, pool, slot }, w))
            })
        })
    }

    /// What its groups run with is no longer known to be that of any configuration.
    pub(super) fn forget_fingerprint(&mut self) {
        self.groups.iter_mut().for_each(|group| group.fingerprint = 0);
    }

    pub(super) fn pools(&self) -> impl Iterator<Item = &PoolState> {
        self.groups.iter().flat_map(|g| &g.pools)
    }
}

impl Group {
    /// One that nothing is open for yet.
    pub(super) fn planned(plan: &GroupPlan, now: Moment) -> Self {
        let pools = plan.pools.iter().map(PoolState::planned).collect();
        Self {
            name: plan.name.clone(),
            fingerprint: plan.fingerprint,
            zygote: Zygote::Unprepared(now),
            pools,
            failures: 0,
            crashes: Crashes::default(),
            idle_limit: plan.idle_limit,
            idle_since: None,
            watched: false,
            unresponsive: None,
        }
    }

    /// What it was planned as.
    pub(super) fn plan(&self) -> GroupPlan {
        GroupPlan {
            name: self.name.clone(),
            fingerprint: self.fingerprint,
            idle_limit: self.idle_limit,
            pools: self.pools.iter().map(PoolState::plan).collect(),
        }
    }

    /// None of its pools needs workers without connections, so it can do without a zygote.
    pub(super) fn may_sleep(&self) -> bool {
        self.pools.iter().all(|p| matches!(p.policy, Policy::Ondemand(_)))
    }

    /// It has a zygote, or soon will.
    pub(crate) fn is_awake(&self) -> bool {
        !matches!(self.zygote, Zygote::Unprepared(_) | Zygote::Preparing | Zygote::Asleep(_) | Zygote::Gone)
    }
}

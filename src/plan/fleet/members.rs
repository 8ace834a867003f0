//! The members of a fleet: generations of groups, each a zygote with its pools' workers.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use crate::plan::crashes::{Crashes, Loop};
use crate::plan::fleet::escalation::Escalation;
use crate::plan::fleet::keys::{GenerationId, PoolKey, WorkerKey};
use crate::plan::fleet::view::View;
use crate::plan::scaling::{Count, Policy, Scaling};
use crate::plan::surge;
use crate::plan::watch::{Limits, Watch};
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

/// A pool's workers in one generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PoolState {
    /// The section's name.
    pub name: String,
    /// Where it listens.
    #[serde(default)]
    pub(super) addresses: Vec<String>,
    /// `pm.max_children`.
    pub size: u32,
    /// `pm`.
    #[serde(default)]
    pub policy: Policy,
    /// How many workers are wanted now; means nothing where `pm` is static.
    #[serde(default)]
    pub(super) wanted: u32,
    #[serde(default)]
    pub(super) scaling: Scaling,
    /// How long a request may take.
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) crash_loop: Loop,
    /// Workers that have ended without having been told to, and were not replaced yet.
    #[serde(default)]
    pub(super) owed: u32,
    /// By slot.
    pub workers: BTreeMap<u32, Worker>,
    /// Workers that died in a row before they waited for a request.
    pub(super) failures: u32,
    /// Workers in a row that could not be forked.
    #[serde(default)]
    pub(super) unforked: u32,
    /// No fork before this, after such deaths or refusals.
    pub(super) not_before: Moment,
}

/// One worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Worker {
    /// Known once it was forked.
    pub pid: Option<i32>,
    /// The start time of that process, if the kernel has confirmed that it is this worker. Otherwise the pid is only shown.
    #[serde(default)]
    pub born: Option<u64>,
    /// When it was asked for.
    pub since: Moment,
    /// How far its life has come.
    pub life: Life,
    /// Its zygote has died: the supervisor is its parent.
    pub orphan: bool,
    /// It replaces one that ended without having been told to.
    #[serde(default)]
    pub replaces: bool,
    /// When it was told to leave because its pool needs fewer.
    #[serde(default)]
    pub retired: Option<Moment>,
    /// The measures against its present request, if requests have a time limit.
    #[serde(default)]
    pub(super) watch: Watch,
}

/// A worker's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Life {
    /// The zygote was told to fork it.
    Asked,
    /// It exists.
    Forked,
    /// It waits for requests or serves them.
    Accepting,
    /// It accepts no new request.
    Leaving,
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

/// The target state of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PoolPlan {
    /// The section's name.
    pub name: String,
    /// Where it listens.
    pub addresses: Vec<String>,
    /// `pm.max_children`.
    pub size: u32,
    /// `pm`.
    pub policy: Policy,
    /// How long a request may take.
    pub limits: Limits,
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
        Self { id, number, phase, groups, since, successors, steps: None, given_up: false, blocking_since: None }
    }

    /// Which reading of the configuration it comes from; titles and the log show this number.
    #[must_use]
    pub(crate) fn number(&self) -> u32 {
        if self.number == 0 { self.id.0 } else { self.number }
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

impl PoolState {
    /// Slots that its scoreboard needs: one for each worker, and some for orphans of a dead zygote that still finish.
    #[must_use]
    pub(crate) fn slots(size: u32) -> u32 {
        size + surge::surge(size)
    }

    /// The lowest free slots, `most` of them at most.
    pub(super) fn free_slots(&self, most: usize) -> Vec<u32> {
        let mut taken = self.workers.keys().copied().peekable();
        let free = (0..Self::slots(self.size)).filter(|slot| taken.next_if_eq(slot).is_none());
        free.take(most).collect()
    }

    /// How many workers it starts with.
    pub(super) fn opening(&self) -> u32 {
        match self.policy {
            Policy::Static => self.size,
            Policy::Dynamic(spare) => spare.start.min(self.size),
            Policy::Ondemand(_) => 0,
        }
    }

    /// How many it is to have now.
    pub(super) fn target(&self) -> u32 {
        if self.policy == Policy::Static { self.size } else { self.wanted.min(self.size) }
    }

    /// How many of its workers stay.
    pub(super) fn staying(&self) -> u32 {
        number(self.workers.values().filter(|w| w.stays()).count())
    }

    /// How many workers of the present zygote are about to leave.
    pub(super) fn going(&self) -> u32 {
        number(self.workers.values().filter(|w| !w.orphan && !w.stays()).count())
    }

    pub(super) fn accepting(&self) -> u32 {
        number(self.staying_in(Life::Accepting))
    }

    fn staying_in(&self, life: Life) -> usize {
        self.workers.values().filter(|w| w.life == life && w.stays()).count()
    }

    /// The present zygote has no children here.
    pub(super) fn is_childless(&self) -> bool {
        self.workers.values().all(|w| w.orphan)
    }

    /// The slots of workers that stay and wait for a request, the oldest worker first.
    pub(super) fn idle(&self, key: PoolKey, view: &dyn View) -> Vec<u32> {
        let idle = self
            .workers
            .iter()
            .filter(|(slot, w)| w.life == Life::Accepting && w.stays() && !view.is_busy(key.worker(**slot)));
        let mut idle: Vec<_> = idle.map(|(slot, w)| (w.since, *slot)).collect();
        idle.sort_unstable();
        idle.into_iter().map(|(_, slot)| slot).collect()
    }

    /// The numbers for `scaling`, where the zygote has counted idle workers except those that it has yet to fork.
    pub(super) fn count_asked(&self) -> Count {
        self.count_with(self.staying_in(Life::Asked))
    }

    /// The numbers for `scaling`.
    pub(super) fn count(&self, key: PoolKey, view: &dyn View) -> Count {
        self.count_with(self.idle(key, view).len() + self.staying_in(Life::Asked) + self.staying_in(Life::Forked))
    }

    fn count_with(&self, idle: usize) -> Count {
        Count { idle: number(idle), total: self.staying(), size: self.size }
    }
}

impl Worker {
    pub(super) fn asked_for(now: Moment, replaces: bool) -> Self {
        let (life, watch) = (Life::Asked, Watch::default());
        Self { pid: None, born: None, since: now, life, orphan: false, replaces, retired: None, watch }
    }

    /// It was not told to leave and is not about to.
    pub(super) fn stays(&self) -> bool {
        !self.orphan && self.retired.is_none() && self.life != Life::Leaving
    }
}

impl Group {
    /// None of its pools needs workers without connections, so it can do without a zygote.
    pub(super) fn may_sleep(&self) -> bool {
        self.pools.iter().all(|p| matches!(p.policy, Policy::Ondemand(_)))
    }

    /// It has a zygote, or soon will.
    pub(super) fn is_awake(&self) -> bool {
        !matches!(self.zygote, Zygote::Unprepared(_) | Zygote::Preparing | Zygote::Asleep(_) | Zygote::Gone)
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

//! Who makes up a fleet: generations of groups, each a zygote with its pools' workers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::events::View;
use super::keys::{GenerationId, PoolKey, WorkerKey};
use super::stop::Escalation;
use crate::plan::crashes::{Crashes, Loop};
use crate::plan::scaling::{Count, Policy, Scaling};
use crate::plan::surge;
use crate::plan::watch::{Limits, Watch};
use crate::sys::clock::Millis;

/// One reading of the configuration and the processes that live by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// Counts up from 1 over the life of the supervisor.
    pub id: GenerationId,
    /// Where it is in its life.
    pub phase: Phase,
    /// Its zygotes.
    pub groups: Vec<Group>,
    /// When the phase began.
    pub since: Millis,
    /// Where its kept connections go while it drains.
    pub successor: Option<GenerationId>,
    pub(super) steps: Option<Escalation>,
}

/// A generation's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Zygotes start, first workers are made.
    Starting,
    /// Its workers accept; older generations were told to stop accepting.
    Settling,
    /// It serves.
    Serving,
    /// It finishes what it has.
    Draining,
}

/// Pools that share a zygote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Unique in its generation.
    pub name: String,
    /// The process.
    pub zygote: Zygote,
    /// Its pools.
    pub pools: Vec<PoolState>,
    /// Zygotes that died in a row without having served.
    pub(super) failures: u32,
    /// Its workers' latest ones.
    #[serde(default)]
    pub(super) crashes: Crashes,
    /// A zygote without workers leaves after so many milliseconds, where none of its pools is to have any; 0: never.
    #[serde(default)]
    pub(super) idle_limit: u64,
    /// Since when it has had none.
    #[serde(default)]
    pub(super) idle_since: Option<Millis>,
    /// Its sockets are watched in place of a zygote.
    #[serde(default)]
    pub(super) watched: bool,
}

/// A zygote's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Zygote {
    /// To be started when somebody asks for it, but not before that time.
    Asleep(Millis),
    /// To be started at that time.
    Due(Millis),
    /// PHP starts in it, since then.
    Starting(Millis),
    /// It forks on request.
    Up(Millis),
    /// It was told to leave.
    Dismissed(Millis),
    /// It has left and isn't wanted.
    Gone,
}

/// A pool's workers in one generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolState {
    /// The section's name.
    pub name: String,
    /// `pm.max_children`.
    pub size: u32,
    /// How many of them there are to be.
    #[serde(default)]
    pub policy: Policy,
    /// How many are wanted now; means nothing where `pm` is static.
    #[serde(default)]
    pub(super) wanted: u32,
    #[serde(default)]
    pub(super) scaling: Scaling,
    /// What it allows a request.
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) crash_loop: Loop,
    /// Workers that died unasked and were not replaced yet.
    #[serde(default)]
    pub(super) owed: u32,
    /// By slot.
    pub workers: BTreeMap<u32, Worker>,
    /// Workers that died in a row before they waited for a request.
    pub(super) failures: u32,
    /// No fork before this, after such deaths.
    pub(super) not_before: Millis,
}

/// One worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Known once it was forked.
    pub pid: Option<i32>,
    /// When that process was started, if it was proved to be this worker. Without, the pid is only shown.
    #[serde(default)]
    pub born: Option<u64>,
    /// When it was asked for.
    pub since: Millis,
    /// Where it is in its life.
    pub life: Life,
    /// Its zygote has died: the supervisor is its parent.
    pub orphan: bool,
    /// It stands for one that died.
    #[serde(default)]
    pub replaces: bool,
    /// When it was told to leave because its pool needs fewer.
    #[serde(default)]
    pub retired: Option<Millis>,
    /// What was done about its present request.
    #[serde(default)]
    pub(super) watch: Watch,
}

/// A worker's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Life {
    /// The zygote was asked for it.
    Asked,
    /// It exists.
    Forked,
    /// It waits for requests or serves them.
    Accepting,
    /// It takes no new request.
    Leaving,
}

/// What a generation is to consist of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupPlan {
    /// Unique name.
    pub name: String,
    /// After how many milliseconds without workers its zygote leaves, where all its pools are ondemand; 0: never.
    pub idle_limit: u64,
    /// Its pools.
    pub pools: Vec<PoolPlan>,
}

/// What a pool of it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolPlan {
    /// The section's name.
    pub name: String,
    /// `pm.max_children`.
    pub size: u32,
    /// `pm`.
    pub policy: Policy,
    /// What it allows a request.
    pub limits: Limits,
}

impl Generation {
    /// Its workers.
    pub fn workers(&self) -> impl Iterator<Item = (WorkerKey, &Worker)> {
        let generation = self.id;
        self.groups.iter().enumerate().flat_map(move |(group, g)| {
            g.pools.iter().enumerate().flat_map(move |(pool, p)| {
                p.workers.iter().map(move |(&slot, w)| (WorkerKey { generation, group, pool, slot }, w))
            })
        })
    }

    pub(super) fn pools(&self) -> impl Iterator<Item = &PoolState> {
        self.groups.iter().flat_map(|g| &g.pools)
    }
}

impl PoolState {
    /// Slots its scoreboard needs: one for each worker, and some while orphans of a dead zygote finish.
    #[must_use]
    pub fn slots(size: u32) -> u32 {
        size + surge::surge(size)
    }

    /// The lowest slots that nobody has, that many at most.
    pub(super) fn free_slots(&self, most: usize) -> Vec<u32> {
        let mut taken = self.workers.keys().copied().peekable();
        let free = (0..Self::slots(self.size)).filter(|slot| taken.next_if_eq(slot).is_none());
        free.take(most).collect()
    }

    /// Workers at its start.
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

    /// Those that go on.
    pub(super) fn staying(&self) -> u32 {
        number(self.workers.values().filter(|w| w.stays()).count())
    }

    /// Those of the present zygote that are about to leave.
    pub(super) fn going(&self) -> u32 {
        number(self.workers.values().filter(|w| !w.orphan && !w.stays()).count())
    }

    pub(super) fn accepting(&self) -> u32 {
        number(self.staying_in(Life::Accepting))
    }

    fn staying_in(&self, life: Life) -> usize {
        self.workers.values().filter(|w| w.life == life && w.stays()).count()
    }

    /// Nobody has the present zygote for a parent.
    pub(super) fn is_childless(&self) -> bool {
        self.workers.values().all(|w| w.orphan)
    }

    /// Those that stay and wait for a request, in the order in which they were made.
    pub(super) fn idle(&self, key: PoolKey, view: &dyn View) -> Vec<u32> {
        let idle = self
            .workers
            .iter()
            .filter(|(slot, w)| w.life == Life::Accepting && w.stays() && !view.is_busy(key.worker(**slot)));
        let mut idle: Vec<_> = idle.map(|(slot, w)| (w.since, *slot)).collect();
        idle.sort_unstable();
        idle.into_iter().map(|(_, slot)| slot).collect()
    }

    /// As `scaling` is to see it when the zygote has counted all but those that it has yet to fork.
    pub(super) fn count_asked(&self) -> Count {
        self.count_with(self.staying_in(Life::Asked))
    }

    /// As `scaling` is to see it.
    pub(super) fn count(&self, key: PoolKey, view: &dyn View) -> Count {
        self.count_with(self.idle(key, view).len() + self.staying_in(Life::Asked) + self.staying_in(Life::Forked))
    }

    fn count_with(&self, idle: usize) -> Count {
        Count { idle: number(idle), total: self.staying(), size: self.size }
    }
}

impl Worker {
    pub(super) fn asked_for(now: Millis, replaces: bool) -> Self {
        let (life, watch) = (Life::Asked, Watch::default());
        Self { pid: None, born: None, since: now, life, orphan: false, replaces, retired: None, watch }
    }

    /// Neither told to leave nor about to.
    pub(super) fn stays(&self) -> bool {
        !self.orphan && self.retired.is_none() && self.life != Life::Leaving
    }
}

impl Group {
    /// No pool of it needs a worker that nobody asks for, so it can be without a zygote.
    pub(super) fn may_sleep(&self) -> bool {
        self.pools.iter().all(|p| matches!(p.policy, Policy::Ondemand(_)))
    }

    /// It has a process, or soon will.
    pub(super) fn is_awake(&self) -> bool {
        !matches!(self.zygote, Zygote::Asleep(_) | Zygote::Gone)
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

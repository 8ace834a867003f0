//! A pool's workers in one generation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::plan::crashes::Loop;
use crate::plan::fleet::keys::PoolKey;
use crate::plan::fleet::view::View;
use crate::plan::scaling::{Count, Policy, Scaling};
use crate::plan::surge;
use crate::plan::watch::{Limits, Watch};
use crate::sys::clock::Moment;

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

impl PoolState {
    /// One without workers.
    pub(super) fn planned(plan: &PoolPlan) -> Self {
        let mut pool = Self {
            name: plan.name.clone(),
            addresses: plan.addresses.clone(),
            size: plan.size,
            policy: plan.policy,
            wanted: 0,
            scaling: Scaling::default(),
            limits: plan.limits,
            crash_loop: Loop::default(),
            owed: 0,
            workers: BTreeMap::new(),
            failures: 0,
            unforked: 0,
            not_before: Moment::default(),
        };
        pool.wanted = pool.opening();
        pool
    }

    /// What it was planned as.
    pub(super) fn plan(&self) -> PoolPlan {
        PoolPlan {
            name: self.name.clone(),
            addresses: self.addresses.clone(),
            size: self.size,
            policy: self.policy,
            limits: self.limits,
        }
    }

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
    #[must_use]
    pub(crate) fn target(&self) -> u32 {
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

    /// Its request took too long, so it was told to end.
    #[must_use]
    pub(crate) fn has_timed_out(&self) -> bool {
        self.watch.has_ended_worker()
    }

    /// It was not told to leave and is not about to.
    pub(super) fn stays(&self) -> bool {
        !self.orphan && self.retired.is_none() && self.life != Life::Leaving
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

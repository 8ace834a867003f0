//! Who makes up a fleet: generations of groups, each a zygote with its pools' workers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::keys::{GenerationId, WorkerKey};
use super::stop::Escalation;
use crate::plan::surge;
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
    pub pools: Vec<Pool>,
    /// Zygotes that died in a row without having served.
    pub(super) failures: u32,
}

/// A zygote's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Zygote {
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
pub struct Pool {
    /// The section's name.
    pub name: String,
    /// `pm.max_children`.
    pub size: u32,
    /// By slot.
    pub workers: BTreeMap<u32, Worker>,
    /// Workers that died in a row before they waited for a request.
    pub(super) failures: u32,
    /// No fork before this, after such deaths.
    pub(super) not_before: Millis,
    /// It has had all its workers: whoever comes now replaces one.
    pub complete: bool,
}

/// One worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Known once it was forked.
    pub pid: Option<i32>,
    /// When it was asked for.
    pub since: Millis,
    /// Where it is in its life.
    pub life: Life,
    /// Its zygote has died: the supervisor is its parent.
    pub orphan: bool,
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
    /// Pool names and sizes.
    pub pools: Vec<(String, u32)>,
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

    pub(super) fn pools(&self) -> impl Iterator<Item = &Pool> {
        self.groups.iter().flat_map(|g| &g.pools)
    }
}

impl Pool {
    /// Slots its scoreboard needs: one for each worker, and some while orphans of a dead zygote finish.
    #[must_use]
    pub fn slots(size: u32) -> u32 {
        size + surge::surge(size)
    }

    pub(super) fn free_slot(&self) -> Option<u32> {
        (0..Self::slots(self.size)).find(|slot| !self.workers.contains_key(slot))
    }

    pub(super) fn staying(&self) -> usize {
        self.workers.values().filter(|w| !w.orphan).count()
    }

    pub(super) fn accepting(&self) -> usize {
        self.workers.values().filter(|w| w.life == Life::Accepting && !w.orphan).count()
    }
}

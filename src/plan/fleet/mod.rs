//! All generations of zygotes and workers: who is there, and what an event makes of them.

mod events;
mod keys;
mod stop;
mod succession;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use keys::{GenerationId, WorkerKey, ZygoteKey};

use crate::plan::surge;
use crate::sys::clock::Millis;
use crate::sys::process::Exit;

/// What the whole is to do. A stronger goal overrides a weaker one, never the other way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Goal {
    /// Answer requests.
    Serve,
    /// Finish what was begun, then end (SIGQUIT).
    Finish,
    /// End now (SIGTERM, SIGINT).
    Terminate,
}

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A zygote has started PHP and can fork.
    ZygoteReady(ZygoteKey),
    /// A zygote's process has gone, for whatever reason.
    ZygoteGone(ZygoteKey),
    /// A worker exists.
    Forked(WorkerKey, i32),
    /// A worker could not be made.
    ForkFailed(WorkerKey),
    /// A worker waits for requests.
    Accepting(WorkerKey),
    /// A worker takes no further request; it is about to exit.
    Left(WorkerKey),
    /// A worker's process has ended.
    Exited(WorkerKey, Exit),
    /// Time passes.
    Tick,
}

/// Something to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start a zygote.
    SpawnZygote(ZygoteKey),
    /// Have a worker forked.
    Fork(WorkerKey),
    /// Tell a generation's workers to take nothing new, and its zygotes where to send kept connections.
    Drain(GenerationId),
    /// A zygote has no more to do: it may leave once its links are empty.
    Dismiss(ZygoteKey),
    /// SIGKILL for a zygote.
    KillZygote(ZygoteKey),
    /// A signal for a worker.
    Signal(WorkerKey, Stop),
    /// The newest generation serves and no older one takes requests any more.
    Ready(GenerationId),
    /// The newest generation could not start; the one before it goes on.
    Abandoned(GenerationId),
    /// A generation has no process left.
    Forget(GenerationId),
    /// The first generation could not start: nothing serves.
    StartFailed,
    /// No process is left, and none is wanted.
    AllGone,
}

/// The signals that end a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stop {
    /// SIGTERM.
    Term,
    /// SIGKILL.
    Kill,
}

/// All generations, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fleet {
    /// What is wanted.
    pub goal: Goal,
    /// `process_control_timeout` in milliseconds; 0 = no limit.
    pub control_timeout: u64,
    /// Oldest first; the last one is the newest.
    pub generations: Vec<Generation>,
    next_id: u32,
    stop_steps: Option<stop::Escalation>,
}

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
    steps: Option<stop::Escalation>,
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
    failures: u32,
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
    failures: u32,
    /// No fork before this, after such deaths.
    not_before: Millis,
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

impl Fleet {
    /// Nobody yet.
    #[must_use]
    pub fn new(control_timeout: u64) -> Self {
        Self { goal: Goal::Serve, control_timeout, generations: Vec::new(), next_id: 1, stop_steps: None }
    }

    /// The generation with that id.
    #[must_use]
    pub fn generation(&self, id: GenerationId) -> Option<&Generation> {
        self.generations.iter().find(|g| g.id == id)
    }

    fn generation_mut(&mut self, id: GenerationId) -> Option<&mut Generation> {
        self.generations.iter_mut().find(|g| g.id == id)
    }

    fn group_mut(&mut self, key: ZygoteKey) -> Option<&mut Group> {
        self.generation_mut(key.generation)?.groups.get_mut(key.group)
    }

    fn pool_mut(&mut self, key: WorkerKey) -> Option<&mut Pool> {
        self.group_mut(key.zygote())?.pools.get_mut(key.pool)
    }

    /// The worker under that key.
    #[must_use]
    pub fn worker(&self, key: WorkerKey) -> Option<&Worker> {
        self.pool(key)?.workers.get(&key.slot)
    }

    /// The pool that a worker belongs to.
    #[must_use]
    pub fn pool(&self, key: WorkerKey) -> Option<&Pool> {
        self.generation(key.generation)?.groups.get(key.group)?.pools.get(key.pool)
    }

    fn worker_mut(&mut self, key: WorkerKey) -> Option<&mut Worker> {
        self.pool_mut(key)?.workers.get_mut(&key.slot)
    }

    /// Every worker that is there, with its key.
    pub fn workers(&self) -> impl Iterator<Item = (WorkerKey, &Worker)> {
        self.generations.iter().flat_map(Generation::workers)
    }

    /// Whether a reload may begin: none is under way, and not too many generations drain already.
    #[must_use]
    pub fn may_reload(&self) -> bool {
        const MOST_DRAINING: usize = 3;
        let draining = self.generations.iter().filter(|g| g.phase == Phase::Draining).count();
        self.goal == Goal::Serve
            && draining < MOST_DRAINING
            && self.generations.iter().all(|g| matches!(g.phase, Phase::Draining | Phase::Serving))
    }
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

    fn pools(&self) -> impl Iterator<Item = &Pool> {
        self.groups.iter().flat_map(|g| &g.pools)
    }
}

impl Pool {
    /// Slots its scoreboard needs: one for each worker, and some while orphans of a dead zygote finish.
    #[must_use]
    pub fn slots(size: u32) -> u32 {
        size + surge::surge(size)
    }

    fn free_slot(&self) -> Option<u32> {
        (0..Self::slots(self.size)).find(|slot| !self.workers.contains_key(slot))
    }

    fn staying(&self) -> usize {
        self.workers.values().filter(|w| !w.orphan).count()
    }

    fn accepting(&self) -> usize {
        self.workers.values().filter(|w| w.life == Life::Accepting && !w.orphan).count()
    }
}

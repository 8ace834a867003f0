//! All generations of zygotes and workers: who is there, and what an event makes of them.

mod crashes;
mod events;
mod keys;
mod leave;
mod limits;
mod members;
mod refill;
mod scale;
#[cfg(test)]
mod scale_tests;
mod sleep;
mod stop;
mod succession;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use events::View;
pub use keys::{GenerationId, PoolKey, WorkerKey, ZygoteKey};
pub use members::{Generation, Group, GroupPlan, Life, Phase, PoolPlan, PoolState, Worker, Zygote};

use crate::plan::crashes::Emergency;
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
    /// A worker exists: its pid, and its time of birth if it was proved to be its zygote's child.
    Forked(WorkerKey, i32, Option<u64>),
    /// A worker could not be made.
    ForkFailed(WorkerKey),
    /// A worker waits for requests.
    Accepting(WorkerKey),
    /// A worker takes no further request; it is about to exit.
    Left(WorkerKey),
    /// A worker ends by a fault of the program; true: at its first request. `Exited` follows.
    Crashed(WorkerKey, bool),
    /// A worker's process has ended.
    Exited(WorkerKey, Exit),
    /// So many connections wait at a pool that scales, and none of the workers that its zygote has forked so far is free for them.
    Demand(PoolKey, u32),
    /// A connection waits for a group that is asleep.
    Knock(ZygoteKey),
    /// A zygote that might have left has connections to keep.
    Stays(ZygoteKey),
    /// Where a request is was written down, or can't be.
    Reported(WorkerKey),
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
    /// Its group needs no zygote now: it may leave, unless it keeps connections.
    Release(ZygoteKey),
    /// Tell one worker to take nothing new.
    Retire(WorkerKey),
    /// Watch the sockets of a group that has no zygote.
    Watch(ZygoteKey),
    /// Stop that.
    Unwatch(ZygoteKey),
    /// Something to be said about a pool.
    Remark(PoolKey, Remark),
    /// `process.max` is reached: to be said.
    ProcessLimit,
    /// Too many workers of a group have crashed: its zygote is to go, and its shared memory with it.
    Emergency(ZygoteKey),
    /// SIGKILL for a zygote.
    KillZygote(ZygoteKey),
    /// A signal for a worker.
    Signal(WorkerKey, Stop),
    /// A request is slow: to be said, and where it is to be written down.
    Slow(WorkerKey),
    /// A request's time is over: to be said, and where it is; then `Reported` is awaited for a moment.
    TimedOut(WorkerKey),
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

/// What there is to be said about a pool, in php-fpm's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remark {
    /// `pm.max_children` keeps it from growing; to be counted, too.
    Full,
    /// Its workers crash at their first request, one after the other.
    CrashLoop,
    /// It grows fast.
    Busy {
        /// How fast.
        rate: u32,
        /// Idle workers.
        idle: u32,
        /// All workers.
        total: u32,
    },
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
    /// `process.max`; 0 = no limit.
    #[serde(default)]
    pub process_max: u32,
    /// When crashes are too many.
    #[serde(default)]
    pub emergency: Emergency,
    /// It was said that `process.max` is reached, and no worker was made since.
    #[serde(default)]
    limit_said: bool,
    /// When pools that scale are looked at again.
    #[serde(default)]
    next_look: Millis,
    /// When requests of pools that limit them are looked at again.
    #[serde(default)]
    next_watch: Millis,
    /// Oldest first; the last one is the newest.
    pub generations: Vec<Generation>,
    next_id: u32,
    stop_steps: Option<stop::Escalation>,
    /// When to finish, where that was put off.
    #[serde(default)]
    leaving: Option<Millis>,
}

impl Fleet {
    /// Nobody yet.
    #[must_use]
    pub fn new(control_timeout: u64) -> Self {
        Self {
            goal: Goal::Serve,
            control_timeout,
            process_max: 0,
            emergency: Emergency::default(),
            limit_said: false,
            next_look: Millis(0),
            next_watch: Millis(0),
            generations: Vec::new(),
            next_id: 1,
            stop_steps: None,
            leaving: None,
        }
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

    fn pool_mut(&mut self, key: WorkerKey) -> Option<&mut PoolState> {
        self.group_mut(key.zygote())?.pools.get_mut(key.pool)
    }

    /// The worker under that key.
    #[must_use]
    pub fn worker(&self, key: WorkerKey) -> Option<&Worker> {
        self.pool(key)?.workers.get(&key.slot)
    }

    /// The pool that a worker belongs to.
    #[must_use]
    pub fn pool(&self, key: WorkerKey) -> Option<&PoolState> {
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
            && self.leaving.is_none()
            && draining < MOST_DRAINING
            && self.generations.iter().all(|g| matches!(g.phase, Phase::Draining | Phase::Serving))
    }
}

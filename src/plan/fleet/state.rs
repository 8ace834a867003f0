//! All generations of zygotes and workers, and look-ups in them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::plan::crashes::Emergency;
use crate::plan::fleet::escalation::Escalation;
use crate::plan::fleet::goal::{Goal, Settings};
use crate::plan::fleet::keys::{GenerationId, PoolKey, WorkerKey, ZygoteKey};
use crate::plan::fleet::members::{Generation, Group, Zygote};
use crate::plan::fleet::pool::{PoolState, Worker};
use crate::plan::fleet::unit::{Unit, Verdict};
use crate::sys::clock::{self, Moment};

/// A fleet that a former version hands over serves.
fn always() -> bool {
    true
}

/// The fleet: events and the time go in, actions come out. Its fields are part of the state that a reload hands over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fleet {
    /// Its goal.
    pub(super) goal: Goal,
    #[serde(with = "clock::as_millis")]
    pub(super) control_timeout: Duration,
    #[serde(default)]
    pub(super) process_max: u32,
    #[serde(default)]
    pub(super) emergency: Emergency,
    /// It was logged that `process.max` is reached, and no worker was made since.
    #[serde(default)]
    pub(super) limit_said: bool,
    /// Until then only pools without workers get one: there are not enough file descriptors for more.
    #[serde(default)]
    pub(super) short_until: Option<Moment>,
    /// When pools that scale are looked at again.
    #[serde(default)]
    pub(super) next_look: Moment,
    /// When requests of pools that limit them are looked at again.
    #[serde(default)]
    pub(super) next_watch: Moment,
    /// In the order of their ids.
    pub(super) generations: Vec<Generation>,
    /// The changes from one generation to the next that are under way.
    #[serde(default)]
    pub(super) units: Vec<Unit>,
    pub(super) next_id: u32,
    /// How the present reload has gone, until that is reported.
    #[serde(default)]
    pub(super) verdict: Option<Verdict>,
    /// Some group has served.
    #[serde(default = "always")]
    pub(super) started: bool,
    /// All groups change together, or none does.
    #[serde(default)]
    pub(super) together: bool,
    /// Most units that change at the same time; 0: no limit.
    #[serde(default)]
    pub(super) start_parallel: usize,
    /// The same for units whose zygotes are forked from a base zygote.
    #[serde(default)]
    pub(super) fork_parallel: usize,
    /// How long a group waits for a draining generation; zero: without a limit.
    #[serde(default, with = "clock::as_millis")]
    pub(super) drain_patience: Duration,
    /// How many times a configuration was read.
    #[serde(default)]
    pub(super) readings: u32,
    pub(super) stop_steps: Option<Escalation>,
    /// When a stop that was delayed begins.
    #[serde(default)]
    pub(super) leaving: Option<Moment>,
}

impl Fleet {
    /// Without generations.
    #[must_use]
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            goal: Goal::Serve,
            control_timeout: settings.control_timeout,
            process_max: settings.process_max,
            emergency: settings.emergency,
            limit_said: false,
            short_until: None,
            next_look: Moment::default(),
            next_watch: Moment::default(),
            generations: Vec::new(),
            units: Vec::new(),
            next_id: 1,
            readings: 0,
            verdict: None,
            started: false,
            together: false,
            start_parallel: settings.start_parallel,
            fork_parallel: settings.fork_parallel,
            drain_patience: settings.drain_patience,
            stop_steps: None,
            leaving: None,
        }
    }

    /// Takes over what the configuration sets.
    pub(crate) fn configure(&mut self, settings: Settings) {
        let Settings { control_timeout, process_max, emergency, start_parallel, fork_parallel, drain_patience } =
            settings;
        (self.start_parallel, self.fork_parallel, self.drain_patience) =
            (start_parallel, fork_parallel, drain_patience);
        (self.control_timeout, self.process_max, self.emergency) = (control_timeout, process_max, emergency);
    }

    /// Its goal.
    #[must_use]
    pub(crate) fn goal(&self) -> Goal {
        self.goal
    }

    /// All generations, in the order of their ids.
    #[must_use]
    pub(crate) fn generations(&self) -> &[Generation] {
        &self.generations
    }

    /// The generation with that id.
    #[must_use]
    pub(crate) fn generation(&self, id: GenerationId) -> Option<&Generation> {
        self.generations.get(self.index_of(id)?)
    }

    /// Which reading of the configuration that generation comes from.
    #[must_use]
    pub(crate) fn number_of(&self, id: GenerationId) -> u32 {
        self.generation(id).map_or(id.0, Generation::number)
    }

    pub(super) fn generation_mut(&mut self, id: GenerationId) -> Option<&mut Generation> {
        let index = self.index_of(id)?;
        self.generations.get_mut(index)
    }

    fn index_of(&self, id: GenerationId) -> Option<usize> {
        self.generations.binary_search_by_key(&id, |g| g.id).ok()
    }

    pub(super) fn group_mut(&mut self, key: ZygoteKey) -> Option<&mut Group> {
        self.generation_mut(key.generation)?.groups.get_mut(key.group)
    }

    pub(super) fn pool_mut(&mut self, key: WorkerKey) -> Option<&mut PoolState> {
        self.group_mut(key.zygote())?.pools.get_mut(key.pool)
    }

    /// The worker under that key.
    #[must_use]
    pub(crate) fn worker(&self, key: WorkerKey) -> Option<&Worker> {
        self.pool(key)?.workers.get(&key.slot)
    }

    /// The pool that a worker belongs to.
    #[must_use]
    pub(crate) fn pool(&self, key: WorkerKey) -> Option<&PoolState> {
        self.generation(key.generation)?.groups.get(key.group)?.pools.get(key.pool)
    }

    /// How many workers a pool is to have now.
    #[must_use]
    pub(crate) fn wanted(&self, key: PoolKey) -> u32 {
        self.pool(key.worker(0)).map_or(0, PoolState::target)
    }

    pub(super) fn worker_mut(&mut self, key: WorkerKey) -> Option<&mut Worker> {
        self.pool_mut(key)?.workers.get_mut(&key.slot)
    }

    /// All workers, with their keys.
    pub(crate) fn workers(&self) -> impl Iterator<Item = (WorkerKey, &Worker)> {
        self.generations.iter().flat_map(Generation::workers)
    }

    /// A zygote's state.
    #[must_use]
    pub(crate) fn zygote(&self, key: ZygoteKey) -> Option<Zygote> {
        Some(self.generation(key.generation)?.groups.get(key.group)?.zygote)
    }

    /// Whether a zygote of that group was started and is not ready yet.
    #[must_use]
    pub(crate) fn awaits_zygote(&self, key: ZygoteKey) -> bool {
        matches!(self.zygote(key), Some(Zygote::Starting(_)))
    }
}

//! Lives of pools that follow the load, without a process.

mod dynamic;
mod faults;
mod ondemand;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::tests::{begin, decisions, exited, forked, pool, prepare};
use super::*;
use crate::plan::scaling::{Policy, Spare};
use crate::plan::watch::{self, Limits, Seen};
use crate::sys::clock::Moment;
use crate::sys::process::Exit;

/// The fleet's view.
#[derive(Default)]
struct Scene {
    busy: BTreeSet<WorkerKey>,
    idle_since: Moment,
    short: bool,
    requests: BTreeMap<WorkerKey, u64>,
    running: BTreeMap<WorkerKey, Moment>,
    stopped: bool,
}

impl View for Scene {
    fn is_busy(&self, worker: WorkerKey) -> bool {
        self.busy.contains(&worker)
    }

    fn idle_since(&self, _worker: WorkerKey) -> Moment {
        self.idle_since
    }

    fn is_stopped(&self, _pid: i32, _born: u64) -> bool {
        self.stopped
    }

    fn requests(&self, worker: WorkerKey) -> u64 {
        self.requests.get(&worker).copied().unwrap_or(0)
    }

    fn request(&self, worker: WorkerKey) -> Option<Seen> {
        self.running.get(&worker).map(|at| Seen { accepted: at.as_millis() * 1000, phase: watch::Phase::Running })
    }

    fn memory_is_short(&self) -> bool {
        self.short
    }
}

struct Stage {
    fleet: Fleet,
    now: Moment,
    scene: Scene,
    log: Vec<Action>,
}

const DYNAMIC: Policy = Policy::Dynamic(Spare { start: 2, min: 1, max: 3, max_rate: 32 });

const LIMITS: Limits =
    Limits { slow: Duration::from_secs(2), terminate: Duration::from_secs(5), track_finished: false };

const ONDEMAND: Policy = Policy::Ondemand(Duration::from_secs(10));

impl Stage {
    fn new(pools: &[(&str, u32, Policy)]) -> Self {
        let mut stage = Self {
            fleet: Fleet::new(Settings::default()),
            now: Moment::at_millis(1000),
            scene: Scene::default(),
            log: Vec::new(),
        };
        stage.begin(pools);
        stage
    }

    fn begin(&mut self, pools: &[(&str, u32, Policy)]) {
        let plan = |(name, size, policy): &(&str, u32, Policy)| pool(name, *size, *policy, LIMITS);
        let group = GroupPlan {
            name: "g".into(),
            fingerprint: 0,
            idle_limit: Duration::from_secs(3600),
            pools: pools.iter().map(plan).collect(),
        };
        begin(&mut self.fleet, self.now, &[group]);
        self.event(Event::Tick);
    }

    fn decide(&mut self, event: Event) -> Vec<Action> {
        let mut actions = decisions(self.fleet.handle(self.now, event, &self.scene));
        while let Some((at, key)) = prepare(&actions) {
            actions.remove(at);
            actions.extend(decisions(self.fleet.handle(self.now, Event::Prepared(key), &self.scene)));
        }
        actions
    }

    /// All processes do at once what they are told, unless they are busy.
    fn event(&mut self, event: Event) {
        for action in self.decide(event) {
            self.log.push(action);
            let follows = match action {
                Action::Prepare(key) => vec![Event::Prepared(key)],
                Action::SpawnZygote(key) => vec![Event::ZygoteReady(key)],
                Action::Fork(key) => vec![forked(key, 100), Event::Accepting(key)],
                Action::Retire(key) => vec![Event::Left(key), exited(key, Exit::Code(0))],
                Action::Dismiss(key) | Action::Release(key) => vec![Event::ZygoteGone(key)],
                Action::Drain(id) => {
                    let of = self.fleet.workers().map(|(key, _)| key).filter(|key| key.generation == id);
                    of.filter(|key| !self.scene.busy.contains(key))
                        .flat_map(|key| [Event::Left(key), exited(key, Exit::Code(0))])
                        .collect()
                }
                _ => vec![],
            };
            follows.into_iter().for_each(|event| self.event(event));
        }
    }

    fn seconds(&mut self, count: u32) {
        for _ in 0..count {
            self.now = self.now + Duration::from_millis(1000);
            self.event(Event::Tick);
        }
    }

    fn workers(&self) -> Vec<WorkerKey> {
        self.fleet.workers().map(|(key, _)| key).collect()
    }

    fn all_busy(&mut self) {
        self.scene.busy = self.workers().into_iter().collect();
    }

    fn pool(&self, pool: usize) -> PoolKey {
        let id = self.fleet.generations.last().map_or(GenerationId(1), |g| g.id);
        id.zygote().of_pool(pool)
    }

    fn said(&self, what: impl Fn(&Remark) -> bool) -> usize {
        self.log.iter().filter(|a| matches!(a, Action::Remark(_, remark) if what(remark))).count()
    }
}

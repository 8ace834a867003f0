//! Lives of pools that follow the load, without a process.

mod ondemand;

use std::collections::{BTreeMap, BTreeSet};

use std::time::Duration;

use super::tests::{begin, decisions, exited, forked, pool, prepare};
use super::*;
use crate::plan::crashes::Emergency;
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
}

impl View for Scene {
    fn is_busy(&self, worker: WorkerKey) -> bool {
        self.busy.contains(&worker)
    }

    fn idle_since(&self, _worker: WorkerKey) -> Moment {
        self.idle_since
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

#[test]
fn a_dynamic_pool_starts_small_grows_while_busy_and_shrinks_again() {
    let mut stage = Stage::new(&[("www", 6, DYNAMIC)]);
    assert_eq!(stage.workers().len(), 2);
    for expected in [3, 4, 5, 6, 6, 6] {
        stage.all_busy();
        stage.seconds(1);
        assert_eq!(stage.workers().len(), expected);
    }
    assert_eq!(stage.said(|r| *r == Remark::Full), 1);
    stage.scene.busy.clear();
    stage.seconds(5);
    assert_eq!(stage.workers().len(), 3);
    assert_eq!(stage.workers().iter().map(|w| w.slot).collect::<Vec<_>>(), [3, 4, 5], "the oldest went first");
    assert_eq!(stage.fleet.deadline(stage.now), Some(stage.now + Duration::from_millis(1000)));
}

#[test]
fn who_is_told_to_leave_and_does_not_is_killed_a_second_later_and_replaced() {
    let mut stage = Stage::new(&[("www", 6, DYNAMIC)]);
    stage.all_busy();
    stage.seconds(1);
    stage.all_busy();
    stage.seconds(1);
    stage.scene.busy.clear();
    stage.now = stage.now + Duration::from_millis(1000);
    let retired = stage.workers()[0];
    assert_eq!(stage.decide(Event::Tick), [Action::Retire(retired)]);
    stage.now = stage.now + Duration::from_millis(1000);
    let kill = stage.decide(Event::Tick);
    assert_eq!(kill, [Action::Signal(retired, Stop::Kill)]);
    let again = stage.decide(exited(retired, Exit::Signal(9, false)));
    assert_eq!(again, [Action::Fork(retired)]);
    assert!(stage.fleet.worker(retired).is_some_and(|w| w.replaces));
}

#[test]
fn one_that_took_a_request_before_it_heard_is_not_killed() {
    let mut stage = Stage::new(&[("www", 6, DYNAMIC)]);
    stage.all_busy();
    stage.seconds(2);
    stage.scene.busy.clear();
    stage.now = stage.now + Duration::from_millis(1000);
    stage.event(Event::Tick);
    let before = stage.workers();
    stage.all_busy();
    stage.seconds(1);
    assert!(!stage.log.iter().any(|a| matches!(a, Action::Signal(..))), "{before:?}");
}

#[test]
fn a_worker_that_leaves_after_its_requests_is_replaced_before_it_is_gone_where_there_is_room() {
    let mut stage = Stage::new(&[("www", 6, DYNAMIC)]);
    let [first, _] = stage.workers()[..] else { panic!() };
    let actions = stage.decide(Event::Left(first));
    assert_eq!(actions, [Action::Fork(stage.pool(0).worker(2))]);
    let actions = stage.decide(exited(first, Exit::Code(0)));
    assert_eq!(actions, []);
    let mut full = Stage::new(&[("www", 2, Policy::Static)]);
    let first = full.workers()[0];
    assert_eq!(full.decide(Event::Left(first)), []);
    assert_eq!(full.decide(exited(first, Exit::Code(0))), [Action::Fork(first)]);
}

#[test]
fn process_max_holds_for_all_pools_together_and_is_said_once() {
    let mut stage = Stage {
        fleet: Fleet::new(Settings::default()),
        now: Moment::at_millis(1000),
        scene: Scene::default(),
        log: Vec::new(),
    };
    stage.fleet.configure(Settings { process_max: 3, ..Settings::default() });
    stage.begin(&[("a", 2, Policy::Static), ("b", 4, Policy::Static)]);
    assert_eq!(stage.workers().len(), 3);
    assert_eq!(stage.log.iter().filter(|a| **a == Action::ProcessLimit).count(), 1);
    assert!(stage.log.contains(&Action::Ready));
    stage.begin(&[("a", 2, Policy::Static), ("b", 4, Policy::Static)]);
    assert!(stage.log.contains(&Action::Ready), "{:?}", stage.log);
    assert_eq!(stage.workers().len(), 3);
}

#[test]
fn a_reload_of_a_grown_pool_starts_small_and_comes_to_its_size_as_the_old_workers_leave() {
    let pools = [("www", 10, DYNAMIC)];
    let mut stage = Stage::new(&pools);
    for _ in 0..6 {
        stage.all_busy();
        stage.seconds(1);
    }
    assert_eq!(stage.workers().len(), 8);
    stage.all_busy();
    stage.begin(&pools);
    let newer = |s: &Stage| s.workers().iter().filter(|w| w.generation == GenerationId(2)).count();
    assert_eq!(newer(&stage), 3, "ten and one of surge, less eight");
    for (gone, old) in stage.scene.busy.clone().into_iter().enumerate() {
        stage.scene.busy.remove(&old);
        stage.event(exited(old, Exit::Code(0)));
        assert!(stage.workers().len() <= 11, "{gone}");
    }
    assert_eq!(newer(&stage), 8);
}

#[test]
fn a_request_that_takes_too_long_is_traced_reported_and_ended() {
    let mut stage = Stage::new(&[("www", 6, DYNAMIC)]);
    let worker = stage.workers()[0];
    stage.scene.running.insert(worker, stage.now);
    stage.scene.busy.insert(worker);
    let begun = stage.now;
    let mut told = Vec::new();
    while stage.now < begun + Duration::from_millis(9_000) {
        let due = stage.fleet.deadline(stage.now).unwrap();
        assert!(due > stage.now, "the clock stands still");
        stage.now = due;
        let before = stage.log.len();
        stage.event(Event::Tick);
        let of_worker =
            |a: &&Action| matches!(a, Action::Slow(k) | Action::TimedOut(k) | Action::Signal(k, _) if *k == worker);
        told.extend(stage.log[before..].iter().filter(of_worker).map(|a| (stage.now.since(begun).as_millis(), *a)));
    }
    let expected = [
        (2_000, Action::Slow(worker)),
        (5_000, Action::TimedOut(worker)),
        (5_500, Action::Signal(worker, Stop::Term)),
        (6_500, Action::Signal(worker, Stop::Kill)),
    ];
    assert_eq!(told, expected);
}

#[test]
fn workers_that_crash_at_their_first_request_come_back_slower_and_slower_until_one_outlives_it() {
    let mut stage = Stage::new(&[("www", 1, Policy::Static)]);
    let key = stage.workers()[0];
    let mut pauses = Vec::new();
    for _ in 0..8 {
        stage.event(Event::Exited { key, exit: Exit::Signal(11, false), first_request: true });
        let died = stage.now;
        while stage.workers().is_empty() {
            stage.now = stage.fleet.deadline(stage.now).unwrap();
            stage.event(Event::Tick);
        }
        pauses.push(stage.now.since(died).as_millis());
    }
    assert_eq!(pauses, [0, 0, 0, 0, 0, 25, 50, 100]);
    assert_eq!(stage.said(|r| *r == Remark::CrashLoop), 1);
    stage.scene.requests.insert(key, 2);
    stage.event(Event::Tick);
    stage.event(exited(key, Exit::Signal(11, false)));
    assert_eq!(stage.workers(), [key], "it is replaced at once again");
}

#[test]
fn too_many_crashes_are_an_emergency_of_their_group_only_where_that_is_wanted() {
    let mut stage = Stage::new(&[("www", 4, Policy::Static)]);
    let crash = |stage: &mut Stage, signal| {
        let key = stage.workers()[0];
        let exit = Exit::Signal(signal, false);
        stage.event(exited(key, exit));
    };
    (0..9).for_each(|_| crash(&mut stage, 11));
    assert!(!stage.log.iter().any(|a| matches!(a, Action::Emergency(..))));
    let emergency = Emergency { threshold: 4, interval: Duration::from_secs(60) };
    stage.fleet.configure(Settings { emergency, ..Settings::default() });
    [11, 7, 9, 15, 4, 6].into_iter().for_each(|signal| crash(&mut stage, signal));
    let emergencies = stage.log.iter().filter(|a| matches!(a, Action::Emergency(..))).count();
    assert_eq!(emergencies, 1);
}

//! Whole lives of fleets, without a process.

use super::*;
use crate::plan::scaling::Policy;
use crate::plan::watch::{Limits, Seen};
use crate::sys::clock::Millis;
use crate::sys::process::Exit;

/// A view of who is busy, of all idle since the beginning.
struct Sight<F>(F);

impl<F: Fn(WorkerKey) -> bool> View for Sight<F> {
    fn is_busy(&self, worker: WorkerKey) -> bool {
        self.0(worker)
    }

    fn idle_since(&self, _worker: WorkerKey) -> Millis {
        Millis(0)
    }

    fn requests(&self, _worker: WorkerKey) -> u64 {
        0
    }

    fn request(&self, _worker: WorkerKey) -> Option<Seen> {
        None
    }

    fn memory_is_short(&self) -> bool {
        false
    }
}

const NOBODY_BUSY: &dyn View = &Sight(|_: WorkerKey| false);

/// Carries actions out in imagination: zygotes come up, workers accept, dismissed ones leave.
struct Stage {
    fleet: Fleet,
    now: Millis,
    log: Vec<Action>,
    most: usize,
}

impl Stage {
    fn new(control_timeout: u64) -> Self {
        Self { fleet: Fleet::new(control_timeout), now: Millis(1000), log: Vec::new(), most: 0 }
    }

    fn plan(size: u32) -> Vec<GroupPlan> {
        let pool = PoolPlan { name: "www".into(), size, policy: Policy::Static, limits: Limits::default() };
        vec![GroupPlan { name: "www".into(), idle_limit: 0, pools: vec![pool] }]
    }

    fn event(&mut self, event: Event) {
        let actions = self.fleet.handle(self.now, event, NOBODY_BUSY);
        self.carry_out(actions, &|_| false);
    }

    fn carry_out(&mut self, actions: Vec<Action>, stuck: &dyn Fn(WorkerKey) -> bool) {
        for action in actions {
            self.log.push(action);
            let alive = self.fleet.workers().count();
            self.most = self.most.max(alive);
            let events = match action {
                Action::SpawnZygote(key) => vec![Event::ZygoteReady(key)],
                Action::Fork(key) => vec![Event::Forked(key, 100, None), Event::Accepting(key)],
                Action::Dismiss(key) | Action::KillZygote(key) => vec![Event::ZygoteGone(key)],
                Action::Drain(id) => {
                    let keys: Vec<_> = self.fleet.workers().map(|(k, _)| k).filter(|k| k.generation == id).collect();
                    keys.into_iter()
                        .filter(|k| !stuck(*k))
                        .flat_map(|k| [Event::Left(k), Event::Exited(k, Exit::Code(0))])
                        .collect()
                }
                Action::Signal(key, _) => vec![Event::Exited(key, Exit::Signal(9, false))],
                _ => vec![],
            };
            for event in events {
                let next = self.fleet.handle(self.now, event, &Sight(stuck));
                self.carry_out(next, stuck);
            }
        }
    }

    fn started(size: u32) -> Self {
        let mut stage = Self::new(0);
        stage.fleet.begin_generation(stage.now, &Self::plan(size));
        stage.event(Event::Tick);
        stage
    }

    fn readies(&self) -> usize {
        self.log.iter().filter(|a| matches!(a, Action::Ready(_))).count()
    }
}

#[test]
fn the_first_generation_is_ready_when_all_its_workers_accept() {
    let stage = Stage::started(4);
    assert_eq!(stage.readies(), 1);
    assert_eq!(stage.fleet.workers().count(), 4);
    assert_eq!(stage.fleet.generations[0].phase, Phase::Serving);
}

#[test]
fn a_reload_never_has_more_than_size_and_surge_workers_and_leaves_one_generation() {
    let mut stage = Stage::started(4);
    for round in 2..6 {
        stage.now = stage.now.plus(500);
        assert!(stage.fleet.may_reload());
        stage.fleet.begin_generation(stage.now, &Stage::plan(4));
        stage.event(Event::Tick);
        assert_eq!(stage.readies(), round);
        assert_eq!(stage.fleet.generations.len(), 1);
        assert_eq!(stage.fleet.workers().count(), 4);
    }
    assert_eq!(stage.most, 5);
}

#[test]
fn a_reload_with_everybody_busy_gets_its_surge_worker_and_is_ready() {
    let mut stage = Stage::started(4);
    stage.fleet.begin_generation(stage.now, &Stage::plan(4));
    let actions = stage.fleet.handle(stage.now, Event::Tick, NOBODY_BUSY);
    stage.carry_out(actions, &|k| k.generation == GenerationId(1));
    assert_eq!(stage.readies(), 2);
    assert_eq!(stage.fleet.workers().count(), 5);
    assert_eq!(stage.fleet.workers().filter(|(k, _)| k.generation == GenerationId(2)).count(), 1);
    assert!(stage.fleet.may_reload());
}

#[test]
fn at_most_three_generations_drain() {
    let mut stage = Stage::started(4);
    for _ in 0..3 {
        assert!(stage.fleet.may_reload());
        stage.fleet.begin_generation(stage.now, &Stage::plan(4));
        let actions = stage.fleet.handle(stage.now, Event::Tick, NOBODY_BUSY);
        stage.carry_out(actions, &|_| true);
    }
    assert!(!stage.fleet.may_reload());
}

#[test]
fn a_generation_whose_zygote_dies_is_given_up_and_the_old_one_serves_on() {
    let mut stage = Stage::started(4);
    let id = stage.fleet.begin_generation(stage.now, &Stage::plan(4));
    let key = ZygoteKey { generation: id, group: 0 };
    assert_eq!(stage.fleet.handle(stage.now, Event::Tick, NOBODY_BUSY), [Action::SpawnZygote(key)]);
    stage.event(Event::ZygoteGone(key));
    assert!(stage.log.contains(&Action::Abandoned(id)));
    assert!(!stage.log.contains(&Action::Drain(GenerationId(1))));
    assert_eq!(stage.fleet.generations.len(), 1);
    assert_eq!(stage.fleet.serving().unwrap().id, GenerationId(1));
    assert!(stage.fleet.may_reload());
}

#[test]
fn a_first_generation_that_cannot_start_is_said_so() {
    let mut stage = Stage::new(0);
    let id = stage.fleet.begin_generation(stage.now, &Stage::plan(2));
    let _ = stage.fleet.handle(stage.now, Event::Tick, NOBODY_BUSY);
    let actions = stage.fleet.handle(stage.now, Event::ZygoteGone(ZygoteKey { generation: id, group: 0 }), NOBODY_BUSY);
    assert!(actions.contains(&Action::StartFailed));
}

#[test]
fn a_dead_worker_is_replaced_at_once_and_one_that_never_served_after_a_pause() {
    let mut stage = Stage::started(2);
    let key = ZygoteKey { generation: GenerationId(1), group: 0 }.worker(0, 0);
    let again = stage.fleet.handle(stage.now, Event::Exited(key, Exit::Signal(9, false)), NOBODY_BUSY);
    assert_eq!(again, [Action::Fork(key)]);
    for _ in 0..2 {
        let _ = stage.fleet.handle(stage.now, Event::Forked(key, 7, None), NOBODY_BUSY);
        let _ = stage.fleet.handle(stage.now, Event::Exited(key, Exit::Code(1)), NOBODY_BUSY);
    }
    let due = stage.fleet.deadline(stage.now).unwrap();
    assert!(due > stage.now);
    assert_eq!(stage.fleet.handle(due, Event::Tick, NOBODY_BUSY), [Action::Fork(key)]);
}

#[test]
fn a_dead_zygote_comes_back_at_once_and_its_workers_finish_as_orphans() {
    let mut stage = Stage::started(4);
    let key = ZygoteKey { generation: GenerationId(1), group: 0 };
    let actions = stage.fleet.handle(stage.now, Event::ZygoteGone(key), NOBODY_BUSY);
    assert_eq!(actions, [Action::SpawnZygote(key)]);
    let actions = stage.fleet.handle(stage.now, Event::ZygoteReady(key), NOBODY_BUSY);
    assert_eq!(actions, [Action::Fork(key.worker(0, 4))], "one surge worker while four orphans finish");
    let actions = stage.fleet.handle(stage.now, Event::Exited(key.worker(0, 0), Exit::Code(0)), NOBODY_BUSY);
    assert_eq!(actions, [Action::Fork(key.worker(0, 0))]);
}

#[test]
fn terminate_ends_with_kill_and_finish_waits() {
    let mut stage = Stage::started(2);
    let (_, actions) = stage.fleet.pursue(stage.now, Goal::Finish);
    assert!(!actions.iter().any(|a| matches!(a, Action::Signal(..))));
    let (changed, actions) = stage.fleet.pursue(stage.now, Goal::Terminate);
    assert!(changed && actions.iter().filter(|a| matches!(a, Action::Signal(_, Stop::Term))).count() == 2);
    assert_eq!(stage.fleet.pursue(stage.now, Goal::Finish), (false, vec![]));
    let later = stage.fleet.deadline(stage.now).unwrap();
    assert_eq!(later, stage.now.plus(1000));
    stage.now = later;
    stage.event(Event::Tick);
    assert_eq!(stage.log.last(), Some(&Action::AllGone));
}

#[test]
fn a_draining_generation_is_pressed_only_after_the_control_timeout() {
    let mut stage = Stage::new(3000);
    stage.fleet.begin_generation(stage.now, &Stage::plan(1));
    stage.event(Event::Tick);
    stage.fleet.begin_generation(stage.now, &Stage::plan(1));
    let actions = stage.fleet.handle(stage.now, Event::Tick, NOBODY_BUSY);
    stage.carry_out(actions, &|k| k.generation == GenerationId(1));
    assert_eq!(stage.fleet.deadline(stage.now), Some(stage.now.plus(3000)));
    stage.now = stage.now.plus(3000);
    stage.event(Event::Tick);
    let old = ZygoteKey { generation: GenerationId(1), group: 0 }.worker(0, 0);
    assert!(stage.log.contains(&Action::Signal(old, Stop::Term)));
}

#[test]
fn a_zygote_that_does_not_fork_in_time_is_killed() {
    let mut stage = Stage::started(1);
    let key = ZygoteKey { generation: GenerationId(1), group: 0 };
    let _ = stage.fleet.handle(stage.now, Event::Exited(key.worker(0, 0), Exit::Code(0)), NOBODY_BUSY);
    let due = stage.fleet.deadline(stage.now).unwrap();
    assert_eq!(due, stage.now.plus(10_000));
    assert_eq!(stage.fleet.handle(due, Event::Tick, NOBODY_BUSY), [Action::KillZygote(key)]);
    assert!(stage.fleet.deadline(due).unwrap() > due);
}

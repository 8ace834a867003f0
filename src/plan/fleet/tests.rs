//! Whole lives of fleets, without a process.

use std::time::Duration;

use super::members::Zygote;
use super::*;
use crate::log::Level;
use crate::plan::reload::Readiness;
use crate::plan::scaling::Policy;
use crate::plan::watch::{Limits, Seen};
use crate::sys::clock::Moment;
use crate::sys::process::Exit;

/// Sees which workers are busy; all others are idle since the beginning.
pub(super) struct Sight<F>(pub(super) F);

impl<F: Fn(WorkerKey) -> bool> View for Sight<F> {
    fn is_busy(&self, worker: WorkerKey) -> bool {
        self.0(worker)
    }

    fn idle_since(&self, _worker: WorkerKey) -> Moment {
        Moment::at_millis(0)
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

/// Without those that only log what has happened.
pub(super) fn decisions(actions: Vec<Action>) -> Vec<Action> {
    let logs = |a: &Action| matches!(a, Action::Started { .. } | Action::WorkerEnded(..) | Action::ZygoteEnded(..));
    actions.into_iter().filter(|action| !logs(action)).collect()
}

pub(super) fn forked(key: WorkerKey, pid: i32) -> Event {
    Event::Forked { key, pid, claim: Claim::Gone }
}

pub(super) fn exited(key: WorkerKey, exit: Exit) -> Event {
    Event::Exited { key, exit, first_request: false }
}

/// Begins a reload of everything; returns the generations of the plans.
pub(super) fn begin(fleet: &mut Fleet, now: Moment, plans: &[GroupPlan]) -> Vec<GenerationId> {
    let ids = fleet.reload(now, Desired { plans, scope: &Scope::All, together: false });
    ids.into_iter().map(|id| id.unwrap()).collect()
}

/// The first group that is to be prepared, and where that is said.
pub(super) fn prepare(actions: &[Action]) -> Option<(usize, ZygoteKey)> {
    let of = |(at, action): (usize, &Action)| if let Action::Prepare(key) = action { Some((at, *key)) } else { None };
    actions.iter().enumerate().find_map(of)
}

/// A pool that listens at a path of its own.
pub(super) fn pool(name: &str, size: u32, policy: Policy, limits: Limits) -> PoolPlan {
    PoolPlan { name: name.to_owned(), addresses: vec![format!("/{name}")], size, policy, limits }
}

const NOBODY_BUSY: &dyn View = &view::Blind;

/// Pretends to carry actions out: zygotes come up, workers accept, dismissed ones leave.
struct Stage {
    fleet: Fleet,
    now: Moment,
    log: Vec<Action>,
    most: usize,
}

impl Stage {
    fn new(control_timeout: Duration) -> Self {
        let settings = Settings { control_timeout, ..Settings::default() };
        Self { fleet: Fleet::new(settings), now: Moment::at_millis(1000), log: Vec::new(), most: 0 }
    }

    fn plan(size: u32) -> Vec<GroupPlan> {
        vec![Self::group("www", size)]
    }

    /// A group with one pool of the same name.
    fn group(name: &str, size: u32) -> GroupPlan {
        let pools = vec![pool(name, size, Policy::Static, Limits::default())];
        GroupPlan { name: name.into(), fingerprint: 0, idle_limit: Duration::ZERO, pools }
    }

    /// Groups get what they need at once.
    fn decide(&mut self, event: Event) -> Vec<Action> {
        let mut actions = decisions(self.fleet.handle(self.now, event, NOBODY_BUSY));
        while let Some((at, key)) = prepare(&actions) {
            actions.remove(at);
            actions.extend(decisions(self.fleet.handle(self.now, Event::Prepared(key), NOBODY_BUSY)));
        }
        actions
    }

    fn event(&mut self, event: Event) {
        let actions = self.decide(event);
        self.carry_out(actions, &|_| false);
    }

    fn carry_out(&mut self, actions: Vec<Action>, stuck: &dyn Fn(WorkerKey) -> bool) {
        for action in actions {
            self.log.push(action);
            let alive = self.fleet.workers().count();
            self.most = self.most.max(alive);
            let events = match action {
                Action::Prepare(key) => vec![Event::Prepared(key)],
                Action::SpawnZygote(key) => vec![Event::ZygoteReady(key)],
                Action::Fork(key) => vec![forked(key, 100), Event::Accepting(key)],
                Action::Dismiss(key) | Action::KillZygote(key) => vec![Event::ZygoteGone(key)],
                Action::Drain(id) => {
                    let keys: Vec<_> = self.fleet.workers().map(|(k, _)| k).filter(|k| k.generation == id).collect();
                    keys.into_iter()
                        .filter(|k| !stuck(*k))
                        .flat_map(|k| [Event::Left(k), exited(k, Exit::Code(0))])
                        .collect()
                }
                Action::Signal(key, _) => vec![exited(key, Exit::Signal(9, false))],
                _ => vec![],
            };
            for event in events {
                let next = self.fleet.handle(self.now, event, &Sight(stuck));
                self.carry_out(next, stuck);
            }
        }
    }

    fn started(size: u32) -> Self {
        let mut stage = Self::new(Duration::ZERO);
        begin(&mut stage.fleet, stage.now, &Self::plan(size));
        stage.event(Event::Tick);
        stage
    }

    fn readies(&self) -> usize {
        self.log.iter().filter(|a| matches!(a, Action::Ready)).count()
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
        stage.now = stage.now + Duration::from_millis(500);
        assert!(stage.fleet.readiness(stage.now) == Readiness::Ready);
        begin(&mut stage.fleet, stage.now, &Stage::plan(4));
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
    begin(&mut stage.fleet, stage.now, &Stage::plan(4));
    let actions = stage.decide(Event::Tick);
    stage.carry_out(actions, &|k| k.generation == GenerationId(1));
    assert_eq!(stage.readies(), 2);
    assert_eq!(stage.fleet.workers().count(), 5);
    assert_eq!(stage.fleet.workers().filter(|(k, _)| k.generation == GenerationId(2)).count(), 1);
    assert!(stage.fleet.readiness(stage.now) == Readiness::Ready);
}

#[test]
fn a_generation_whose_zygote_dies_is_given_up_and_the_old_one_serves_on() {
    let mut stage = Stage::started(4);
    let id = begin(&mut stage.fleet, stage.now, &Stage::plan(4))[0];
    let key = id.zygote();
    assert_eq!(stage.decide(Event::Tick), [Action::SpawnZygote(key)]);
    stage.event(Event::ZygoteGone(key));
    assert!(stage.log.contains(&Action::Refused));
    assert!(!stage.log.contains(&Action::Drain(GenerationId(1))));
    let left: Vec<GenerationId> = stage.fleet.generations.iter().map(|g| g.id).collect();
    assert_eq!(left, [GenerationId(1)]);
    assert!(stage.fleet.readiness(stage.now) == Readiness::Ready);
}

#[test]
fn a_first_generation_that_cannot_start_is_said_so() {
    let mut stage = Stage::new(Duration::ZERO);
    let id = begin(&mut stage.fleet, stage.now, &Stage::plan(2))[0];
    let _ = stage.decide(Event::Tick);
    let actions = stage.decide(Event::ZygoteGone(id.zygote()));
    assert!(actions.contains(&Action::StartFailed));
}

/// Three of five workers can be forked: they serve, and the others are tried again, one at a time after growing pauses.
#[test]
fn a_pool_starts_with_the_workers_that_the_system_allows() {
    let mut stage = Stage::new(Duration::ZERO);
    begin(&mut stage.fleet, stage.now, &Stage::plan(5));
    let limited = |stage: &mut Stage, most: usize| {
        let mut next = std::collections::VecDeque::from(stage.decide(Event::Tick));
        let mut asked = 0;
        while let Some(action) = next.pop_front() {
            stage.log.push(action);
            let events = match action {
                Action::SpawnZygote(key) => vec![Event::ZygoteReady(key)],
                Action::Fork(key) => {
                    asked += 1;
                    let there = stage.fleet.workers().filter(|(_, worker)| worker.pid.is_some()).count();
                    if there < most {
                        vec![forked(key, 100), Event::Accepting(key)]
                    } else {
                        vec![Event::ForkFailed(key)]
                    }
                }
                _ => vec![],
            };
            for event in events {
                next.extend(stage.decide(event));
            }
        }
        asked
    };
    // The first refusal has no pause.
    assert_eq!(limited(&mut stage, 3), 6);
    assert_eq!((stage.readies(), stage.fleet.workers().count()), (1, 3));
    for _ in 0..3 {
        stage.now = stage.now + Duration::from_secs(60);
        assert_eq!(limited(&mut stage, 3), 1);
    }
    stage.now = stage.now + Duration::from_secs(60);
    limited(&mut stage, 5);
    stage.now = stage.now + Duration::from_secs(60);
    limited(&mut stage, 5);
    assert_eq!(stage.fleet.workers().count(), 5);
    // Without any worker the start fails.
    let mut stage = Stage::new(Duration::ZERO);
    begin(&mut stage.fleet, stage.now, &Stage::plan(5));
    limited(&mut stage, 0);
    assert!(stage.log.contains(&Action::StartFailed));
}

#[test]
fn a_dead_worker_is_replaced_at_once_and_one_that_never_served_after_a_pause() {
    let mut stage = Stage::started(2);
    let key = GenerationId(1).zygote().worker(0, 0);
    let again = stage.decide(exited(key, Exit::Signal(9, false)));
    assert_eq!(again, [Action::Fork(key)]);
    for _ in 0..2 {
        let _ = stage.decide(forked(key, 7));
        let _ = stage.decide(exited(key, Exit::Code(1)));
    }
    let due = stage.fleet.deadline(stage.now).unwrap();
    assert!(due > stage.now);
    assert_eq!(stage.fleet.handle(due, Event::Tick, NOBODY_BUSY), [Action::Fork(key)]);
}

#[test]
fn a_dead_zygote_comes_back_at_once_and_its_workers_finish_as_orphans() {
    let mut stage = Stage::started(4);
    let key = GenerationId(1).zygote();
    let actions = stage.decide(Event::ZygoteGone(key));
    assert_eq!(actions, [Action::SpawnZygote(key)]);
    let actions = stage.decide(Event::ZygoteReady(key));
    assert_eq!(actions, [Action::Fork(key.worker(0, 4))], "one surge worker while four orphans finish");
    let actions = stage.decide(exited(key.worker(0, 0), Exit::Code(0)));
    assert_eq!(actions, [Action::Fork(key.worker(0, 0))]);
}

#[test]
fn terminate_ends_with_kill_and_finish_waits() {
    let mut stage = Stage::started(2);
    let actions = stage.fleet.stop(stage.now, Goal::Finish, Duration::ZERO);
    assert_eq!(actions[0], Action::Stopping(Goal::Finish));
    assert!(!actions.iter().any(|a| matches!(a, Action::Signal(..))));
    let actions = stage.fleet.stop(stage.now, Goal::Terminate, Duration::ZERO);
    assert_eq!(actions[0], Action::Stopping(Goal::Terminate));
    assert!(actions.iter().filter(|a| matches!(a, Action::Signal(_, Stop::Term))).count() == 2);
    assert_eq!(stage.fleet.stop(stage.now, Goal::Finish, Duration::ZERO), []);
    let later = stage.fleet.deadline(stage.now).unwrap();
    assert_eq!(later, stage.now + Duration::from_millis(1000));
    stage.now = later;
    stage.event(Event::Tick);
    assert_eq!(stage.log.last(), Some(&Action::AllGone));
}

#[test]
fn a_draining_generation_is_pressed_only_after_the_control_timeout() {
    let mut stage = Stage::new(Duration::from_secs(3));
    begin(&mut stage.fleet, stage.now, &Stage::plan(1));
    stage.event(Event::Tick);
    begin(&mut stage.fleet, stage.now, &Stage::plan(1));
    let actions = stage.decide(Event::Tick);
    stage.carry_out(actions, &|k| k.generation == GenerationId(1));
    assert_eq!(stage.fleet.deadline(stage.now), Some(stage.now + Duration::from_millis(3000)));
    stage.now = stage.now + Duration::from_millis(3000);
    stage.event(Event::Tick);
    let old = GenerationId(1).zygote().worker(0, 0);
    assert!(stage.log.contains(&Action::Signal(old, Stop::Term)));
}

#[test]
fn a_zygote_that_does_not_fork_in_time_is_killed() {
    let mut stage = Stage::started(1);
    let key = GenerationId(1).zygote();
    let _ = stage.decide(exited(key.worker(0, 0), Exit::Code(0)));
    let due = stage.fleet.deadline(stage.now).unwrap();
    assert_eq!(due, stage.now + Duration::from_millis(10_000));
    assert_eq!(stage.fleet.handle(due, Event::Tick, NOBODY_BUSY), [Action::KillZygote(key)]);
    assert!(stage.fleet.deadline(due).unwrap() > due);
}

fn worker_end(actions: &[Action]) -> WorkerEnd {
    let end = |action: &Action| if let Action::WorkerEnded(_, end) = action { Some(*end) } else { None };
    actions.iter().find_map(end).unwrap()
}

#[test]
fn an_end_that_was_ordered_is_logged_at_a_lower_level() {
    let key = GenerationId(1).zygote().worker(0, 0);
    let level = |prepare: fn(&mut Stage), exit| {
        let mut stage = Stage::started(2);
        prepare(&mut stage);
        worker_end(&stage.fleet.handle(stage.now, exited(key, exit), NOBODY_BUSY)).level
    };
    let killed = Exit::Signal(9, false);
    assert_eq!((level(|_| (), Exit::Code(0)), level(|_| (), killed)), (Level::Notice, Level::Warning));
    let stop = |stage: &mut Stage| drop(stage.fleet.stop(stage.now, Goal::Finish, Duration::ZERO));
    assert_eq!((level(stop, Exit::Code(0)), level(stop, killed)), (Level::Debug, Level::Debug));
    let orphan = |stage: &mut Stage| drop(stage.decide(Event::ZygoteGone(GenerationId(1).zygote())));
    assert_eq!(level(orphan, killed), Level::Debug);
    let drained = |stage: &mut Stage| {
        begin(&mut stage.fleet, stage.now, &Stage::plan(2));
        let actions = stage.decide(Event::Tick);
        stage.carry_out(actions, &|worker| worker.generation == GenerationId(1));
    };
    assert_eq!((level(drained, Exit::Code(0)), level(drained, killed)), (Level::Debug, Level::Warning));
}

#[test]
fn a_zygote_that_was_told_to_leave_ends_without_a_warning() {
    let key = GenerationId(1).zygote();
    let ended = Event::ZygoteEnded { key, pid: 9, exit: Exit::Code(0) };
    let level = |stage: &mut Stage| match stage.fleet.handle(stage.now, ended, NOBODY_BUSY)[0] {
        Action::ZygoteEnded(_, end) => end.level,
        action => panic!("{action:?}"),
    };
    let mut stage = Stage::started(2);
    assert_eq!(level(&mut stage), Level::Warning);
    let mut stage = Stage::started(2);
    let _ = stage.fleet.stop(stage.now, Goal::Finish, Duration::ZERO);
    assert_eq!(level(&mut stage), Level::Debug);
}

#[test]
fn a_report_that_is_not_true_is_refused() {
    let key = GenerationId(1).zygote().worker(0, 0);
    let mut stage = Stage::started(2);
    let refused = |pid, violation| vec![Action::Refuse { key, pid, violation }];
    let fork = |claim| Event::Forked { key, pid: 8, claim };
    assert_eq!(stage.decide(fork(Claim::Proved(1))), refused(8, Violation::NotAskedFor));
    assert_eq!(stage.decide(fork(Claim::Gone)), refused(8, Violation::NotAskedFor));
    assert_eq!(stage.decide(fork(Claim::False)), refused(8, Violation::NotItsChild));
    let end = |pid, runs| Event::EndReported { key, pid, exit: Exit::Code(0), runs };
    assert_eq!(stage.decide(end(100, true)), refused(100, Violation::StillRuns));
    assert_eq!(stage.decide(end(99, true)), [], "another worker has had that slot before");
    assert_eq!(stage.decide(end(100, false)), [Action::Collect(key, Exit::Code(0))]);
    assert_eq!(stage.decide(exited(key, Exit::Code(0))), [Action::Fork(key)]);
    assert_eq!(stage.decide(fork(Claim::False)), refused(8, Violation::NotItsChild));
    let started = stage.fleet.handle(stage.now, fork(Claim::Proved(5)), NOBODY_BUSY);
    assert_eq!(started, [Action::Started { key, pid: 8, replaces: true }]);
    assert_eq!(stage.fleet.worker(key).map(|w| (w.pid, w.born)), Some((Some(8), Some(5))));
}

#[test]
fn a_silent_zygote_is_given_up_unless_it_was_told_to_leave() {
    let key = GenerationId(1).zygote();
    let mut stage = Stage::started(2);
    assert_eq!(stage.decide(Event::ZygoteSilent(key)), [Action::GiveUpOn(key)]);
    let _ = stage.fleet.stop(stage.now, Goal::Finish, Duration::ZERO);
    for slot in 0..2 {
        let _ = stage.decide(exited(key.worker(0, slot), Exit::Code(0)));
    }
    assert_eq!(stage.fleet.zygote(key), Some(Zygote::Dismissed(stage.now)));
    assert_eq!(stage.decide(Event::ZygoteSilent(key)), []);
}

#[test]
fn a_fleet_is_handed_over_in_milliseconds_as_former_versions_wrote_it() {
    let mut stage = Stage::new(Duration::from_secs(3));
    let limits = Limits { slow: Duration::from_millis(1_500), terminate: Duration::ZERO, track_finished: false };
    let policy = Policy::Ondemand(Duration::from_secs(10));
    let pools = vec![pool("www", 2, policy, limits)];
    let group = GroupPlan { name: "www".into(), fingerprint: 0, idle_limit: Duration::from_secs(60), pools };
    let id = begin(&mut stage.fleet, stage.now, &[group])[0];
    stage.fleet.prepared(stage.now, id.zygote());
    let written = serde_json::to_value(&stage.fleet).unwrap();
    let group = &written["generations"][0]["groups"][0];
    let pool = &group["pools"][0];
    assert_eq!((&written["control_timeout"], &written["emergency"]["interval"]), (&3_000.into(), &0.into()));
    assert_eq!((&group["idle_limit"], &group["zygote"]["Asleep"]), (&60_000.into(), &1_000.into()));
    assert_eq!((&pool["policy"]["Ondemand"], &pool["limits"]["slow"]), (&10_000.into(), &1_500.into()));
    assert_eq!(serde_json::from_value::<Fleet>(written).unwrap(), stage.fleet);
}

#[test]
fn each_group_is_a_generation_and_all_take_over_together_or_none() {
    let mut stage = Stage::started(1);
    let plans = || ["a", "b"].map(|name| GroupPlan { name: name.into(), ..Stage::plan(1).remove(0) });
    let ids = begin(&mut stage.fleet, stage.now, &plans());
    assert_eq!(ids, [GenerationId(2), GenerationId(3)]);
    assert_eq!(stage.fleet.generation(ids[1]).map(|g| (g.number(), g.groups.len())), Some((2, 1)));
    let [a, b] = [0, 1].map(|at| ids[at].zygote());
    assert_eq!(stage.decide(Event::Tick), [Action::SpawnZygote(a), Action::SpawnZygote(b)]);
    let actions = stage.decide(Event::ZygoteReady(a));
    stage.carry_out(actions, &|_| false);
    assert_eq!(stage.readies(), 1);
    stage.event(Event::ZygoteGone(b));
    assert_eq!(stage.fleet.generations.iter().map(|g| g.id).collect::<Vec<_>>(), [GenerationId(1)]);
    let ids = begin(&mut stage.fleet, stage.now, &plans());
    stage.event(Event::Tick);
    assert_eq!(stage.readies(), 2);
    let numbers = |id: &GenerationId| stage.fleet.generation(*id).map(Generation::number);
    assert_eq!(ids.iter().map(numbers).collect::<Vec<_>>(), [Some(3), Some(3)]);
}

/// In a former version a generation had all groups, no number, and one successor at most.
#[test]
fn generations_of_a_former_version_are_read() {
    let mut stage = Stage::started(1);
    let mut written = serde_json::to_value(&stage.fleet).unwrap();
    let generation = written["generations"][0].as_object_mut().unwrap();
    generation.remove("number");
    generation.remove("successors");
    generation.insert("successor".into(), 7.into());
    let fleet = written.as_object_mut().unwrap();
    assert!(["units", "readings"].iter().all(|field| fleet.remove(*field).is_some()));
    let read: Fleet = serde_json::from_value(written).unwrap();
    assert_eq!((read.generations[0].number(), &read.generations[0].successors[..]), (1, &[GenerationId(7)][..]));
    stage.fleet = read;
    begin(&mut stage.fleet, stage.now, &Stage::plan(1));
    stage.event(Event::Tick);
    assert_eq!(stage.fleet.generations.iter().map(Generation::number).collect::<Vec<_>>(), [2]);
}

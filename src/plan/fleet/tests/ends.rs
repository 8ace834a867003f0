//! Workers and zygotes that end, and how that is logged; the end of a generation and of all.

use std::collections::BTreeSet;

use super::*;
use crate::log::Level;

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
    assert_eq!(stage.fleet.handle(due, Event::Tick, NOBODY_BUSY), [Action::KillSilent(key)]);
    assert!(stage.fleet.deadline(due).unwrap() > due);
}

#[test]
fn a_zygote_that_stays_stopped_is_killed_in_each_phase() {
    let stopped = BTreeSet::from([GenerationId(1).zygote()]);
    let later = |stage: &Stage, seconds| stage.now + Duration::from_secs(seconds);
    for drains in [false, true] {
        let mut stage = Stage::started(1);
        if drains {
            begin(&mut stage.fleet, stage.now, &Stage::plan(1));
            let actions = stage.decide(Event::Tick);
            stage.carry_out(actions, &|key| key.generation == GenerationId(1));
        }
        let begun = later(&stage, 0);
        stage.fleet.note_unresponsive(begun, &stopped);
        stage.fleet.note_unresponsive(later(&stage, 1), &BTreeSet::new());
        stage.now = later(&stage, 2);
        stage.fleet.note_unresponsive(stage.now, &stopped);
        stage.fleet.note_unresponsive(later(&stage, 1), &stopped);
        let due = later(&stage, 10);
        let kill = Action::KillSilent(GenerationId(1).zygote());
        assert!(
            !stage.fleet.handle(later(&stage, 9), Event::Tick, NOBODY_BUSY).contains(&kill),
            "it continued meanwhile"
        );
        assert!(stage.fleet.deadline(stage.now).unwrap() <= due);
        assert!(stage.fleet.handle(due, Event::Tick, NOBODY_BUSY).contains(&kill), "drains: {drains}");
        let again = Event::ZygoteGone(GenerationId(1).zygote());
        let next = stage.fleet.handle(due, again, NOBODY_BUSY);
        assert!(!next.contains(&kill), "{next:?}");
    }
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

//! Requests that take too long, and workers that crash.

use super::*;
use crate::plan::crashes::Emergency;

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
        stage.event(Event::Exited { key, exit: Exit::Signal(11, false), requests: Some(1) });
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

/// PHP ends the process of some workers at once, before a client has asked for anything.
#[test]
fn workers_that_end_as_soon_as_they_wait_come_back_slower_and_slower() {
    for exit in [Exit::Code(137), Exit::Code(0), Exit::Signal(9, false)] {
        let mut stage = Stage::new(&[("www", 1, Policy::Static)]);
        let (key, begun) = (stage.workers()[0], stage.now);
        let mut forked = 0;
        while stage.now < begun + Duration::from_secs(10) {
            stage.now = stage.now + Duration::from_millis(1);
            if stage.workers().is_empty() {
                stage.event(Event::Tick);
                continue;
            }
            forked += 1;
            stage.event(Event::Exited { key, exit, requests: Some(0) });
        }
        assert!((5 + 20..5 + 30).contains(&forked), "{forked} workers, {exit:?}");
        assert_eq!(stage.said(|r| *r == Remark::CrashLoop), 1, "{exit:?}");
    }
}

/// With `pm.max_requests = 1` no worker outlives its first request. A script that fails now and then makes no loop.
#[test]
fn workers_that_end_after_their_only_request_end_a_loop() {
    let mut stage = Stage::new(&[("www", 1, Policy::Static)]);
    let key = stage.workers()[0];
    for exit in [Exit::Code(137), Exit::Code(137), Exit::Code(137), Exit::Code(137), Exit::Code(0)].repeat(3) {
        stage.event(Event::Exited { key, exit, requests: Some(1) });
        assert_eq!(stage.workers(), [key], "replaced at once after {exit:?}");
    }
    assert_eq!(stage.said(|r| *r == Remark::CrashLoop), 0);
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

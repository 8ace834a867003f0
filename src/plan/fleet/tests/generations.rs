//! The first generation, and those that reloads start.

use super::*;
use crate::plan::reload::Readiness;

#[test]
fn the_first_generation_is_ready_when_all_its_workers_accept() {
    let stage = Stage::started(4);
    assert_eq!(stage.readies(), 1);
    assert_eq!(stage.fleet.workers().count(), 4);
    assert_eq!(stage.fleet.generations[0].phase, Phase::Serving);
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

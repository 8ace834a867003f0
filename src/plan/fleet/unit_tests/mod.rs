//! Groups that start, reload and fail each on its own, without a process.

mod late;
mod lives;
mod renewal;
mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::plan::crashes::Emergency;
use crate::plan::fleet::renewal::Renewal;
use crate::plan::fleet::tests::pool;
use crate::plan::scaling::Policy;
use crate::plan::watch::Limits;
use world::World;

/// A group with these pools; each listens at a path of its own.
fn group(name: &str, pools: &[&str]) -> GroupPlan {
    let pools = pools.iter().map(|name| pool(name, 1, Policy::Static, Limits::default())).collect();
    GroupPlan { name: name.to_owned(), fingerprint: 1, idle_limit: Duration::ZERO, pools }
}

fn two() -> Vec<GroupPlan> {
    vec![group("a", &["a"]), group("b", &["b"])]
}

#[test]
fn a_group_that_fails_keeps_its_generation_while_the_other_gets_the_new_one() {
    let mut world = World::started(&two());
    world.fails.insert("b".to_owned());
    world.reload(&two(), &Scope::All);
    assert_eq!(world.numbers(), [("a".to_owned(), 2), ("b".to_owned(), 1)]);
    let given_up = world.fleet.readings;
    assert!(world.log.iter().any(
        |a| matches!(a, Action::GivenUp { id, because, failure: Failure::Zygote, kept: Some(GenerationId(2)) } if id == because)
    ));
    assert_eq!((given_up, world.reports()), (2, vec![Action::Ready, Action::Ready]));
    world.fails.clear();
    world.reload(&two(), &Scope::All);
    assert_eq!(world.numbers(), [("a".to_owned(), 3), ("b".to_owned(), 3)]);
}

#[test]
fn a_group_that_lacks_something_keeps_its_generation_too() {
    let mut world = World::started(&two());
    world.lacks.insert("b".to_owned());
    world.reload(&two(), &Scope::All);
    assert_eq!(world.numbers(), [("a".to_owned(), 2), ("b".to_owned(), 1)]);
    assert_eq!(world.fleet.generations.len(), 2);
}

#[test]
fn a_reload_that_no_group_follows_is_refused() {
    let mut world = World::started(&two());
    world.fails.extend(["a".to_owned(), "b".to_owned()]);
    world.reload(&two(), &Scope::All);
    assert_eq!(world.numbers(), [("a".to_owned(), 1), ("b".to_owned(), 1)]);
    assert_eq!(world.reports(), [Action::Ready, Action::Refused]);
}

#[test]
fn at_the_first_start_the_others_start_and_the_one_that_fails_is_tried_again() {
    let mut world = World::new();
    world.fails.insert("b".to_owned());
    world.lacks.insert("c".to_owned());
    let plans = [two(), vec![group("c", &["c"])]].concat();
    world.reload(&plans, &Scope::All);
    assert_eq!(world.numbers(), [("a".to_owned(), 1)]);
    assert_eq!(world.reports(), [Action::Ready]);
    let not_started = world.log.iter().filter(|a| matches!(a, Action::NotStarted(..))).count();
    assert_eq!(not_started, 2);
    let tries = world.log.len();
    world.pass(Duration::from_secs(40));
    let again = world.log[tries..].iter().filter(|a| matches!(a, Action::SpawnZygote(_) | Action::Prepare(_)));
    assert!((10..40).contains(&again.count()), "with pauses that grow");
    world.fails.clear();
    world.lacks.clear();
    world.pass(Duration::from_secs(31));
    assert_eq!(world.numbers().len(), 3);
    let late = world.log.iter().filter(|a| matches!(a, Action::Serves { late: true, .. })).count();
    assert_eq!((late, world.reports()), (2, vec![Action::Ready]));
}

#[test]
fn a_first_start_fails_if_no_group_starts() {
    let mut world = World::new();
    world.fails.extend(["a".to_owned(), "b".to_owned()]);
    world.reload(&two(), &Scope::All);
    assert_eq!(world.reports(), [Action::StartFailed]);
}

#[test]
fn all_or_nothing_is_a_single_unit() {
    let mut world = World::new();
    world.together = true;
    world.fails.insert("b".to_owned());
    world.reload(&two(), &Scope::All);
    assert_eq!(world.reports(), [Action::StartFailed]);
    let mut world = World::started(&two());
    world.together = true;
    world.fails.insert("b".to_owned());
    world.reload(&two(), &Scope::All);
    assert_eq!(world.numbers(), [("a".to_owned(), 1), ("b".to_owned(), 1)]);
    assert_eq!(world.reports(), [Action::Ready, Action::Refused]);
}

#[test]
fn a_pool_that_moves_takes_both_groups_along() {
    let joint = vec![group("a", &["a", "b"])];
    let mut world = World::started(&joint);
    world.fails.insert("b".to_owned());
    world.reload(&two(), &Scope::All);
    assert_eq!(world.numbers(), [("a".to_owned(), 1)]);
    assert_eq!(world.log.iter().filter(|a| matches!(a, Action::GivenUp { .. })).count(), 2);
    assert!(!world.log.iter().any(|a| matches!(a, Action::NotReplaced { .. })), "group a is named already");
    world.fails.clear();
    world.reload(&two(), &Scope::All);
    assert_eq!(world.numbers(), [("a".to_owned(), 3), ("b".to_owned(), 3)]);
}

#[test]
fn a_group_that_cannot_be_divided_serves_on() {
    let mut world = World::started(&[group("shared", &["a", "b"])]);
    world.fails.insert("b".to_owned());
    world.reload(&two(), &Scope::All);
    assert_eq!(world.numbers(), [("shared".to_owned(), 1)]);
    let kept = |a: &&Action| matches!(a, Action::GivenUp { kept: Some(GenerationId(1)), .. });
    assert_eq!(world.log.iter().filter(kept).count(), 2);
    let left = Action::NotReplaced { id: GenerationId(1), because: GenerationId(3) };
    assert_eq!(world.log.iter().filter(|a| **a == left).count(), 1);
}

#[test]
fn a_pool_that_is_removed_ends_and_one_that_is_added_starts() {
    let mut world = World::started(&two());
    world.reload(&[group("b", &["b"]), group("c", &["c"])], &Scope::All);
    assert_eq!(world.numbers(), [("b".to_owned(), 2), ("c".to_owned(), 2)]);
    assert_eq!(world.reports(), [Action::Ready, Action::Ready]);
    assert!(world.log.contains(&Action::Replaced(GenerationId(1))));
    world.reload(&[group("b", &["b"])], &Scope::Changed);
    assert_eq!(world.numbers(), [("b".to_owned(), 2)]);
    assert_eq!(world.reports().len(), 3);
}

#[test]
fn only_what_is_asked_for_or_has_changed_is_renewed() {
    let mut world = World::started(&two());
    world.reload(&two(), &Scope::Pools(BTreeSet::from(["b".to_owned()])));
    assert_eq!(world.numbers(), [("a".to_owned(), 1), ("b".to_owned(), 2)]);
    let mut plans = two();
    plans[0].fingerprint = 2;
    world.reload(&plans, &Scope::Changed);
    assert_eq!(world.numbers(), [("a".to_owned(), 3), ("b".to_owned(), 2)]);
    world.reload(&plans, &Scope::Changed);
    assert_eq!((world.fleet.readings, world.numbers().len()), (4, 2));
    assert_eq!(world.reports(), [Action::Ready; 4]);
    // A group that has failed still runs with the former configuration, so it is tried again.
    plans[1].fingerprint = 3;
    world.fails.insert("b".to_owned());
    world.reload(&plans, &Scope::Changed);
    world.fails.clear();
    world.reload(&plans, &Scope::Changed);
    assert_eq!(world.numbers(), [("a".to_owned(), 3), ("b".to_owned(), 6)]);
}

#[test]
fn at_most_so_many_start_at_a_time_and_slow_ones_do_not_count() {
    let names: Vec<String> = (0..60).map(|i| format!("g{i}")).collect();
    let plans: Vec<GroupPlan> = names.iter().map(|name| group(name, &[name])).collect();
    let mut world = World::new();
    world.fleet.start_parallel = 2;
    world.slow.extend(["g0".to_owned(), "g1".to_owned()]);
    world.begin(&plans, &Scope::All);
    let starting = |world: &World| world.fleet.generations.iter().filter(|g| g.phase == Phase::Starting).count();
    assert_eq!((starting(&world), world.numbers().len()), (2, 0));
    world.pass(Duration::from_millis(2_100));
    assert_eq!((starting(&world), world.numbers().len()), (2, 58));
    assert_eq!(world.reports(), []);
    world.slow.clear();
    world.finish_starts();
    assert_eq!((world.numbers().len(), world.reports()), (60, vec![Action::Ready]));
}

#[test]
fn more_groups_start_at_a_time_if_their_zygotes_are_forked_from_a_base_zygote() {
    let names: Vec<String> = (0..60).map(|i| format!("g{i}")).collect();
    let plans: Vec<GroupPlan> = names.iter().map(|name| group(name, &[name])).collect();
    let mut world = World::new();
    (world.fleet.start_parallel, world.fleet.fork_parallel) = (2, 8);
    world.slow.extend(names.iter().cloned());
    let starting = |world: &World| world.fleet.generations.iter().filter(|g| g.phase == Phase::Starting).count();
    world.begin(&plans, &Scope::All);
    assert_eq!(starting(&world), 2, "each starts PHP");
    let forked: Vec<GenerationId> = world.fleet.generations.iter().map(|g| g.id).skip(3).collect();
    forked.into_iter().for_each(|id| world.fleet.note_forked(id, true));
    world.pass(Duration::from_millis(1));
    assert_eq!(starting(&world), 8, "the third starts PHP and waits; those after it do not");
    world.slow.clear();
    world.finish_starts();
    assert_eq!((world.numbers().len(), world.reports()), (60, vec![Action::Ready]));
}

#[test]
fn of_many_groups_more_start_at_a_time() {
    let most = |generations: usize, (start, fork)| {
        let mut world = World::new();
        let names: Vec<String> = (0..generations).map(|i| format!("g{i}")).collect();
        (world.fleet.start_parallel, world.fleet.fork_parallel) = (start, fork);
        world.begin(&names.iter().map(|name| group(name, &[name])).collect::<Vec<_>>(), &Scope::All);
        let ids: Vec<GenerationId> = world.fleet.generations.iter().map(|g| g.id).collect();
        ids.iter().for_each(|id| world.fleet.note_forked(*id, true));
        (0..).take_while(|busy| world.fleet.leaves_room(&ids, *busy)).count()
    };
    assert_eq!([60, 200, 400, 1000].map(|groups| most(groups, (2, 8))), [8, 12, 24, 24]);
    assert_eq!(most(400, (3, 3)), 3, "process.start_parallel is set");
}

#[test]
fn a_slow_group_goes_on_through_the_next_reload_and_is_then_replaced() {
    let mut world = World::started(&two());
    world.slow.insert("b".to_owned());
    world.begin(&two(), &Scope::All);
    world.pass(Duration::from_millis(1_000));
    assert_eq!(world.fleet.readiness(world.now), crate::plan::reload::Readiness::Busy);
    world.pass(Duration::from_millis(1_500));
    assert_eq!(world.numbers(), [("a".to_owned(), 2), ("b".to_owned(), 1)]);
    world.hand_over();
    world.begin(&two(), &Scope::All);
    assert_eq!(world.reports(), [Action::Ready; 2]);
    assert_eq!(world.numbers(), [("a".to_owned(), 3), ("b".to_owned(), 1)]);
    world.slow.clear();
    world.finish_starts();
    assert_eq!(world.numbers(), [("a".to_owned(), 3), ("b".to_owned(), 3)]);
    let served = |id| world.log.contains(&Action::Serves { id: GenerationId(id), late: false });
    assert!(served(4) && served(6), "that of the second reload, and then that of the third one");
}

#[test]
fn what_would_end_a_pool_that_is_wanted_again_is_given_up() {
    let joint = vec![group("a", &["a", "b"])];
    let mut world = World::started(&joint);
    world.slow.insert("a".to_owned());
    world.begin(&[group("a", &["a"])], &Scope::All);
    world.hand_over();
    world.slow.clear();
    world.begin(&joint, &Scope::All);
    assert_eq!(world.numbers(), [("a".to_owned(), 3)]);
}

#[test]
fn a_group_whose_preparation_hangs_keeps_others_waiting_only_briefly() {
    let mut world = World::new();
    world.fleet.start_parallel = 1;
    world.hangs.insert("a".to_owned());
    world.reload(&two(), &Scope::All);
    world.pass(Duration::from_millis(200));
    assert_eq!(world.numbers(), []);
    world.pass(Duration::from_millis(200));
    assert_eq!(world.numbers(), [("b".to_owned(), 1)]);
}

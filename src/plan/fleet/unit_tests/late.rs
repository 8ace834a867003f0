//! Requests that don't end: of one generation, and of three.

use std::time::Duration;

use super::world::World;
use super::{Action, GenerationId, Phase, Scope, two};
use crate::plan::reload::Readiness;

fn all(world: &mut World) {
    world.reload(&two(), &Scope::All);
    world.pass(Duration::from_secs(2));
}

fn draining(world: &World) -> Vec<GenerationId> {
    world.fleet.generations.iter().filter(|g| g.phase == Phase::Draining).map(|g| g.id).collect()
}

#[test]
fn an_endless_request_never_keeps_its_group_from_reloading() {
    let mut world = World::started(&two());
    world.stuck.insert("a".to_owned());
    all(&mut world);
    world.stuck.clear();
    for number in 3..9 {
        all(&mut world);
        assert_eq!(world.numbers(), [("a".to_owned(), number), ("b".to_owned(), number)], "{}", world.shown());
        assert_eq!(draining(&world), [GenerationId(1)], "no generation in between stays: {}", world.shown());
    }
    let newest = world.fleet.generations.iter().rfind(|g| g.has_pool("a")).map(|g| g.id);
    assert_eq!(world.fleet.generation(GenerationId(1)).map(|g| g.successors.clone()), newest.map(|id| vec![id]));
    assert!(!world.log.iter().any(|a| matches!(a, Action::Late(_) | Action::PatienceOver(_))));
}

#[test]
fn a_group_waits_for_one_of_three_draining_generations_and_others_do_not() {
    let mut world = World::started(&two());
    world.fleet.drain_patience = Duration::from_secs(60);
    world.stuck.insert("a".to_owned());
    (0..3).for_each(|_| all(&mut world));
    assert_eq!((world.numbers(), draining(&world).len()), (vec![("a".to_owned(), 4), ("b".to_owned(), 4)], 3));
    all(&mut world);
    assert_eq!(world.numbers(), [("a".to_owned(), 4), ("b".to_owned(), 5)]);
    assert_eq!(world.reports(), [Action::Ready; 5], "the reload is reported without the group that is late");
    let count = |world: &World, wanted: fn(&Action) -> bool| world.log.iter().filter(|a| wanted(a)).count();
    assert_eq!(count(&world, |a| matches!(a, Action::Late(_))), 1);
    // Further reloads don't make it wait from the beginning.
    world.pass(Duration::from_secs(40));
    world.hand_over();
    all(&mut world);
    assert_eq!(world.numbers(), [("a".to_owned(), 4), ("b".to_owned(), 6)]);
    world.pass(Duration::from_secs(15));
    assert_eq!(count(&world, |a| matches!(a, Action::PatienceOver(_))), 0);
    world.pass(Duration::from_secs(5));
    assert_eq!(world.numbers(), [("a".to_owned(), 6), ("b".to_owned(), 6)]);
    assert_eq!(count(&world, |a| matches!(a, Action::PatienceOver(GenerationId(1)))), 1);
    assert_eq!(count(&world, |a| matches!(a, Action::Serves { late: true, .. })), 1);
    assert_eq!(draining(&world).len(), 3, "the two others still finish their requests, and so does the fourth");
}

#[test]
fn a_reload_of_which_nothing_can_begin_waits() {
    let mut world = World::started(&two());
    world.stuck.extend(["a".to_owned(), "b".to_owned()]);
    (0..4).for_each(|_| all(&mut world));
    assert_eq!((world.reports().len(), world.fleet.is_unreported()), (4, true));
    assert_eq!(world.fleet.readiness(world.now), Readiness::Ready, "the next reload may be one of other groups");
    world.fleet.drain_patience = Duration::from_secs(60);
    world.pass(Duration::from_secs(61));
    assert_eq!(world.reports(), [Action::Ready; 5]);
}

//! Renewals: beside reloads, in place of which they do not count, limited in rate, and after crashes.

use std::time::Duration;

use super::world::World;
use super::{Action, Emergency, GenerationId, Phase, Renewal, Scope, Settings, group, two};
use crate::plan::fleet::Event;
use crate::plan::fleet::NotRenewable;
use crate::plan::fleet::members::Zygote;
use crate::plan::scaling::Policy;
use crate::sys::process::Exit;

const SECOND: Duration = Duration::from_secs(1);

/// The generation of that group that serves.
fn serving(world: &World, name: &str) -> GenerationId {
    let serves = |g: &&super::Generation| matches!(g.phase, Phase::Serving | Phase::Settling) && g.has_pool(name);
    world.fleet.generations.iter().find(serves).map(|g| g.id).unwrap()
}

fn renew(world: &mut World, name: &str) -> Renewal {
    let id = serving(world, name);
    let answer = world.fleet.renew(world.now, id);
    world.event(Event::Tick);
    answer
}

fn count(world: &World, wanted: fn(&Action) -> bool) -> usize {
    world.log.iter().filter(|a| wanted(a)).count()
}

fn renewals(world: &World) -> usize {
    count(world, |a| matches!(a, Action::Renewed(_)))
}

#[test]
fn a_renewed_group_has_new_processes_and_the_same_configuration() {
    let mut world = World::started(&two());
    let (a, b) = (serving(&world, "a"), serving(&world, "b"));
    let plan = world.fleet.generation(a).map(|g| g.groups[0].plan());
    assert_eq!(renew(&mut world, "a"), Renewal::Begins);
    world.pass(2 * SECOND);
    assert_ne!(serving(&world, "a"), a);
    assert_eq!(serving(&world, "b"), b, "other groups keep theirs");
    assert_eq!(world.fleet.generation(serving(&world, "a")).map(|g| g.groups[0].plan()), plan);
    assert_eq!(plan, Some(group("a", &["a"])));
    assert_eq!(world.numbers(), [("a".to_owned(), 1), ("b".to_owned(), 1)], "the number is that of the reading");
    assert!(world.fleet.generation(a).is_none(), "the former one has ended");
    assert_eq!((renewals(&world), world.reports()), (1, vec![Action::Ready]));
    assert_eq!(count(&world, |a| matches!(a, Action::Serves { .. })), 2, "those of the start");
}

#[test]
fn requests_in_the_former_generation_end_and_its_connections_go_to_the_new_one() {
    let mut world = World::started(&two());
    let old = serving(&world, "a");
    world.stuck.insert("a".to_owned());
    renew(&mut world, "a");
    world.pass(3600 * SECOND);
    let draining = world.fleet.generation(old).map(|g| (g.phase, g.successors.clone()));
    assert_eq!(draining, Some((Phase::Draining, vec![serving(&world, "a")])));
    assert_eq!(count(&world, |a| matches!(a, Action::Signal(..) | Action::KillZygote(_))), 0);
}

#[test]
fn a_group_is_renewed_once_in_thirty_seconds() {
    let mut world = World::started(&two());
    assert_eq!(renew(&mut world, "a"), Renewal::Begins);
    world.pass(10 * SECOND);
    let before = serving(&world, "a");
    assert_eq!(renew(&mut world, "a"), Renewal::Waits(20 * SECOND));
    assert_eq!((0..9).map(|_| renew(&mut world, "a")).collect::<Vec<_>>(), [Renewal::Expected; 9]);
    world.pass(19 * SECOND);
    assert_eq!((serving(&world, "a"), renew(&mut world, "b")), (before, Renewal::Begins), "others don't wait");
    world.pass(2 * SECOND);
    assert_ne!(serving(&world, "a"), before);
    world.pass(100 * SECOND);
    assert_eq!((renewals(&world), renew(&mut world, "a")), (3, Renewal::Begins));
}

#[test]
fn an_operator_waits_for_no_interval_and_joins_what_is_under_way() {
    let mut world = World::started(&two());
    let at_once = |world: &mut World| {
        let before = serving(world, "a");
        // The second wish joins the first.
        assert!((0..2).all(|_| world.fleet.renew_at_once(world.now, before) == Ok(before)));
        assert!(world.fleet.is_being_renewed(before));
        world.event(Event::Tick);
        world.pass(2 * SECOND);
        assert!(serving(world, "a") != before && !world.fleet.is_being_renewed(serving(world, "a")));
    };
    (0..3).for_each(|_| at_once(&mut world));
    assert!(matches!(renew(&mut world, "a"), Renewal::Waits(_)), "crashes still wait");
    at_once(&mut world);
    assert_eq!(renewals(&world), 4);
    assert_eq!(world.fleet.renew_at_once(world.now, GenerationId(9999)), Err(NotRenewable::Absent));
}

#[test]
fn wishes_while_a_renewal_starts_share_one_that_follows_it() {
    let mut world = World::started(&two());
    let old = serving(&world, "a");
    world.slow.insert("a".to_owned());
    assert_eq!(world.fleet.renew_at_once(world.now, old), Ok(old));
    world.event(Event::Tick);
    let coming = world.fleet.generations.last().map(|g| g.id).unwrap();
    assert!(coming != old && world.fleet.is_coming(coming));
    // The new generation may have compiled code by now.
    assert!((0..5).all(|_| world.fleet.renew_at_once(world.now, old) == Ok(coming)));
    world.slow.clear();
    world.finish_starts();
    world.pass(10 * SECOND);
    assert_eq!(renewals(&world), 2);
    assert!(serving(&world, "a") > coming && !world.fleet.is_being_renewed(serving(&world, "a")));
}

#[test]
fn an_operators_renewal_is_refused_while_three_former_generations_finish_requests() {
    let mut world = World::started(&two());
    world.stuck.insert("a".to_owned());
    for _ in 0..3 {
        let id = serving(&world, "a");
        assert_eq!(world.fleet.renew_at_once(world.now, id), Ok(id));
        world.pass(2 * SECOND);
    }
    let last = serving(&world, "a");
    assert_eq!(world.fleet.renew_at_once(world.now, last), Err(NotRenewable::Blocked));
    world.pass(2 * SECOND);
    assert_eq!((renewals(&world), world.fleet.is_being_renewed(last)), (3, false));
}

#[test]
fn a_renewal_that_cannot_start_leaves_the_present_generation() {
    for of_zygote in [true, false] {
        let mut world = World::started(&two());
        let old = serving(&world, "a");
        let failing = if of_zygote { &mut world.fails } else { &mut world.lacks };
        failing.insert("a".to_owned());
        assert_eq!(renew(&mut world, "a"), Renewal::Begins);
        world.pass(10 * SECOND);
        assert_eq!((serving(&world, "a"), world.fleet.generations.len()), (old, 2));
        assert_eq!(count(&world, |a| matches!(a, Action::NotRenewed(..))), 1);
        assert_eq!(renew(&mut world, "a"), Renewal::Waits(20 * SECOND), "it is not tried all the time");
        // It is no failure of a reload.
        world.reload(&two(), &Scope::Pools(["b".to_owned()].into()));
        world.pass(30 * SECOND);
        assert_eq!((serving(&world, "a"), renewals(&world)), (old, 0));
        assert_eq!(count(&world, |a| matches!(a, Action::GivenUp { .. } | Action::Refused)), 0);
        assert_eq!(world.reports(), [Action::Ready; 2]);
    }
}

#[test]
fn a_reload_replaces_a_renewal_that_has_not_begun() {
    let mut world = World::started(&two());
    renew(&mut world, "a");
    world.pass(SECOND);
    assert_eq!(renew(&mut world, "a"), Renewal::Waits(29 * SECOND));
    world.hand_over();
    world.reload(&two(), &Scope::All);
    world.pass(100 * SECOND);
    assert_eq!((renewals(&world), world.numbers()[0].1), (1, 2));
    // One that could not start replaces nothing.
    renew(&mut world, "a");
    world.pass(SECOND);
    renew(&mut world, "a");
    world.fails.insert("a".to_owned());
    world.reload(&two(), &Scope::All);
    assert_eq!(world.numbers()[0].1, 2);
    world.fails.clear();
    world.pass(100 * SECOND);
    assert_eq!((renewals(&world), world.numbers()[0].1), (3, 2));
}

#[test]
fn a_renewal_keeps_no_reload_from_being_reported_and_is_no_part_of_it() {
    let mut world = World::started(&two());
    world.slow.insert("a".to_owned());
    renew(&mut world, "a");
    assert_eq!((world.starting().len(), world.fleet.is_changing()), (1, false));
    world.reload(&two(), &Scope::Pools(["b".to_owned()].into()));
    assert_eq!(world.reports(), [Action::Ready, Action::Ready]);
    // A reload of the group follows its renewal, also through an exec.
    world.hand_over();
    world.begin(&two(), &Scope::All);
    world.pass(SECOND);
    assert_eq!((world.reports().len(), renew(&mut world, "a")), (2, Renewal::Expected));
    world.finish_starts();
    world.pass(2 * SECOND);
    world.finish_starts();
    world.pass(2 * SECOND);
    assert_eq!((world.reports(), renewals(&world)), (vec![Action::Ready; 3], 1));
    assert_eq!(world.numbers(), [("a".to_owned(), 3), ("b".to_owned(), 3)]);
}

#[test]
fn renewals_wait_for_their_turn() {
    let names = ["a", "b", "c", "d"];
    let mut world = World::started(&names.map(|name| group(name, &[name])));
    world.fleet.start_parallel = 2;
    world.slow.extend(names.map(str::to_owned));
    names.iter().for_each(|name| assert_eq!(renew(&mut world, name), Renewal::Begins));
    assert_eq!(world.starting().len(), 2);
    world.finish_starts();
    world.pass(4 * SECOND);
    world.finish_starts();
    world.pass(4 * SECOND);
    assert_eq!(renewals(&world), 4);
}

#[test]
fn a_group_that_has_a_zygote_gets_one_and_a_sleeping_one_sleeps_on() {
    let mut sleeper = group("a", &["a"]);
    sleeper.pools[0].policy = Policy::Ondemand(10 * SECOND);
    let mut world = World::started(&[sleeper]);
    let zygote = |world: &World| world.fleet.zygote(serving(world, "a").zygote());
    assert_eq!(renew(&mut world, "a"), Renewal::Begins);
    world.pass(31 * SECOND);
    assert!(matches!(zygote(&world), Some(Zygote::Asleep(_))) && renewals(&world) == 1);
    let key = serving(&world, "a").zygote();
    world.event(Event::Connection(key));
    assert!(matches!(zygote(&world), Some(Zygote::Up(_))));
    assert_eq!(renew(&mut world, "a"), Renewal::Begins);
    world.pass(2 * SECOND);
    assert!(matches!(zygote(&world), Some(Zygote::Up(_))) && serving(&world, "a").zygote() != key);
    assert_eq!((renewals(&world), world.reports()), (2, vec![Action::Ready]));
}

fn crash(world: &mut World, name: &str) {
    let id = serving(world, name);
    let key = world.fleet.workers().map(|(key, _)| key).find(|key| key.generation == id).unwrap();
    world.event(Event::Exited { key, exit: Exit::Signal(11, false), requests: None });
}

fn crashing() -> World {
    let mut world = World::started(&two());
    let emergency = Emergency { threshold: 3, interval: Duration::from_secs(60) };
    world.fleet.configure(Settings { emergency, ..Settings::default() });
    world
}

#[test]
fn too_many_crashes_renew_their_group() {
    let mut world = crashing();
    let (old, other) = (serving(&world, "a"), serving(&world, "b"));
    world.slow.insert("a".to_owned());
    (0..3).for_each(|_| crash(&mut world, "a"));
    assert_eq!(count(&world, |a| matches!(a, Action::Emergency(..))), 1);
    // The present generation keeps its zygote and its workers until the new one serves.
    (0..2).for_each(|_| crash(&mut world, "a"));
    let g = world.fleet.generation(old).unwrap();
    assert!(g.phase == Phase::Serving && matches!(g.groups[0].zygote, Zygote::Up(_)));
    assert_eq!(world.fleet.workers().filter(|(key, w)| key.generation == old && w.stays()).count(), 1);
    world.finish_starts();
    world.pass(2 * SECOND);
    assert_eq!((renewals(&world), serving(&world, "b")), (1, other));
    assert!(world.fleet.generation(old).is_none() && serving(&world, "a") != old);
    assert_eq!(count(&world, |a| matches!(a, Action::KillZygote(_))), 0);
    // Those after it are logged once, too.
    (0..60).for_each(|_| crash(&mut world, "a"));
    let said = (
        count(&world, |a| matches!(a, Action::Emergency(..))),
        count(&world, |a| matches!(a, Action::RenewalWaits(..))),
    );
    assert_eq!(said, (2, 1));
}

#[test]
fn where_three_generations_drain_the_zygote_is_killed_instead() {
    let mut world = crashing();
    world.stuck.insert("a".to_owned());
    for _ in 0..3 {
        world.reload(&two(), &Scope::All);
        world.pass(2 * SECOND);
    }
    let present = serving(&world, "a");
    (0..3).for_each(|_| crash(&mut world, "a"));
    assert!(world.log.contains(&Action::KillZygote(present.zygote())));
    assert_eq!((serving(&world, "a"), renewals(&world)), (present, 0));
    assert_eq!(count(&world, |a| matches!(a, Action::Late(_))), 0);
}

//! Pools that grow and shrink, within their limits.

use super::*;

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

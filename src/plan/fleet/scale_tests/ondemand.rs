//! Pools without connections.

use super::*;

#[test]
fn an_ondemand_group_sleeps_until_a_connection_comes() {
    let mut stage = Stage::new(&[("www", 4, ONDEMAND)]);
    let zygote = stage.pool(0).zygote;
    let serves = Action::Serves { id: GenerationId(1), late: false };
    assert_eq!(stage.log, [Action::Watch(zygote), serves, Action::Ready]);
    assert_eq!(stage.fleet.deadline(stage.now), None);
    stage.event(Event::Connection(zygote));
    assert_eq!(stage.log[3..], [Action::SpawnZygote(zygote), Action::Unwatch(zygote)]);
    stage.event(Event::Demand(stage.pool(0), 2));
    assert_eq!(stage.workers().len(), 2);
    stage.all_busy();
    stage.event(Event::Demand(stage.pool(0), 9));
    assert_eq!(stage.workers().len(), 4);
    stage.all_busy();
    stage.event(Event::Demand(stage.pool(0), 9));
    stage.event(Event::Demand(stage.pool(0), 9));
    assert_eq!((stage.workers().len(), stage.said(|r| *r == Remark::Full)), (4, 1));
}

#[test]
fn whom_the_zygote_has_yet_to_fork_is_for_those_who_wait_and_whom_it_has_forked_it_has_counted() {
    let mut stage = Stage::new(&[("www", 6, ONDEMAND)]);
    let pool = stage.pool(0);
    let [first, second, third] = [0, 1, 2].map(|slot| pool.worker(slot));
    let _ = stage.decide(Event::Connection(pool.zygote));
    let _ = stage.decide(Event::ZygoteReady(pool.zygote));
    let asked = stage.decide(Event::Demand(pool, 2));
    assert_eq!(asked, [Action::Fork(first), Action::Fork(second)]);
    assert_eq!(stage.decide(Event::Demand(pool, 2)), [], "the same two");
    let _ = stage.decide(forked(first, 100));
    assert_eq!(stage.decide(Event::Demand(pool, 1)), [], "the second is for it");
    let _ = stage.decide(forked(second, 101));
    assert_eq!(stage.decide(Event::Demand(pool, 1)), [Action::Fork(third)]);
}

#[test]
fn idle_workers_leave_after_their_time_and_the_zygote_after_its_own() {
    let mut stage = Stage::new(&[("www", 4, ONDEMAND)]);
    let zygote = stage.pool(0).zygote;
    stage.event(Event::Connection(zygote));
    stage.event(Event::Demand(stage.pool(0), 3));
    stage.scene.idle_since = stage.now;
    stage.seconds(10);
    assert_eq!(stage.workers().len(), 3);
    stage.seconds(1);
    assert_eq!(stage.workers().len(), 0);
    stage.seconds(3599);
    assert!(!stage.log.contains(&Action::Release(zygote)));
    stage.seconds(3);
    assert_eq!(stage.log[stage.log.len() - 2..], [Action::Release(zygote), Action::Watch(zygote)]);
}

#[test]
fn a_worker_that_is_told_to_leave_has_a_second_and_ten_if_it_is_stopped() {
    for (stopped, limit) in [(false, 1), (true, 10)] {
        let mut stage = Stage::new(&[("www", 4, ONDEMAND)]);
        stage.event(Event::Connection(stage.pool(0).zygote));
        stage.event(Event::Demand(stage.pool(0), 1));
        let worker = stage.pool(0).worker(0);
        stage.scene.idle_since = stage.now;
        stage.scene.stopped = stopped;
        stage.now = stage.now + Duration::from_secs(11);
        assert!(stage.decide(Event::Tick).contains(&Action::Retire(worker)));
        let kill = Action::Signal(worker, Stop::Kill);
        for second in 1..=limit {
            stage.now = stage.now + Duration::from_secs(1);
            assert_eq!(stage.decide(Event::Tick).contains(&kill), second == limit, "stopped: {stopped}, {second} s");
        }
    }
}

#[test]
fn a_zygote_that_keeps_connections_stays_and_one_leaves_early_where_memory_is_short() {
    let mut stage = Stage::new(&[("www", 4, ONDEMAND)]);
    let zygote = stage.pool(0).zygote;
    stage.event(Event::Connection(zygote));
    stage.scene.short = true;
    stage.seconds(60);
    stage.now = stage.now + Duration::from_millis(1000);
    assert_eq!(stage.decide(Event::Tick), [Action::Release(zygote)]);
    assert_eq!(stage.decide(Event::Stays(zygote)), []);
    stage.event(Event::Demand(stage.pool(0), 1));
    assert_eq!(stage.workers().len(), 1);
}

#[test]
fn a_reload_keeps_asleep_who_sleeps_and_wakes_the_successor_of_a_zygote() {
    let mut stage = Stage::new(&[("www", 4, ONDEMAND)]);
    stage.begin(&[("www", 4, ONDEMAND)]);
    let second = stage.pool(0).zygote;
    let end = [Action::Drain(GenerationId(1)), Action::Ready];
    assert!(end.iter().all(|a| stage.log.contains(a)), "{:?}", stage.log);
    assert!(!stage.log.iter().any(|a| matches!(a, Action::SpawnZygote(_))));
    assert_eq!(stage.fleet.generations.len(), 1);
    let unwatched = stage.log.iter().position(|a| matches!(a, Action::Unwatch(_)));
    assert!(unwatched < stage.log.iter().position(|a| *a == Action::Watch(second)));
    stage.event(Event::Connection(second));
    stage.begin(&[("www", 4, ONDEMAND)]);
    assert!(stage.log.contains(&Action::SpawnZygote(stage.pool(0).zygote)));
    assert_eq!(stage.fleet.generations.len(), 1);
}

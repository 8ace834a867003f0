//! The state that passes to the next image of the supervisor, and that of a former version.

use super::*;

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

/// In a former version a generation had all groups, no number, and one successor at most.
#[test]
fn generations_of_a_former_version_are_read() {
    let mut stage = Stage::started(1);
    let mut written = serde_json::to_value(&stage.fleet).unwrap();
    let generation = written["generations"][0].as_object_mut().unwrap();
    generation.remove("number");
    assert!(["successors", "renewed", "renewal_due"].iter().all(|field| generation.remove(*field).is_some()));
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

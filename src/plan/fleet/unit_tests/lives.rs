//! Random configurations, scopes, failures and deaths: whatever happens, no pool is served twice, and none is lost.

use std::collections::BTreeSet;
use std::time::Duration;

use super::group;
use super::world::World;
use crate::plan::fleet::tests::exited;
use crate::plan::fleet::{Action, Event, Generation, GroupPlan, Phase, Scope};
use crate::sys::process::Exit;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// A generator of random numbers (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        let at = usize::try_from(self.below(u64::try_from(of.len().max(1)).unwrap())).unwrap();
        of.get(at).copied()
    }

    fn names(&mut self, one_in: u64) -> BTreeSet<String> {
        NAMES.iter().filter(|_| self.below(one_in) == 0).map(|&name| name.to_owned()).collect()
    }

    /// Some pools, some of them in groups with others, and some at others' addresses.
    fn file(&mut self) -> Vec<GroupPlan> {
        let (mut plans, mut taken): (Vec<GroupPlan>, _) = (Vec::new(), BTreeSet::new());
        for name in NAMES {
            let mut new = group(name, &[name]);
            new.fingerprint = 1 + self.below(2);
            if self.below(5) == 0 {
                new.pools[0].addresses = vec![format!("/{}", self.below(7))];
            }
            if self.below(6) == 0 || !taken.insert(new.pools[0].addresses.clone()) {
                continue;
            }
            match plans.last_mut().filter(|_| self.below(4) == 0) {
                Some(other) => other.pools.extend(new.pools),
                None => plans.push(new),
            }
        }
        plans
    }

    fn scope(&mut self) -> Scope {
        match self.below(3) {
            0 => Scope::All,
            1 => Scope::Changed,
            _ => Scope::Pools(self.names(4)),
        }
    }
}

/// What has to hold at each moment.
struct Watched {
    /// Pools of the latest configuration.
    wanted: BTreeSet<String>,
    /// Pools that are served.
    served: BTreeSet<String>,
    reloads: usize,
    /// The latest states.
    before: String,
}

impl Watched {
    fn look(&mut self, world: &World) {
        let generations = &world.fleet.generations;
        let serving = || generations.iter().filter(|g| g.serves());
        let pools: Vec<_> = serving().flat_map(|g| &g.groups[0].pools).collect();
        let names: BTreeSet<String> = pools.iter().map(|p| p.name.clone()).collect();
        let addresses: BTreeSet<_> = pools.iter().flat_map(|p| &p.addresses).collect();
        assert_eq!(names.len(), pools.len(), "a pool is served once:\n{}", world.shown());
        assert_eq!(addresses.len(), pools.len(), "an address is served once:\n{}", world.shown());
        let lost: Vec<_> = self.served.difference(&names).filter(|name| self.wanted.contains(*name)).collect();
        assert!(lost.is_empty(), "{lost:?} was served and is wanted:\n{}\nbefore:\n{}", world.shown(), self.before);
        self.served = names;
        let parallel = world.fleet.units.iter().filter(|unit| unit.keeps_others_waiting(world.now)).count();
        assert!(parallel <= world.fleet.start_parallel, "{:?}", world.fleet.units);
        let reports = world.reports().len();
        assert!(reports == self.reloads || reports + 1 == self.reloads, "{reports} of {}", self.reloads);
        for draining in generations.iter().filter(|g| g.phase == Phase::Draining) {
            for id in &draining.successors {
                let next = world.fleet.generation(*id);
                assert!(next.is_none_or(|next| draining.shares_a_pool_with(next)));
            }
            for pool in draining.pools() {
                let drain = |g: &&Generation| g.phase == Phase::Draining && !g.given_up && g.has_pool(&pool.name);
                assert!(generations.iter().filter(drain).count() <= 3, "{}", world.shown());
            }
        }
    }
}

fn step(world: &mut World, watched: &mut Watched, random: &mut Random, plans: &mut Vec<GroupPlan>) {
    match random.below(18) {
        0..=3 => {
            if random.below(3) > 0 {
                *plans = random.file();
            }
            let scope = random.scope();
            watched.wanted = plans.iter().flat_map(|g| g.pools.iter().map(|p| p.name.clone())).collect();
            watched.reloads += 1;
            if random.below(2) == 0 {
                world.hand_over();
            }
            world.begin(plans, &scope);
        }
        4 => world.fails = random.names(4),
        5 => world.lacks = random.names(4),
        6 => world.slow = random.names(2),
        7 => world.stuck = random.names(3),
        8 => world.finish_starts(),
        9 => {
            if let Some(key) = random.one(&world.starting()) {
                world.event(Event::ZygoteGone(key));
            }
        }
        10 => {
            let workers: Vec<_> = world.fleet.workers().map(|(key, _)| key).collect();
            if let Some(key) = random.one(&workers) {
                world.event(exited(key, Exit::Signal(9, false)));
            }
        }
        11 => world.pass(Duration::from_secs(random.below(70))),
        12 | 13 => {
            let all: Vec<_> = world.fleet.generations.iter().map(|g| g.id).collect();
            if let Some(id) = random.one(&all) {
                let _ = world.fleet.renew(world.now, id);
                world.event(Event::Tick);
            }
        }
        _ => world.pass(Duration::from_millis(random.below(1500))),
    }
    watched.look(world);
    watched.before = format!("{}\n--\n{}", watched.before.split("--\n").last().unwrap_or_default(), world.shown());
}

#[test]
fn whatever_happens_no_pool_is_served_twice_and_none_is_lost() {
    let mut random = Random(88_172_645_463_325_252);
    let (mut reloads, mut given_up, mut refused, mut renewed) = (0, 0, 0, 0);
    for _ in 0..150 {
        let mut world = World::new();
        let mut plans = NAMES.map(|name| group(name, &[name])).to_vec();
        world.fleet.start_parallel = 1 + usize::try_from(random.below(3)).unwrap();
        world.fleet.drain_patience = Duration::from_secs(60);
        let mut watched =
            Watched { wanted: BTreeSet::new(), served: BTreeSet::new(), reloads: 1, before: String::new() };
        world.reload(&plans, &Scope::All);
        for _ in 0..100 {
            step(&mut world, &mut watched, &mut random, &mut plans);
        }
        world.fails.clear();
        world.lacks.clear();
        world.slow.clear();
        world.stuck.clear();
        world.finish_starts();
        world.pass(Duration::from_secs(100));
        world.begin(&plans, &Scope::All);
        world.pass(Duration::from_secs(200));
        let served: BTreeSet<String> = plans.iter().flat_map(|g| g.pools.iter().map(|p| p.name.clone())).collect();
        watched.reloads += 1;
        watched.wanted.clone_from(&served);
        watched.look(&world);
        assert_eq!(watched.served, served, "{}", world.shown());
        assert_eq!(world.reports().len(), watched.reloads);
        reloads += watched.reloads;
        given_up += world.log.iter().filter(|a| matches!(a, Action::GivenUp { .. })).count();
        renewed += world.log.iter().filter(|a| matches!(a, Action::Renewed(_))).count();
        refused += world.log.iter().filter(|a| matches!(a, Action::Refused)).count();
    }
    assert!(
        reloads > 1000 && given_up > 500 && refused > 20 && renewed > 200,
        "{reloads} reloads, {given_up} failures, {refused} refused, {renewed} renewed"
    );
}

//! Which generations change together, when they begin to, and which of them leave.

use std::collections::BTreeSet;

use crate::plan::fleet::action::Action;
use crate::plan::fleet::components::{Mark, components};
use crate::plan::fleet::keys::{GenerationId, PoolKey, ZygoteKey};
use crate::plan::fleet::members::{Generation, Group, GroupPlan, Phase, Zygote};
use crate::plan::fleet::scope::Scope;
use crate::plan::fleet::state::Fleet;
use crate::plan::fleet::unit::{Unit, UnitState, Verdict};
use crate::sys::clock::Moment;

/// A configuration to be put into effect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Desired<'a> {
    /// All its groups.
    pub plans: &'a [GroupPlan],
    /// Which of them are renewed.
    pub scope: &'a Scope,
    /// All groups change together, or none does.
    pub together: bool,
}

/// Old generations and new groups that share names or addresses.
#[derive(Debug, Default)]
struct Component {
    old: Vec<GenerationId>,
    /// Indices of plans.
    new: Vec<usize>,
}

impl Fleet {
    /// Begins the change to a configuration. What of a former one has not begun is dropped; what is half-way goes on, and what
    /// replaces it waits for it. Returns the generation of each plan, as far as the scope covers it.
    pub(crate) fn reload(&mut self, now: Moment, desired: Desired<'_>) -> Vec<Option<GenerationId>> {
        let number = self.next_number();
        (self.readings, self.together) = (number, desired.together);
        self.verdict = Some(Verdict { since: now, done: 0, failed: 0 });
        self.keep_wanted(desired.plans);
        let mut ids = vec![None; desired.plans.len()];
        let mut touched = self.components_of(desired.plans);
        touched.retain(|component| self.is_touched(component, desired));
        if desired.together {
            touched = vec![touched.into_iter().fold(Component::default(), Component::and)];
        }
        for Component { old, new } in touched {
            let old = self.supersede(&old);
            let mut coming = Vec::new();
            for index in new {
                let id = self.add_generation(number, Group::planned(&desired.plans[index], now), now);
                ids[index] = Some(id);
                coming.push(id);
            }
            if !old.is_empty() || !coming.is_empty() {
                self.units.push(Unit::queued(old, coming, now));
            }
        }
        ids
    }

    /// A generation that waits for its turn.
    pub(super) fn add_generation(&mut self, number: u32, group: Group, now: Moment) -> GenerationId {
        let id = GenerationId(self.next_id);
        self.next_id += 1;
        self.generations.push(Generation::new(id, number, group, now));
        id
    }

    /// The number of the generations that begin next.
    #[must_use]
    pub(crate) fn next_number(&self) -> u32 {
        // A former version has kept no count.
        self.readings.max(self.generations.last().map_or(0, Generation::number)) + 1
    }

    /// Generations that serve, may soon, or wait for their turn, with the groups of a configuration.
    fn components_of(&self, plans: &[GroupPlan]) -> Vec<Component> {
        let old: Vec<&Generation> = self.generations.iter().filter(|g| g.phase != Phase::Draining).collect();
        let marks = old.iter().map(|g| g.marks().collect::<Vec<_>>()).chain(plans.iter().map(|p| p.marks().collect()));
        let sets = components(marks.map(Vec::into_iter));
        let of = |set: Vec<usize>| {
            let (before, after): (Vec<usize>, Vec<usize>) = set.into_iter().partition(|at| *at < old.len());
            let new = after.into_iter().map(|at| at - old.len()).collect();
            Component { old: before.into_iter().map(|at| old[at].id).collect(), new }
        };
        sets.into_iter().map(of).collect()
    }

    fn is_touched(&self, Component { old, new }: &Component, desired: Desired<'_>) -> bool {
        let scope = desired.scope;
        let groups = || self.those(old).filter(|g| g.serves()).flat_map(|g| &g.groups);
        let prints = |mut all: Vec<u64>| {
            all.sort_unstable();
            all
        };
        let changed = || {
            let before = prints(groups().map(|g| g.fingerprint).collect());
            before.contains(&0) || before != prints(new.iter().map(|at| desired.plans[*at].fingerprint).collect())
        };
        let covers_old = groups().any(|g| scope.covers(&g.name, g.pools.iter().map(|p| p.name.as_str()), changed));
        let plans = || new.iter().map(|at| &desired.plans[*at]);
        covers_old || plans().any(|p| scope.covers(&p.name, p.pools.iter().map(|p| p.name.as_str()), changed))
    }

    /// Gives up what would end a pool that is wanted again: otherwise no generation would serve that pool until the newer one stands.
    fn keep_wanted(&mut self, plans: &[GroupPlan]) {
        let wanted: BTreeSet<&str> = plans.iter().flat_map(|p| p.pools.iter().map(|p| p.name.as_str())).collect();
        for at in 0..self.units.len() {
            if self.ends_wanted(&self.units[at], &wanted) {
                self.drop_unit(at);
            }
        }
        self.units.retain(|unit| unit.state != UnitState::Ended);
    }

    /// Drops what of these generations has not begun, or can't start and has nothing to fall back on. Returns the others.
    fn supersede(&mut self, old: &[GenerationId]) -> Vec<GenerationId> {
        for at in 0..self.units.len() {
            let unit = &self.units[at];
            let concerned = unit.coming.iter().chain(&unit.retiring).any(|id| old.contains(id));
            if concerned && (unit.state == UnitState::Queued || unit.failed) {
                self.drop_unit(at);
            }
        }
        self.units.retain(|unit| unit.state != UnitState::Ended);
        let lives = |id: &GenerationId| self.generation(*id).is_some_and(|g| g.phase != Phase::Draining);
        old.iter().copied().filter(lives).collect()
    }

    /// A newer configuration replaces the unit, if it has not taken over.
    fn drop_unit(&mut self, at: usize) {
        match self.units[at].state {
            UnitState::Queued => {
                self.units[at].state = UnitState::Ended;
                self.drop_queued(at);
            }
            UnitState::Starting => self.units[at].state = UnitState::Unwanted,
            _ => {}
        }
    }

    fn ends_wanted(&self, unit: &Unit, wanted: &BTreeSet<&str>) -> bool {
        let stays = |name: &str| self.those(&unit.coming).any(|g| g.has_pool(name));
        let mut retiring = self.those(&unit.retiring).flat_map(Generation::pools);
        retiring.any(|pool| wanted.contains(pool.name.as_str()) && !stays(&pool.name))
    }

    /// The coming generations of that unit have no process; they are forgotten.
    fn drop_queued(&mut self, at: usize) {
        for id in self.units[at].coming.clone() {
            if let Some(generation) = self.generation_mut(id) {
                generation.phase = Phase::Draining;
                generation.groups.iter_mut().for_each(|group| group.zygote = Zygote::Gone);
            }
        }
    }

    /// Begins queued units, in their order, as far as they may begin: what they replace must serve.
    pub(super) fn begin_units(&mut self, now: Moment, out: &mut Vec<Action>) {
        let mut busy = self.busy_units(now);
        let mut at = 0;
        // Without coming generations, the larger of both limits counts.
        while at < self.units.len() && self.leaves_room(&[], busy) {
            let unit = &self.units[at];
            let is_next = unit.state == UnitState::Queued && self.leaves_room(&unit.coming, busy);
            if is_next && self.can_begin(at) && !self.must_wait(at, now, out) {
                self.split(at, now);
                self.begin(at, now, out);
                busy += 1;
            }
            at += 1;
        }
    }

    fn can_begin(&self, at: usize) -> bool {
        self.those(&self.units[at].retiring).all(|g| matches!(g.phase, Phase::Serving | Phase::Draining))
    }

    /// A unit that had to wait may be several by now, because generations in between are gone.
    fn split(&mut self, at: usize, now: Moment) {
        let unit = self.units[at].clone();
        let retiring: Vec<GenerationId> =
            self.those(&unit.retiring).filter(|g| g.phase == Phase::Serving).map(|g| g.id).collect();
        if retiring == unit.retiring || self.together {
            self.units[at].retiring = retiring;
            return;
        }
        let all: Vec<GenerationId> = retiring.iter().chain(&unit.coming).copied().collect();
        let marks: Vec<Vec<Mark<'_>>> = self.those(&all).map(|g| g.marks().collect()).collect();
        let sets = components(marks.iter().map(|marks| marks.iter().copied()));
        let units = sets.into_iter().map(|set| {
            let (old, new): (Vec<usize>, Vec<usize>) = set.into_iter().partition(|at| *at < retiring.len());
            let ids = |places: Vec<usize>| places.into_iter().map(|at| all[at]).collect();
            Unit::queued(ids(old), ids(new), now)
        });
        let mut units: Vec<Unit> = units.collect();
        if units.is_empty() {
            units.push(Unit::queued(Vec::new(), Vec::new(), now));
        }
        self.units.splice(at..=at, units);
    }

    pub(super) fn begin(&mut self, at: usize, now: Moment, out: &mut Vec<Action>) {
        self.enter(at, UnitState::Starting, Phase::Starting, now);
        if self.units[at].coming.is_empty() {
            self.take_over(at, now, out);
        }
    }

    /// After a reload from a version that kept no addresses.
    pub(crate) fn learn_addresses(&mut self, of: impl Fn(PoolKey) -> Vec<String>) {
        for generation in &mut self.generations {
            for (group, g) in generation.groups.iter_mut().enumerate() {
                let zygote = ZygoteKey { generation: generation.id, group };
                for (at, pool) in g.pools.iter_mut().enumerate().filter(|(_, pool)| pool.addresses.is_empty()) {
                    pool.addresses = of(zygote.of_pool(at));
                }
            }
        }
    }

    /// A generation runs with other files than there are now, or its successor could not start: a reload of what has changed renews it.
    pub(crate) fn forget_fingerprint(&mut self, id: GenerationId) {
        if let Some(generation) = self.generation_mut(id) {
            generation.forget_fingerprint();
        }
    }

    /// The generations with these ids.
    pub(super) fn those<'a>(&'a self, ids: &'a [GenerationId]) -> impl Iterator<Item = &'a Generation> {
        ids.iter().filter_map(|id| self.generation(*id))
    }

    /// Whether `older` stops accepting connections before `id` serves, so that `id` may take its addresses.
    #[must_use]
    pub(crate) fn makes_way(&self, older: GenerationId, id: GenerationId) -> bool {
        let retires = || self.units.iter().any(|unit| unit.coming.contains(&id) && unit.retiring.contains(&older));
        self.generation(older).is_none_or(|g| g.phase == Phase::Draining) || retires()
    }

    /// Generations that drain, or will when those that start to replace them stand.
    pub(super) fn leaving_generations(&self) -> BTreeSet<GenerationId> {
        let draining = self.generations.iter().filter(|g| g.phase == Phase::Draining).map(|g| g.id);
        let starting = self.units.iter().filter(|unit| unit.state == UnitState::Starting);
        draining.chain(starting.flat_map(|unit| unit.retiring.iter().copied())).collect()
    }

    /// Generations that draining ones send kept connections to.
    pub(super) fn successors(&self) -> BTreeSet<GenerationId> {
        self.generations.iter().flat_map(|g| g.successors.iter().copied()).collect()
    }
}

impl Component {
    fn and(mut self, other: Self) -> Self {
        self.old.extend(other.old);
        self.new.extend(other.new);
        self
    }
}

impl Generation {
    /// What it may have in common with others.
    fn marks(&self) -> impl Iterator<Item = Mark<'_>> {
        self.pools().flat_map(|pool| marks(&pool.name, &pool.addresses))
    }
}

impl GroupPlan {
    /// The same of a new group.
    fn marks(&self) -> impl Iterator<Item = Mark<'_>> {
        self.pools.iter().flat_map(|pool| marks(&pool.name, &pool.addresses))
    }
}

fn marks<'a>(name: &'a str, addresses: &'a [String]) -> impl Iterator<Item = Mark<'a>> {
    addresses.iter().map(|address| Mark::Address(address)).chain([Mark::Pool(name)])
}

//! Which generations change together, and which of them leave.

use std::collections::BTreeSet;

use crate::plan::fleet::keys::GenerationId;
use crate::plan::fleet::members::{Generation, Group, GroupPlan, Phase};
use crate::plan::fleet::state::Fleet;
use crate::plan::fleet::unit::{Unit, UnitState};
use crate::sys::clock::Moment;

impl Fleet {
    /// The id of the generation that is added next.
    #[must_use]
    pub(crate) fn next_generation(&self) -> GenerationId {
        GenerationId(self.next_id)
    }

    /// Begins the change to a configuration that was read: a generation for each group. All of them make one unit. Returns their ids, in
    /// the order of the plans.
    pub(crate) fn begin(&mut self, now: Moment, plans: &[GroupPlan]) -> Vec<GenerationId> {
        // A former version has kept no count.
        let number = self.readings.max(self.generations.last().map_or(0, Generation::number)) + 1;
        self.readings = number;
        let retiring = self.generations.iter().filter(|g| g.phase == Phase::Serving).map(|g| g.id).collect();
        let mut coming = Vec::new();
        for plan in plans {
            let id = GenerationId(self.next_id);
            self.next_id += 1;
            self.generations.push(Generation::new(id, number, Group::planned(plan, now), now));
            coming.push(id);
        }
        self.units.push(Unit { retiring, coming: coming.clone(), state: UnitState::Starting, since: now });
        coming
    }

    /// Nothing has served yet.
    pub(super) fn is_first_start(&self) -> bool {
        self.units.iter().any(|unit| unit.retiring.is_empty() && unit.state == UnitState::Starting)
    }

    /// The generations with these ids.
    pub(super) fn those<'a>(&'a self, ids: &'a [GenerationId]) -> impl Iterator<Item = &'a Generation> {
        ids.iter().filter_map(|id| self.generation(*id))
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

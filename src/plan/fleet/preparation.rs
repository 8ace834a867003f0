//! What a group needs before its zygote starts, such as users and sockets: when the supervisor is to prepare it, and what follows.

use crate::plan::fleet::action::Action;
use crate::plan::fleet::keys::{GenerationId, ZygoteKey};
use crate::plan::fleet::members::{Group, Phase, Zygote};
use crate::plan::fleet::state::Fleet;
use crate::plan::pause::pause_after;
use crate::sys::clock::Moment;

impl Fleet {
    /// Generations that nothing is prepared for yet, though their turn may come later.
    #[must_use]
    pub(crate) fn unprepared(&self) -> Vec<GenerationId> {
        let unprepared = |g: &Group| matches!(g.zygote, Zygote::Unprepared(_));
        self.generations.iter().filter(|g| g.groups.iter().any(unprepared)).map(|g| g.id).collect()
    }

    /// The preparation of a group begins before the first event.
    pub(crate) fn preparation_begins(&mut self, key: ZygoteKey) {
        if let Some(group) = self.group_mut(key).filter(|group| group.is_unprepared()) {
            group.zygote = Zygote::Preparing;
        }
    }

    /// The group has all that it needs.
    pub(crate) fn prepared(&mut self, now: Moment, key: ZygoteKey) {
        if let Some(group) = self.group_mut(key).filter(|group| group.is_unprepared()) {
            group.failures = 0;
            group.zygote = if group.may_sleep() { Zygote::Asleep(now) } else { Zygote::Due(now) };
        }
    }

    /// The group lacks something. It is prepared again later, if it is not given up.
    pub(crate) fn prepare_failed(&mut self, now: Moment, key: ZygoteKey) {
        if let Some(group) = self.group_mut(key).filter(|group| group.is_unprepared()) {
            group.failures += 1;
            group.zygote = Zygote::Unprepared(now + pause_after(group.failures + 1));
        }
    }

    /// The preparation was abandoned, and begins again.
    pub(crate) fn prepare_again(&mut self, now: Moment, key: ZygoteKey) {
        if let Some(group) = self.group_mut(key).filter(|group| group.zygote == Zygote::Preparing) {
            group.zygote = Zygote::Unprepared(now);
        }
    }

    pub(super) fn prepare_groups(&mut self, now: Moment, out: &mut Vec<Action>) {
        for generation in self.generations.iter_mut().filter(|g| g.phase == Phase::Starting) {
            for (group, g) in generation.groups.iter_mut().enumerate() {
                if matches!(g.zygote, Zygote::Unprepared(at) if at <= now) {
                    g.zygote = Zygote::Preparing;
                    out.push(Action::Prepare(ZygoteKey { generation: generation.id, group }));
                }
            }
        }
    }

    /// When the next group is to be prepared.
    pub(super) fn preparation_due(&self) -> Option<Moment> {
        let starting = self.generations.iter().filter(|g| g.phase == Phase::Starting).flat_map(|g| &g.groups);
        starting.filter_map(|g| if let Zygote::Unprepared(at) = g.zygote { Some(at) } else { None }).min()
    }

    /// The fleet without what has no resources yet. A reload hands over only this: the next configuration replaces the rest.
    #[must_use]
    pub(crate) fn with_resources(&self) -> Self {
        let mut fleet = self.clone();
        let lacks = |g: &Group| g.is_unprepared();
        let gone: Vec<GenerationId> =
            fleet.generations.iter().filter(|g| g.groups.iter().any(lacks)).map(|g| g.id).collect();
        fleet.generations.retain(|g| !gone.contains(&g.id));
        for unit in &mut fleet.units {
            unit.coming.retain(|id| !gone.contains(id));
        }
        fleet.units.retain(|unit| !unit.coming.is_empty() && unit.is_half_way());
        fleet
    }
}

impl Group {
    /// Nothing is open for it.
    fn is_unprepared(&self) -> bool {
        matches!(self.zygote, Zygote::Unprepared(_) | Zygote::Preparing)
    }
}

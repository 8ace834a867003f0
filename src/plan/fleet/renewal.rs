//! Renewal of a group: new processes, and so new shared memory, replace those that serve. The configuration is not read again, and no
//! reload takes notice.

use std::time::Duration;

use crate::plan::fleet::action::Action;
use crate::plan::fleet::keys::{GenerationId, ZygoteKey};
use crate::plan::fleet::members::{Generation, Group, Phase};
use crate::plan::fleet::state::Fleet;
use crate::plan::fleet::unit::{Unit, UnitState};
use crate::sys::clock::Moment;

/// A group is renewed once in this time at most: workers that crash all the time must not keep the supervisor busy.
const INTERVAL: Duration = Duration::from_secs(30);

/// The answer to a wish for a renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// It begins, unless too many groups start at the moment: then it begins after them.
    Begins,
    /// The latest one was too short a time ago: this one begins after that time.
    Waits(Duration),
    /// A renewal or a reload that replaces the group's processes was asked for already.
    Expected,
    /// The group does not serve yet, or three of its former generations still finish requests.
    Refused,
}

/// Why an operator's wish for a renewal is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotRenewable {
    /// The group does not serve.
    Absent,
    /// Three of its former generations still finish requests.
    Blocked,
}

impl Fleet {
    /// Asks for a new generation with the same configuration in place of one that serves. If that generation is replaced by a reload
    /// before the renewal begins, there is none. If the new one cannot start, the present one serves on.
    pub(crate) fn renew(&mut self, now: Moment, id: GenerationId) -> Renewal {
        let Some(generation) = self.generation(id).filter(|g| g.serves()) else { return Renewal::Refused };
        let (wanted, latest) = (generation.renewal_due.is_some(), generation.renewed);
        if self.retiring(id).any(|unit| !unit.late) {
            return Renewal::Expected;
        }
        if !self.blocking(&[id]).is_empty() {
            return Renewal::Refused;
        }
        if wanted {
            return Renewal::Expected;
        }
        let due = latest.map_or(now, |latest| now.max(latest + INTERVAL));
        if let Some(generation) = self.generation_mut(id) {
            generation.renewal_due = Some(due);
        }
        if due > now { Renewal::Waits(due.since(now)) } else { Renewal::Begins }
    }

    /// The same for an operator, whose wish does not wait for `INTERVAL`. Returns the generation that is to be replaced. Workers of one
    /// that starts may have compiled old code already: that one is replaced, too, when it serves. A renewal or a reload that has not
    /// begun is as good as another one.
    pub(crate) fn renew_at_once(&mut self, now: Moment, id: GenerationId) -> Result<GenerationId, NotRenewable> {
        if !self.generation(id).is_some_and(Generation::serves) {
            return Err(NotRenewable::Absent);
        }
        if !self.blocking(&[id]).is_empty() {
            return Err(NotRenewable::Blocked);
        }
        let newest = self.starting_successor(id).unwrap_or(id);
        let replaced = self.retiring(newest).any(|unit| unit.state == UnitState::Queued && !unit.late);
        if !replaced && let Some(generation) = self.generation_mut(newest) {
            generation.renewal_due = Some(now);
        }
        Ok(newest)
    }

    /// The generation with the same group that starts to replace that one.
    fn starting_successor(&self, id: GenerationId) -> Option<GenerationId> {
        let groups = &self.generation(id)?.groups;
        let unit = self.retiring(id).find(|unit| unit.state == UnitState::Starting)?;
        let same = |g: &&Generation| g.groups.iter().any(|new| groups.iter().any(|old| old.name == new.name));
        self.those(&unit.coming).find(same).map(|g| g.id)
    }

    /// Whether a generation starts and does not serve yet.
    pub(crate) fn is_coming(&self, id: GenerationId) -> bool {
        self.units.iter().any(|unit| unit.state == UnitState::Starting && unit.coming.contains(&id))
    }

    /// Whether a generation that serves is to be replaced by another one.
    pub(crate) fn is_being_renewed(&self, id: GenerationId) -> bool {
        let due = self.generation(id).is_some_and(|g| g.renewal_due.is_some());
        due || self.retiring(id).any(|unit| !unit.late)
    }

    /// The units that are to replace that generation.
    fn retiring(&self, id: GenerationId) -> impl Iterator<Item = &Unit> {
        self.units.iter().filter(move |unit| unit.retiring.contains(&id) && unit.state != UnitState::Ended)
    }

    /// Begins renewals that are due, after the units that wait for their turn.
    pub(super) fn begin_renewals(&mut self, now: Moment, out: &mut Vec<Action>) {
        let due = |g: &&Generation| g.phase == Phase::Serving && g.renewal_due.is_some_and(|due| due <= now);
        let due: Vec<GenerationId> = self.generations.iter().filter(due).map(|g| g.id).collect();
        for id in due {
            let replaced = self.retiring(id).next().is_some();
            if !replaced && self.leaves_room(&[id], self.busy_units(now)) && self.blocking(&[id]).is_empty() {
                self.begin_renewal(id, now, out);
            }
        }
    }

    fn begin_renewal(&mut self, id: GenerationId, now: Moment, out: &mut Vec<Action>) {
        let Some(old) = self.generation_mut(id) else { return };
        (old.renewed, old.renewal_due) = (Some(now), None);
        let (number, forked) = (old.number(), old.forked);
        let groups: Vec<Group> = old.groups.iter().map(|group| Group::planned(&group.plan(), now)).collect();
        let mut coming = Vec::new();
        for group in groups {
            let id = self.add_generation(number, group, now);
            coming.push(id);
            if let Some(new) = self.generation_mut(id) {
                (new.renewed, new.forked) = (Some(now), forked);
            }
        }
        self.units.push(Unit { renewal: true, ..Unit::queued(vec![id], coming, now) });
        self.begin(self.units.len() - 1, now, out);
    }

    /// The group that a zygote's group is the renewal of. `None`: it is of a reload, or of the start.
    #[must_use]
    pub(crate) fn renewed_by(&self, key: ZygoteKey) -> Option<ZygoteKey> {
        let name = &self.generation(key.generation)?.groups.get(key.group)?.name;
        let renewal = self.units.iter().find(|unit| unit.renewal && unit.coming.contains(&key.generation))?;
        let mut retiring = self.those(&renewal.retiring);
        retiring.find_map(|old| {
            let group = old.groups.iter().position(|group| group.name == *name)?;
            Some(ZygoteKey { generation: old.id, group })
        })
    }

    /// When the next one is due.
    pub(super) fn renewal_due(&self, now: Moment) -> Option<Moment> {
        let serving = self.generations.iter().filter(|g| g.phase == Phase::Serving);
        serving.filter_map(|g| g.renewal_due).filter(|due| *due > now).min()
    }
}

//! How a reload, or the start, has gone: each is reported once, when all groups have changed or could not, or when the next one begins.

use std::time::Duration;

use crate::plan::fleet::action::Action;
use crate::plan::fleet::goal::Goal;
use crate::plan::fleet::keys::GenerationId;
use crate::plan::fleet::members::{Generation, Zygote};
use crate::plan::fleet::state::Fleet;
use crate::plan::fleet::unit::{Failure, Unit, UnitState, Verdict};
use crate::plan::reload::Readiness;
use crate::sys::clock::Moment;

/// After this time a unit that starts no longer keeps others waiting, and a reload of which a part has taken effect no longer keeps
/// the next one waiting.
const SLOW: Duration = Duration::from_secs(2);
/// The same for a unit whose groups are still being prepared: they wait for a directory or a program, and start no PHP.
const BRIEF: Duration = Duration::from_millis(300);

/// One of so many generations may start by a fork at the same time, where that is more than `fork_parallel`.
const FORKED_SHARE: usize = 16;
/// At most so many times `fork_parallel`.
const FORKED_MOST: usize = 3;

impl Fleet {
    /// Reports how a reload has gone, once no unit of it is on its way.
    pub(super) fn judge(&mut self, out: &mut Vec<Action>) {
        let Some(verdict) = self.verdict else { return };
        let mut open = self.units.iter().filter(|unit| unit.is_open());
        // Groups that are late are reported as such, if anything has changed; otherwise the reload waits with them.
        if open.any(|unit| !unit.late || verdict.done == 0) {
            return;
        }
        self.verdict = None;
        out.push(match verdict {
            Verdict { done: 0, failed: 1.., .. } if self.started => Action::Refused,
            Verdict { done: 0, failed: 1.., .. } => Action::StartFailed,
            _ => Action::Ready,
        });
    }

    /// Some group changes, or is to.
    #[must_use]
    pub(crate) fn is_changing(&self) -> bool {
        self.units.iter().any(Unit::is_open)
    }

    /// The latest reload has begun a new generation of that group.
    #[must_use]
    pub(crate) fn is_renewed(&self, group: &str) -> bool {
        let newest = |g: &Generation| g.number() == self.readings && g.groups.iter().any(|one| one.name == group);
        self.generations.iter().any(newest)
    }

    /// The latest reload replaces or ends that generation.
    #[must_use]
    pub(crate) fn is_retired(&self, id: GenerationId) -> bool {
        let newest = |unit: &&Unit| self.those(&unit.coming).all(|g| g.number() == self.readings);
        self.units.iter().filter(newest).any(|unit| unit.retiring.contains(&id))
    }

    /// The present reload, or the start, is still to be reported.
    #[must_use]
    pub(crate) fn is_unreported(&self) -> bool {
        self.verdict.is_some()
    }

    /// The next reload begins: reports the one before, if that is still to be done.
    #[must_use]
    pub(crate) fn conclude(&mut self) -> Vec<Action> {
        self.verdict.take().map(|_| Action::Ready).into_iter().collect()
    }

    /// The unit can't start because that generation can't.
    pub(super) fn report_failure(&mut self, at: usize, because: GenerationId, failure: Failure, out: &mut Vec<Action>) {
        let Unit { coming, retiring, renewal, .. } = &self.units[at];
        if *renewal {
            out.push(Action::NotRenewed(because, failure));
            return;
        }
        out.extend(self.those(coming).map(|g| {
            let kept = self.those(retiring).find(|old| old.shares_a_pool_with(g)).map(|old| old.id);
            Action::GivenUp { id: g.id, because, failure, kept }
        }));
        let comes = |name: &String| self.those(coming).any(|g| g.groups.iter().any(|group| group.name == *name));
        let left = self.those(retiring).filter(|old| !old.groups.iter().all(|group| comes(&group.name)));
        out.extend(left.map(|old| Action::NotReplaced { id: old.id, because }));
        self.count(at, |verdict| &mut verdict.failed);
    }

    /// The coming generations of the unit serve.
    pub(super) fn report_service(&mut self, at: usize, out: &mut Vec<Action>) {
        let unit = &self.units[at];
        if unit.renewal {
            out.extend(unit.coming.iter().map(|id| Action::Renewed(*id)));
            return;
        }
        // A reload that was reported already has this one as late or failed.
        let late = self.verdict.is_none() || self.units[at].failed;
        if !self.units[at].failed {
            self.count(at, |verdict| &mut verdict.done);
        } else if let Some(verdict) = &mut self.verdict {
            verdict.done += 1;
        }
        out.extend(self.units[at].coming.iter().map(|id| Action::Serves { id: *id, late }));
    }

    /// Counts the groups of a unit in the present verdict; one that only ends groups counts once.
    pub(super) fn count(&mut self, at: usize, part: impl FnOnce(&mut Verdict) -> &mut usize) {
        let groups = self.units[at].coming.len().max(1);
        if let Some(verdict) = &mut self.verdict {
            *part(verdict) += groups;
        }
    }

    /// Whether a reload may begin: no stop is under way, and the former reload is reported. One that a group holds up is waited for
    /// only a short time, if it has had an effect on others, or if it can have none before draining generations end.
    #[must_use]
    pub(crate) fn readiness(&self, now: Moment) -> Readiness {
        let mut open = self.units.iter().filter(|unit| unit.is_open()).peekable();
        let is_held_up = open.peek().is_some() && open.all(|unit| unit.late);
        let waits = |verdict: Verdict| (verdict.done == 0 && !is_held_up) || now.since(verdict.since) < SLOW;
        if self.goal == Goal::Serve && self.leaving.is_none() && !self.verdict.is_some_and(waits) {
            Readiness::Ready
        } else {
            Readiness::Busy
        }
    }

    /// How many units count in `process.start_parallel`.
    pub(super) fn busy_units(&self, now: Moment) -> usize {
        let prepares = |g: &Generation| g.groups.iter().all(|g| g.zygote == Zygote::Preparing);
        let hangs = |unit: &Unit| unit.state == UnitState::Starting && self.those(&unit.coming).all(prepares);
        let busy = self.units.iter().filter(|unit| unit.keeps_others_waiting(now));
        busy.filter(|unit| now.since(unit.since) < BRIEF || !hangs(unit)).count()
    }

    /// Whether another one with these coming generations may begin besides so many.
    pub(super) fn leaves_room(&self, coming: &[GenerationId], busy: usize) -> bool {
        let forked = self.those(coming).all(|g| g.forked);
        let most = if forked { self.most_forked() } else { self.start_parallel };
        self.start_parallel == 0 || busy < most
    }

    /// How many units may change at the same time if their zygotes are forked. Where there are many groups, more may: each waits for
    /// others most of the time, and the memory that former and new processes take together stays small beside that of all.
    fn most_forked(&self) -> usize {
        if self.fork_parallel <= self.start_parallel {
            return self.start_parallel;
        }
        (self.generations.len() / FORKED_SHARE).clamp(self.fork_parallel, FORKED_MOST * self.fork_parallel)
    }

    /// Whether the zygotes of a generation are forked from a base zygote.
    pub(crate) fn note_forked(&mut self, id: GenerationId, forked: bool) {
        if let Some(generation) = self.generation_mut(id) {
            generation.forked = forked;
        }
    }

    /// When another unit, or another reload, may begin because time has passed.
    pub(super) fn slow_since(&self, now: Moment) -> Option<Moment> {
        let units = self.units.iter().filter(|unit| unit.state == UnitState::Starting).map(|unit| unit.since);
        let brief = units.clone().map(|since| since + BRIEF);
        let ends = units.chain(self.verdict.map(|verdict| verdict.since)).map(|since| since + SLOW).chain(brief);
        ends.filter(|end| *end > now).min()
    }
}

impl Unit {
    /// It counts among those that change at the same time.
    pub(super) fn keeps_others_waiting(&self, now: Moment) -> bool {
        let starts = self.state == UnitState::Starting && !self.failed && now.since(self.since) < SLOW;
        starts || self.state == UnitState::Settling
    }
}

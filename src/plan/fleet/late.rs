//! Groups that cannot change yet, because too many of their former generations still finish requests, and the time that those get.

use std::collections::BTreeSet;

use crate::plan::fleet::action::Action;
use crate::plan::fleet::escalation::{Escalation, Step};
use crate::plan::fleet::keys::GenerationId;
use crate::plan::fleet::members::{Generation, Phase};
use crate::plan::fleet::state::Fleet;
use crate::sys::clock::Moment;

/// Generations of a pool that may drain at the same time.
const MOST_DRAINING: usize = 3;

impl Fleet {
    /// Whether a unit whose turn has come must wait, because a pool of it has too many draining generations. Notes that.
    pub(super) fn must_wait(&mut self, at: usize, now: Moment, out: &mut Vec<Action>) -> bool {
        let blocking = self.blocking(&self.units[at].retiring);
        let late = !blocking.is_empty();
        if late && !self.units[at].late {
            out.extend(self.units[at].coming.iter().map(|id| Action::Late(*id)));
        }
        self.units[at].late = late;
        for id in blocking {
            if let Some(generation) = self.generation_mut(id) {
                generation.blocking_since.get_or_insert(now);
            }
        }
        late
    }

    /// The generations that must end before these may be replaced: of each pool that has too many draining ones, the oldest.
    pub(super) fn blocking(&self, retiring: &[GenerationId]) -> BTreeSet<GenerationId> {
        let draining = |name: &str| {
            let mut all = self.generations.iter().filter(|g| g.phase == Phase::Draining && g.has_pool(name));
            let oldest = all.next().map(|g| g.id);
            oldest.filter(|_| all.count() + 1 >= MOST_DRAINING)
        };
        let pools = self.those(retiring).filter(|g| g.phase == Phase::Serving).flat_map(Generation::pools);
        pools.filter_map(|pool| draining(&pool.name)).collect()
    }

    /// Ends the requests of generations that others have waited for too long.
    pub(super) fn end_patience(&mut self, now: Moment, out: &mut Vec<Action>) {
        let patience = self.drain_patience;
        for generation in self.generations.iter_mut().filter(|g| g.is_patient()) {
            if !patience.is_zero() && generation.blocking_since.is_some_and(|since| now.since(since) >= patience) {
                generation.steps = Some(Escalation::immediate(now));
                out.push(Action::PatienceOver(generation.id));
            }
        }
    }

    /// When that is due next.
    pub(super) fn patience_ends(&self) -> Option<Moment> {
        let patience = self.drain_patience;
        let since = self.generations.iter().filter(|g| g.is_patient()).filter_map(|g| g.blocking_since).min()?;
        (!patience.is_zero()).then(|| since + patience)
    }

    /// Draining generations pass connections on to the newest that serve their pools, so that no generation in between has to stay.
    pub(super) fn relink(&mut self, retiring: &[GenerationId], coming: &[GenerationId], out: &mut Vec<Action>) {
        let drained = self.generations.iter().filter(|g| {
            g.phase == Phase::Draining
                && g.successors.iter().any(|id| retiring.contains(id))
                && !retiring.contains(&g.id)
        });
        let next = |g: &Generation| {
            let kept = g.successors.iter().copied().filter(|id| !retiring.contains(id));
            let new = self.those(coming).filter(|c| c.shares_a_pool_with(g)).map(|c| c.id);
            (g.id, kept.chain(new).collect::<Vec<_>>())
        };
        let changes: Vec<_> = drained.map(next).collect();
        for (id, successors) in changes {
            if let Some(generation) = self.generation_mut(id) {
                generation.successors = successors;
                out.push(Action::Relink(id));
            }
        }
    }
}

impl Generation {
    /// It drains, and no step against its workers has been taken.
    fn is_patient(&self) -> bool {
        self.phase == Phase::Draining && self.steps.is_none_or(|next| next.step == Step::Term)
    }
}

//! One generation follows another: it starts, settles, serves and drains, or is given up because it
//! can't start.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::plan::fleet::action::Action;
use crate::plan::fleet::escalation::Escalation;
use crate::plan::fleet::goal::Goal;
use crate::plan::fleet::keys::{GenerationId, ZygoteKey};
use crate::plan::fleet::members::{Generation, Phase, Zygote};
use crate::plan::fleet::pool::{Life, PoolState, Worker};
use crate::plan::fleet::state::Fleet;
use crate::plan::fleet::stop::START_LIMIT;
use crate::plan::fleet::unit::{Failure, Unit, UnitState};
use crate::plan::fleet::view::View;
use crate::plan::scaling::Policy;
use crate::sys::clock::Moment;

/// A unit is complete when no worker of its retiring generations accepts requests any more, or after this time.
const SETTLE_LIMIT: Duration = Duration::from_secs(1);
/// After so many workers in a row that die before they serve, or that cannot be forked while there is none, the generation counts as
/// one that can't start.
const EARLY_DEATHS: u32 = 3;

impl Fleet {
    /// Takes units on as far as they have come.
    pub(super) fn succeed(&mut self, now: Moment, view: &dyn View, out: &mut Vec<Action>) {
        loop {
            self.take_on(now, view, out);
            self.begin_units(now, out);
            self.begin_renewals(now, out);
            // Groups that sleep are complete when their unit begins: no event would follow.
            let is_done = |at: usize| self.units[at].state == UnitState::Starting && self.is_complete(at);
            if !(0..self.units.len()).any(is_done) {
                break;
            }
        }
        self.judge(out);
    }

    fn take_on(&mut self, now: Moment, view: &dyn View, out: &mut Vec<Action>) {
        for at in 0..self.units.len() {
            match self.units[at].state {
                UnitState::Starting => {
                    self.wake_successors(at, now);
                    self.follow_start(at, now, out);
                }
                UnitState::Unwanted => self.give_up(at, now, out),
                _ => {}
            }
            let unit = &self.units[at];
            if unit.state == UnitState::Settling && (now.since(unit.since) >= SETTLE_LIMIT || self.is_quiet(at, view)) {
                self.settle(at, now, out);
            }
        }
        self.units.retain(|unit| unit.state != UnitState::Ended);
    }

    fn follow_start(&mut self, at: usize, now: Moment, out: &mut Vec<Action>) {
        let has_fallback = !self.units[at].retiring.is_empty();
        match self.failure(at, now) {
            Some((id, failure)) if has_fallback => {
                self.report_failure(at, id, failure, out);
                self.give_up(at, now, out);
            }
            _ if self.is_complete(at) => self.take_over(at, now, out),
            Some((id, failure)) if !self.units[at].failed && failure != Failure::Time => {
                self.units[at].failed = true;
                self.count(at, |verdict| &mut verdict.failed);
                out.push(Action::NotStarted(id, failure));
            }
            _ => {}
        }
    }

    /// The retiring generations are quiet, or have had their time: the unit is complete.
    fn settle(&mut self, at: usize, now: Moment, out: &mut Vec<Action>) {
        self.enter(at, UnitState::Ended, Phase::Serving, now);
        self.started = true;
        self.report_service(at, out);
        out.extend(self.units[at].retiring.iter().map(|id| Action::Replaced(*id)));
    }

    /// The unit and its coming generations enter that phase.
    pub(super) fn enter(&mut self, at: usize, state: UnitState, phase: Phase, now: Moment) {
        let unit = &mut self.units[at];
        (unit.state, unit.since) = (state, now);
        for id in unit.coming.clone() {
            if let Some(generation) = self.generation_mut(id) {
                (generation.phase, generation.since) = (phase, now);
            }
        }
    }

    /// All zygotes that it needs are up, and each pool has the workers that it starts with, as far as it may have them by now.
    fn is_complete(&self, at: usize) -> bool {
        self.those(&self.units[at].coming).all(|generation| self.is_up(generation))
    }

    fn is_up(&self, generation: &Generation) -> bool {
        let up = generation.groups.iter().all(|g| matches!(g.zygote, Zygote::Up(_) | Zygote::Asleep(_)));
        let complete = |p: &PoolState| p.accepting() >= p.opening().min(self.pool_allowance(generation.id, p));
        let limited = |p: &PoolState| (self.is_full() || p.cannot_fork_more()) && p.accepting() == p.staying();
        up && generation.pools().all(|p| complete(p) || limited(p))
    }

    /// The generation of the unit that can't start, and why.
    fn failure(&self, at: usize, now: Moment) -> Option<(GenerationId, Failure)> {
        let unit = &self.units[at];
        let late = now.since(unit.since) >= START_LIMIT;
        let coming = self.those(&unit.coming);
        let mut failures = coming.filter_map(|g| {
            let zygote = g.groups.iter().any(|g| g.failures > 0).then_some(Failure::Zygote);
            let workers = || g.pools().any(PoolState::has_early_deaths).then_some(Failure::Workers);
            let slow = || (late && !self.is_up(g)).then_some(Failure::Time);
            Some((g.id, zygote.or_else(workers).or_else(slow)?))
        });
        failures.next()
    }

    pub(super) fn take_over(&mut self, at: usize, now: Moment, out: &mut Vec<Action>) {
        self.inherit_sizes(at);
        self.enter(at, UnitState::Settling, Phase::Settling, now);
        let Unit { retiring, coming, .. } = self.units[at].clone();
        for id in &retiring {
            self.drain(*id, &coming, now);
            out.push(Action::Drain(*id));
        }
        self.relink(&retiring, &coming, out);
        // Before `Replaced`, which closes sockets that are no longer named.
        self.watch_sleepers(now, out);
    }

    /// A generation drains; its kept connections go to those of `next` that have its pools.
    fn drain(&mut self, id: GenerationId, next: &[GenerationId], now: Moment) {
        let Some(generation) = self.generation(id) else { return };
        let successors = self.those(next).filter(|g| g.shares_a_pool_with(generation)).map(|g| g.id).collect();
        let control_timeout = self.control_timeout;
        if let Some(generation) = self.generation_mut(id) {
            generation.drain(now, successors, control_timeout);
        }
    }

    /// Dynamic pools grow to the size that they had in the former generation, as its workers leave; then the load decides.
    fn inherit_sizes(&mut self, at: usize) {
        let Unit { retiring, coming, .. } = self.units[at].clone();
        let sizes: BTreeMap<String, u32> =
            self.those(&retiring).flat_map(Generation::pools).map(|p| (p.name.clone(), p.target())).collect();
        for id in coming {
            let Some(generation) = self.generation_mut(id) else { continue };
            for pool in generation.groups.iter_mut().flat_map(|g| &mut g.pools) {
                if let (Policy::Dynamic(_), Some(size)) = (pool.policy, sizes.get(&pool.name)) {
                    pool.wanted = pool.wanted.max(*size);
                }
            }
        }
    }

    /// The coming generations drain back into the retiring ones, which serve on.
    fn give_up(&mut self, at: usize, now: Moment, out: &mut Vec<Action>) {
        self.units[at].state = UnitState::Ended;
        let Unit { retiring, coming, .. } = self.units[at].clone();
        for id in coming {
            self.drain(id, &retiring, now);
            out.push(Action::Drain(id));
            let Some(generation) = self.generation_mut(id) else { continue };
            generation.given_up = true;
            for (group, g) in generation.groups.iter_mut().enumerate() {
                match g.zygote {
                    Zygote::Starting(_) => {
                        g.zygote = Zygote::Dismissed(now);
                        out.push(Action::KillZygote(ZygoteKey { generation: id, group }));
                    }
                    Zygote::Unprepared(_) | Zygote::Preparing | Zygote::Due(_) | Zygote::Asleep(_) => {
                        g.zygote = Zygote::Gone
                    }
                    _ => {}
                }
            }
        }
    }

    /// No worker of the retiring generations accepts a further request: each has said so, or is inside its last one.
    fn is_quiet(&self, at: usize, view: &dyn View) -> bool {
        self.those(&self.units[at].retiring).all(|generation| {
            // A worker that is busy takes a client of such a socket next.
            let busy_is_quiet = !view.has_replaced_sockets(generation.id);
            let is_quiet = |w: &Worker, key| w.life == Life::Leaving || w.orphan || busy_is_quiet && view.is_busy(key);
            generation.workers().into_iter().all(|(key, worker)| is_quiet(worker, key))
        })
    }

    /// A zygote without workers leaves, but not while an older generation still sends its kept connections there.
    pub(super) fn dismiss_idle_zygotes(&mut self, now: Moment, out: &mut Vec<Action>) {
        let needed = self.successors();
        let stopping = self.goal != Goal::Serve;
        for generation in &mut self.generations {
            if generation.phase != Phase::Draining || (needed.contains(&generation.id) && !stopping) {
                continue;
            }
            for (group, g) in generation.groups.iter_mut().enumerate() {
                if matches!(g.zygote, Zygote::Up(_)) && g.pools.iter().all(PoolState::is_childless) {
                    g.zygote = Zygote::Dismissed(now);
                    out.push(Action::Dismiss(ZygoteKey { generation: generation.id, group }));
                }
            }
        }
    }

    pub(super) fn forget_empty(&mut self, out: &mut Vec<Action>) {
        let empty = |g: &Generation| {
            g.phase == Phase::Draining
                && g.groups.iter().all(|g| g.zygote == Zygote::Gone)
                && g.pools().all(|p| p.workers.is_empty())
        };
        for gone in self.generations.iter().filter(|g| empty(g)) {
            out.push(Action::Forget(gone.id));
        }
        let before = self.generations.len();
        self.generations.retain(|g| !empty(g));
        if self.generations.is_empty() && before > 0 {
            out.push(Action::AllGone);
        }
    }
}

impl Generation {
    pub(super) fn drain(&mut self, now: Moment, successors: Vec<GenerationId>, control_timeout: Duration) {
        self.phase = Phase::Draining;
        self.since = now;
        self.successors = successors;
        self.steps = Escalation::gentle(now, control_timeout);
    }
}

impl PoolState {
    fn has_early_deaths(&self) -> bool {
        self.failures >= EARLY_DEATHS || (self.unforked >= EARLY_DEATHS && self.staying() == 0)
    }

    /// It has workers, and the system refuses more.
    fn cannot_fork_more(&self) -> bool {
        self.unforked > 0 && self.staying() > 0
    }
}

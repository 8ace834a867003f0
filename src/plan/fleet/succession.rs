//! One generation follows another: it starts, settles, serves and drains, or is given up because it can't start.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::plan::crashes::{Crashes, Loop};
use crate::plan::fleet::action::Action;
use crate::plan::fleet::escalation::Escalation;
use crate::plan::fleet::goal::Goal;
use crate::plan::fleet::keys::{GenerationId, ZygoteKey};
use crate::plan::fleet::members::{Generation, Group, GroupPlan, Life, Phase, PoolPlan, PoolState, Zygote};
use crate::plan::fleet::state::Fleet;
use crate::plan::fleet::stop::START_LIMIT;
use crate::plan::fleet::unit::{Unit, UnitState};
use crate::plan::fleet::view::View;
use crate::plan::scaling::{Policy, Scaling};
use crate::sys::clock::Moment;

/// A reload is reported as complete when no worker of an older generation accepts requests any more, or after this time.
const SETTLE_LIMIT: Duration = Duration::from_secs(1);
/// After so many workers in a row that die before they serve, or that cannot be forked while there is none, the new generation is
/// given up, or the first start has failed.
const EARLY_DEATHS: u32 = 3;

impl Fleet {
    /// Takes units on as far as they have come.
    pub(super) fn succeed(&mut self, now: Moment, view: &dyn View, out: &mut Vec<Action>) {
        for at in 0..self.units.len() {
            if self.units[at].state == UnitState::Starting {
                self.wake_successors(at, now);
                self.follow_start(at, now, out);
            }
            let unit = &self.units[at];
            if unit.state == UnitState::Settling
                && (now.since(unit.since) >= SETTLE_LIMIT || self.older_are_quiet(view))
            {
                self.enter(at, UnitState::Ended, Phase::Serving, now);
                out.push(Action::Ready);
            }
        }
        self.units.retain(|unit| unit.state != UnitState::Ended);
    }

    fn follow_start(&mut self, at: usize, now: Moment, out: &mut Vec<Action>) {
        let (first, early) = (self.units[at].retiring.is_empty(), self.has_early_deaths(at));
        if first && early {
            out.push(Action::StartFailed);
        } else if !first && (early || self.has_failed(at, now)) {
            self.abandon(at, now, out);
        } else if self.is_complete(at) {
            self.take_over(at, now, out);
        }
    }

    /// The unit and its coming generations enter that phase.
    fn enter(&mut self, at: usize, state: UnitState, phase: Phase, now: Moment) {
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
        self.those(&self.units[at].coming).all(|generation| {
            let up = generation.groups.iter().all(|g| matches!(g.zygote, Zygote::Up(_) | Zygote::Asleep(_)));
            let complete = |p: &PoolState| p.accepting() >= p.opening().min(self.pool_allowance(generation.id, p));
            let limited = |p: &PoolState| (self.is_full() || p.cannot_fork_more()) && p.accepting() == p.staying();
            up && generation.pools().all(|p| complete(p) || limited(p))
        })
    }

    fn has_failed(&self, at: usize, now: Moment) -> bool {
        let unit = &self.units[at];
        let failed = self.those(&unit.coming).flat_map(|g| &g.groups).any(|g| g.failures > 0);
        failed || now.since(unit.since) >= START_LIMIT
    }

    fn has_early_deaths(&self, at: usize) -> bool {
        self.those(&self.units[at].coming).flat_map(Generation::pools).any(PoolState::has_early_deaths)
    }

    fn take_over(&mut self, at: usize, now: Moment, out: &mut Vec<Action>) {
        self.inherit_sizes(at);
        self.enter(at, UnitState::Settling, Phase::Settling, now);
        let Unit { retiring, coming, .. } = self.units[at].clone();
        for id in retiring {
            self.drain(id, &coming, now);
            out.push(Action::Drain(id));
        }
        // Before `Ready`, which closes sockets that are no longer named.
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
    fn abandon(&mut self, at: usize, now: Moment, out: &mut Vec<Action>) {
        self.units[at].state = UnitState::Ended;
        let Unit { retiring, coming, .. } = self.units[at].clone();
        out.extend(coming.first().map(|id| Action::Abandoned(*id)));
        for id in coming {
            self.drain(id, &retiring, now);
            out.push(Action::Drain(id));
            let Some(generation) = self.generation_mut(id) else { continue };
            for (group, g) in generation.groups.iter_mut().enumerate() {
                match g.zygote {
                    Zygote::Starting(_) => {
                        g.zygote = Zygote::Dismissed(now);
                        out.push(Action::KillZygote(ZygoteKey { generation: id, group }));
                    }
                    Zygote::Due(_) | Zygote::Asleep(_) => g.zygote = Zygote::Gone,
                    _ => {}
                }
            }
        }
    }

    /// No worker of a draining generation accepts a further request: each has said so, or is inside its last one.
    fn older_are_quiet(&self, view: &dyn View) -> bool {
        let draining = self.generations.iter().filter(|g| g.phase == Phase::Draining);
        draining.flat_map(Generation::workers).all(|(key, w)| w.life == Life::Leaving || w.orphan || view.is_busy(key))
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

impl Group {
    pub(super) fn planned(plan: &GroupPlan, now: Moment) -> Self {
        let pool = |plan: &PoolPlan| {
            let mut pool = PoolState {
                name: plan.name.clone(),
                size: plan.size,
                policy: plan.policy,
                wanted: 0,
                scaling: Scaling::default(),
                limits: plan.limits,
                crash_loop: Loop::default(),
                owed: 0,
                workers: BTreeMap::new(),
                failures: 0,
                unforked: 0,
                not_before: Moment::default(),
            };
            pool.wanted = pool.opening();
            pool
        };
        let pools = plan.pools.iter().map(pool).collect();
        let mut group = Self {
            name: plan.name.clone(),
            zygote: Zygote::Due(now),
            pools,
            failures: 0,
            crashes: Crashes::default(),
            idle_limit: plan.idle_limit,
            idle_since: None,
            watched: false,
        };
        if group.may_sleep() {
            group.zygote = Zygote::Asleep(now);
        }
        group
    }
}

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
use crate::plan::fleet::view::View;
use crate::plan::scaling::{Policy, Scaling};
use crate::sys::clock::Moment;

/// A reload is reported as complete when no worker of an older generation accepts requests any more, or after this time.
const SETTLE_LIMIT: Duration = Duration::from_secs(1);
/// After so many workers in a row that die before they serve, the new generation is given up, or the first start has failed.
const EARLY_DEATHS: u32 = 3;

impl Fleet {
    /// The id of the generation that is added next.
    #[must_use]
    pub(crate) fn next_generation(&self) -> GenerationId {
        GenerationId(self.next_id)
    }

    /// Adds a generation that is to follow the one that serves.
    pub(crate) fn begin_generation(&mut self, now: Moment, plans: &[GroupPlan]) -> GenerationId {
        let id = GenerationId(self.next_id);
        self.next_id += 1;
        let groups = plans.iter().map(|plan| Group::planned(plan, now)).collect();
        self.generations.push(Generation {
            id,
            phase: Phase::Starting,
            groups,
            since: now,
            successor: None,
            steps: None,
        });
        id
    }

    pub(super) fn succeed(&mut self, now: Moment, view: &dyn View, out: &mut Vec<Action>) {
        let Some(index) = self.generations.iter().rposition(|g| matches!(g.phase, Phase::Starting | Phase::Settling))
        else {
            return;
        };
        if self.generations[index].phase == Phase::Starting {
            self.wake_successors(index, now);
        }
        match self.generations[index].phase {
            Phase::Starting if index == 0 && self.has_early_deaths(index) => out.push(Action::StartFailed),
            Phase::Starting if self.has_failed(index, now) => self.abandon(index, now, out),
            Phase::Starting if self.is_complete(index) => self.settle(index, now, out),
            _ => {}
        }
        let generation = &self.generations[index];
        if generation.phase == Phase::Settling
            && (now.since(generation.since) >= SETTLE_LIMIT || self.older_are_quiet(view))
        {
            self.generations[index].phase = Phase::Serving;
            out.push(Action::Ready(self.generations[index].id));
        }
    }

    /// All zygotes that it needs are up, and each pool has the workers that it starts with, as far as it may have them by now.
    fn is_complete(&self, index: usize) -> bool {
        let generation = &self.generations[index];
        let up = generation.groups.iter().all(|g| matches!(g.zygote, Zygote::Up(_) | Zygote::Asleep(_)));
        let complete = |p: &PoolState| p.accepting() >= p.opening().min(self.pool_allowance(index, p));
        let limited = |p: &PoolState| self.is_full() && p.accepting() == p.staying();
        up && generation.pools().all(|p| complete(p) || limited(p))
    }

    fn has_failed(&self, index: usize, now: Moment) -> bool {
        let generation = &self.generations[index];
        let has_fallback = self.generations[..index].iter().any(|g| g.phase == Phase::Serving);
        let failed = generation.groups.iter().any(|g| g.failures > 0) || self.has_early_deaths(index);
        has_fallback && (failed || now.since(generation.since) >= START_LIMIT)
    }

    fn has_early_deaths(&self, index: usize) -> bool {
        self.generations[index].pools().any(|p| p.failures >= EARLY_DEATHS)
    }

    fn settle(&mut self, index: usize, now: Moment, out: &mut Vec<Action>) {
        let id = self.generations[index].id;
        self.inherit_sizes(index);
        self.generations[index].phase = Phase::Settling;
        self.generations[index].since = now;
        for older in &mut self.generations[..index] {
            if older.phase != Phase::Draining {
                older.drain(now, Some(id), self.control_timeout);
                out.push(Action::Drain(older.id));
            }
        }
        // Before `Ready`, which closes sockets that are no longer named.
        self.watch_sleepers(now, out);
    }

    /// Dynamic pools grow to the size that they had in the former generation, as its workers leave; then the load decides.
    fn inherit_sizes(&mut self, index: usize) {
        let (older, newer) = self.generations.split_at_mut(index);
        let older = older.iter().filter(|g| g.phase != Phase::Draining);
        let sizes: Vec<(&str, u32)> =
            older.flat_map(Generation::pools).map(|p| (p.name.as_str(), p.target())).collect();
        for pool in newer.iter_mut().take(1).flat_map(|g| &mut g.groups).flat_map(|g| &mut g.pools) {
            if let (Policy::Dynamic(_), Some((_, size))) = (pool.policy, sizes.iter().find(|(n, _)| *n == pool.name)) {
                pool.wanted = pool.wanted.max(*size);
            }
        }
    }

    fn abandon(&mut self, index: usize, now: Moment, out: &mut Vec<Action>) {
        let fallback = self.generations[..index].iter().rev().find(|g| g.phase == Phase::Serving).map(|g| g.id);
        let generation = &mut self.generations[index];
        generation.drain(now, fallback, self.control_timeout);
        let id = generation.id;
        out.push(Action::Abandoned(id));
        out.push(Action::Drain(id));
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

    /// No worker of a draining generation accepts a further request: each has said so, or is inside its last one.
    fn older_are_quiet(&self, view: &dyn View) -> bool {
        let draining = self.generations.iter().filter(|g| g.phase == Phase::Draining);
        draining.flat_map(Generation::workers).all(|(key, w)| w.life == Life::Leaving || w.orphan || view.is_busy(key))
    }

    /// A zygote without workers leaves, but not while an older generation still sends its kept connections there.
    pub(super) fn dismiss_idle_zygotes(&mut self, now: Moment, out: &mut Vec<Action>) {
        let needed: Vec<GenerationId> = self.generations.iter().filter_map(|g| g.successor).collect();
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
    pub(super) fn drain(&mut self, now: Moment, successor: Option<GenerationId>, control_timeout: Duration) {
        self.phase = Phase::Draining;
        self.since = now;
        self.successor = successor;
        self.steps = Escalation::gentle(now, control_timeout);
    }
}

impl Group {
    fn planned(plan: &GroupPlan, now: Moment) -> Self {
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

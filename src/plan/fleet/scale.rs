//! Pools that follow the load: once a second, and when connections wait in between.

use std::time::Duration;

use crate::plan::fleet::action::{Action, Remark, Stop};
use crate::plan::fleet::keys::{PoolKey, WorkerKey, ZygoteKey};
use crate::plan::fleet::members::{Generation, Group, Zygote};
use crate::plan::fleet::pool::{Life, PoolState};
use crate::plan::fleet::state::Fleet;
use crate::plan::fleet::view::View;
use crate::plan::scaling::{Policy, Step};
use crate::sys::clock::Moment;

/// Between two looks, as in php-fpm.
const LOOK: Duration = Duration::from_secs(1);
/// How long PHP may take to stop in a worker that was told to leave and has said that it does.
const LEAVE_LIMIT: Duration = Duration::from_secs(10);

impl Fleet {
    pub(super) fn look(&mut self, now: Moment, view: &dyn View, out: &mut Vec<Action>) {
        if now < self.next_look {
            return;
        }
        self.next_look = now + LOOK;
        for key in self.scaling_pools() {
            self.look_at(now, key, view, out);
        }
        self.release_idle_zygotes(now, view, out);
    }

    /// When the next look is due, if there is anything to look at.
    pub(super) fn look_due(&self) -> Option<Moment> {
        let awake = |(_, g): (_, &Group)| {
            let scaling = g.pools.iter().any(|p| p.policy != Policy::Static && !p.workers.is_empty());
            scaling || (g.may_sleep() && g.is_awake())
        };
        let serving = self.generations.iter().filter(|g| g.serves());
        serving.flat_map(|g| g.groups.iter().enumerate()).any(awake).then_some(self.next_look)
    }

    fn scaling_pools(&self) -> Vec<PoolKey> {
        let mut keys = Vec::new();
        for generation in self.generations.iter().filter(|g| g.serves()) {
            for (group, g) in generation.groups.iter().enumerate().filter(|(_, g)| matches!(g.zygote, Zygote::Up(_))) {
                let zygote = ZygoteKey { generation: generation.id, group };
                let scaling = g.pools.iter().enumerate().filter(|(_, p)| p.policy != Policy::Static);
                keys.extend(scaling.map(|(pool, _)| zygote.of_pool(pool)));
            }
        }
        keys
    }

    fn look_at(&mut self, now: Moment, key: PoolKey, view: &dyn View, out: &mut Vec<Action>) {
        let responds = self.group_mut(key.zygote).is_some_and(|group| group.unresponsive.is_none());
        let Some(pool) = self.pool_mut(key.worker(0)) else { return };
        // A zygote that does not respond has not told its workers to leave.
        if responds {
            pool.kill_lingering(now, key, view, out);
        }
        // While workers die before they serve, more of them don't help.
        if pool.failures > 0 {
            return;
        }
        match pool.policy {
            Policy::Static => {}
            Policy::Dynamic(spare) => {
                let count = pool.count(key, view);
                let step = pool.scaling.dynamic(spare, count);
                if let Step::Grow(_, Some(rate)) = step {
                    out.push(Action::Remark(key, Remark::Busy { rate, idle: count.idle, total: count.total }));
                }
                pool.take(step, now, key, view, out);
            }
            Policy::Ondemand(limit) => {
                let idle = pool.idle(key, view).into_iter().map(|slot| key.worker(slot));
                let over: Vec<_> = idle.filter(|w| pool.idle_for(*w, now, view) > limit).collect();
                over.into_iter().for_each(|worker| pool.retire(worker, now, out));
            }
        }
    }

    /// Connections wait. The zygote has compared their number with that of its free workers at one moment, after it reported its
    /// latest fork. The scoreboard is not looked at again here: a worker may have accepted one of the connections since.
    pub(super) fn demand(&mut self, key: PoolKey, short: u32, view: &dyn View, out: &mut Vec<Action>) {
        if !self.generation(key.zygote.generation).is_some_and(Generation::serves) {
            return;
        }
        let Some(pool) = self.pool_mut(key.worker(0)) else { return };
        if pool.failures > 0 && pool.staying() > 0 {
            return;
        }
        let count = pool.count_asked();
        let step = match pool.policy {
            Policy::Static => Step::Stay,
            Policy::Dynamic(spare) => pool.scaling.dynamic_demand(spare, short, count),
            Policy::Ondemand(_) => pool.scaling.ondemand(short, count),
        };
        pool.take(step, Moment::default(), key, view, out);
    }
}

impl PoolState {
    fn take(&mut self, step: Step, now: Moment, key: PoolKey, view: &dyn View, out: &mut Vec<Action>) {
        match step {
            Step::Stay | Step::Full(false) => {}
            Step::Full(true) => out.push(Action::Remark(key, Remark::Full)),
            Step::Grow(more, _) => self.wanted = self.staying() + more,
            Step::Shrink(fewer) => {
                let fewer = usize::try_from(fewer).unwrap_or(usize::MAX);
                let oldest = self.idle(key, view).into_iter().take(fewer);
                oldest.for_each(|slot| self.retire(key.worker(slot), now, out));
            }
        }
    }

    /// One worker fewer is wanted: this one is to leave.
    fn retire(&mut self, key: WorkerKey, now: Moment, out: &mut Vec<Action>) {
        let Some(worker) = self.workers.get_mut(&key.slot) else { return };
        worker.retired = Some(now);
        self.wanted = self.staying();
        out.push(Action::Retire(key));
    }

    /// Kills workers that were told to leave while they were idle, still are, and have not left a second later. One that is stopped
    /// gets more time: if it continues, a request on its connection is not lost.
    fn kill_lingering(&self, now: Moment, key: PoolKey, view: &dyn View, out: &mut Vec<Action>) {
        for (&slot, worker) in &self.workers {
            let patience = if worker.life == Life::Leaving { LEAVE_LIMIT } else { LOOK };
            let lingering = worker.retired.is_some_and(|at| now.since(at) >= patience) && !worker.orphan;
            let patient = worker.retired.is_some_and(|at| now.since(at) < LEAVE_LIMIT);
            let process = worker.pid.zip(worker.born);
            let waits = || patient && process.is_some_and(|(pid, born)| view.is_stopped(pid, born));
            if lingering && !view.is_busy(key.worker(slot)) && !waits() {
                out.push(Action::Signal(key.worker(slot), Stop::Kill));
            }
        }
    }

    fn idle_for(&self, key: WorkerKey, now: Moment, view: &dyn View) -> Duration {
        let made = self.workers.get(&key.slot).map_or(now, |w| w.since);
        now.since(view.idle_since(key).max(made))
    }
}

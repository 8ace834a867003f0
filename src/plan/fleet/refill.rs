//! Forking workers: as many as a pool is to have, as far as `pm.max_children`, a reload and `process.max` allow it.

use std::time::Duration;

use crate::plan::fleet::action::Action;
use crate::plan::fleet::keys::{GenerationId, PoolKey, WorkerKey, ZygoteKey};
use crate::plan::fleet::members::{Phase, Zygote};
use crate::plan::fleet::pool::{PoolState, Worker};
use crate::plan::fleet::state::Fleet;
use crate::plan::pause::pause_after;
use crate::plan::surge;
use crate::sys::clock::Moment;

/// Time between two attempts to fork when file descriptors are short.
const SHORT_PAUSE: Duration = Duration::from_millis(500);

impl Fleet {
    pub(super) fn refill(&mut self, now: Moment, out: &mut Vec<Action>) {
        self.short_until = self.short_until.filter(|until| *until > now);
        let is_short = self.short_until.is_some();
        for key in self.short_pools(now) {
            let (most, room) = (self.allowance(key), self.room(key));
            let Some(pool) = self.pool_mut(key.worker(0)).filter(|p| !is_short || p.workers.is_empty()) else {
                continue;
            };
            let made = pool.fill(key, most, room, now, out);
            self.note_limit(made, made == room && self.is_short(key, most, now), out);
        }
    }

    /// Pools that have fewer workers than they are to have, and a zygote that can fork some.
    fn short_pools(&self, now: Moment) -> Vec<PoolKey> {
        let mut keys = Vec::new();
        for generation in self.generations.iter().filter(|g| g.phase != Phase::Draining) {
            for (group, g) in generation.groups.iter().enumerate().filter(|(_, g)| matches!(g.zygote, Zygote::Up(_))) {
                let short = g.pools.iter().enumerate().filter(|(_, p)| p.missing(u32::MAX, now) > 0);
                let zygote = ZygoteKey { generation: generation.id, group };
                keys.extend(short.map(|(pool, _)| zygote.of_pool(pool)));
            }
        }
        keys
    }

    fn allowance(&self, key: PoolKey) -> u32 {
        self.pool(key.worker(0)).map_or(0, |pool| self.pool_allowance(key.zygote.generation, pool))
    }

    /// How many workers a pool of that generation may have. A generation that serves while a newer one starts keeps its full size.
    pub(super) fn pool_allowance(&self, id: GenerationId, pool: &PoolState) -> u32 {
        let own = pool.size.saturating_sub(pool.going());
        let mut others = pool.workers.values().filter(|w| w.orphan).count();
        for generation in self.generations.iter().filter(|g| g.id != id) {
            for other in generation.pools().filter(|p| p.name == pool.name) {
                if generation.id > id && !matches!(generation.phase, Phase::Queued | Phase::Draining) {
                    return own;
                }
                others += other.workers.len();
            }
        }
        surge::allowance(pool.size, u32::try_from(others).unwrap_or(u32::MAX)).min(own)
    }

    /// How many workers `process.max` leaves for a pool. While an older generation leaves, a tenth more, and always one for a pool
    /// that has none.
    fn room(&self, key: PoolKey) -> u32 {
        if self.process_max == 0 {
            return u32::MAX;
        }
        let leaving = self.leaving_generations();
        let leaves = leaving.contains(&key.zygote.generation);
        let follows = !leaves && !leaving.is_empty();
        let all = u32::try_from(self.workers().count()).unwrap_or(u32::MAX);
        let most = self.process_max + if follows { surge::surge(self.process_max) } else { 0 };
        let own = self.workers().filter(|(worker, _)| leaving.contains(&worker.generation) == leaves).count();
        let own = self.process_max.saturating_sub(u32::try_from(own).unwrap_or(u32::MAX));
        let none = self.pool(key.worker(0)).is_some_and(|p| p.workers.is_empty());
        most.saturating_sub(all).min(own).max(u32::from(follows && none))
    }

    fn is_short(&self, key: PoolKey, most: u32, now: Moment) -> bool {
        self.pool(key.worker(0)).is_some_and(|p| p.missing(most, now) > 0)
    }

    /// There are not enough file descriptors for that worker. It is asked for again after a pause, and is no failure of its pool.
    pub(super) fn fork_refused(&mut self, now: Moment, key: WorkerKey) {
        let Some(pool) = self.pool_mut(key) else { return };
        if let Some(worker) = pool.workers.remove(&key.slot) {
            pool.owed = (pool.owed + u32::from(worker.replaces)).min(pool.size);
        }
        if pool.workers.is_empty() {
            pool.not_before = now + SHORT_PAUSE;
        }
        self.short_until = Some(now + SHORT_PAUSE);
    }

    /// Whether no pool can have another worker because of `process.max`, or because file descriptors are short.
    pub(super) fn is_full(&self) -> bool {
        self.short_until.is_some()
            || self.process_max > 0 && self.workers().count() >= usize::try_from(self.process_max).unwrap_or(usize::MAX)
    }

    fn note_limit(&mut self, made: u32, short: bool, out: &mut Vec<Action>) {
        if made > 0 {
            self.limit_said = false;
        }
        if short && !std::mem::replace(&mut self.limit_said, true) {
            out.push(Action::ProcessLimit);
        }
    }
}

impl PoolState {
    /// How many workers to start, at most `most`.
    fn missing(&self, most: u32, now: Moment) -> u32 {
        if now < self.not_before {
            return 0;
        }
        // Where workers fail early or crash in a loop, only one is made at a time.
        let at_once = if self.pause().is_some() { 1 } else { u32::MAX };
        self.target().min(most).saturating_sub(self.staying()).min(at_once)
    }

    /// Has missing workers forked, as far as there is room; returns how many.
    fn fill(&mut self, key: PoolKey, most: u32, room: u32, now: Moment, out: &mut Vec<Action>) -> u32 {
        let missing = self.missing(most, now).min(room);
        let slots = self.free_slots(usize::try_from(missing).unwrap_or(usize::MAX));
        let mut made = 0;
        for slot in slots {
            let replaces = self.owed > 0;
            self.owed = self.owed.saturating_sub(1);
            self.workers.insert(slot, Worker::asked_for(now, replaces));
            out.push(Action::Fork(key.worker(slot)));
            made += 1;
        }
        if let Some(pause) = self.pause().filter(|_| made > 0) {
            self.not_before = now + pause;
        }
        made
    }

    /// How long to wait between two workers, where they are known to be short-lived or to be refused.
    fn pause(&self) -> Option<Duration> {
        let failures = self.failures.max(self.unforked);
        let failures = (failures > 0).then(|| pause_after(failures));
        failures.into_iter().chain(self.crash_loop.pause()).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fleet::goal::Settings;
    use crate::plan::fleet::view::Blind;
    use crate::plan::fleet::{Claim, Desired, Event, GroupPlan, PoolPlan, Scope};
    use crate::plan::scaling::Policy;
    use crate::plan::watch::Limits;

    #[test]
    fn a_pool_serves_with_fewer_workers_while_descriptors_are_short() {
        let (mut fleet, now) = (Fleet::new(Settings::default()), Moment::at_millis(1000));
        let (policy, limits) = (Policy::Static, Limits::default());
        let pool = PoolPlan { name: "www".into(), addresses: Vec::new(), size: 4, policy, limits };
        let group = GroupPlan { name: "www".into(), fingerprint: 0, idle_limit: Duration::ZERO, pools: vec![pool] };
        let ids = fleet.reload(now, Desired { plans: &[group], scope: &Scope::All, together: false });
        let zygote = ids[0].unwrap().zygote();
        let mut at = |now: Moment, event| fleet.handle(now, event, &Blind);
        let forks = |actions: Vec<Action>| actions.iter().filter(|a| matches!(a, Action::Fork(_))).count();
        at(now, Event::Tick);
        at(now, Event::Prepared(zygote));
        assert_eq!(forks(at(now, Event::ZygoteReady(zygote))), 4);
        for slot in 1..4 {
            assert_eq!(forks(at(now, Event::ForkRefused(zygote.worker(0, slot)))), 0);
        }
        let first = zygote.worker(0, 0);
        at(now, Event::Forked { key: first, pid: 7, claim: Claim::Proved(1) });
        let actions = [at(now, Event::Accepting(first)), at(now + Duration::from_millis(400), Event::Tick)].concat();
        assert!(actions.iter().any(|action| matches!(action, Action::Ready)), "{actions:?}");
        assert_eq!(forks(actions), 0);
        assert_eq!(forks(at(now + SHORT_PAUSE, Event::Tick)), 3, "they are asked for again");
    }
}

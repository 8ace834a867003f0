//! What each event changes, and what then has to be done.

use super::{Action, Event, Fleet, Goal, Life, Phase, Worker, WorkerKey, Zygote, ZygoteKey};
use crate::plan::surge;
use crate::sys::clock::Millis;
use crate::sys::process::Exit;

/// A zygote that served this long before it died is replaced at once, however often that happened before.
const SOUND_LIFE: u64 = 5_000;

/// Whether a worker is inside a request right now: a question to its scoreboard slot.
pub type Busy<'a> = &'a dyn Fn(WorkerKey) -> bool;

impl Fleet {
    /// Takes an event and says what is to be done.
    pub fn handle(&mut self, now: Millis, event: Event, busy: Busy<'_>) -> Vec<Action> {
        let mut out = Vec::new();
        match event {
            Event::ZygoteReady(key) => self.zygote_ready(now, key),
            Event::ZygoteGone(key) => self.zygote_gone(now, key, &mut out),
            Event::Forked(key, pid) => self.forked(key, pid),
            Event::ForkFailed(key) => self.lost(now, key, true),
            Event::Accepting(key) => self.accepting(key),
            Event::Left(key) => self.leaving(key),
            Event::Exited(key, exit) => self.exited(now, key, exit),
            Event::Tick => {}
        }
        self.advance(now, busy, &mut out);
        out
    }

    fn advance(&mut self, now: Millis, busy: Busy<'_>, out: &mut Vec<Action>) {
        if self.goal == Goal::Serve {
            self.succeed(now, busy, out);
            self.start_zygotes(now, out);
            self.refill(now, out);
        }
        self.dismiss_idle_zygotes(now, out);
        self.escalate(now, out);
        self.forget_empty(out);
    }

    fn zygote_ready(&mut self, now: Millis, key: ZygoteKey) {
        if let Some(group) = self.group_mut(key).filter(|g| matches!(g.zygote, Zygote::Starting(_))) {
            group.zygote = Zygote::Up(now);
        }
    }

    fn zygote_gone(&mut self, now: Millis, key: ZygoteKey, out: &mut Vec<Action>) {
        let serving = self.goal == Goal::Serve;
        let first = self.generations.len() == 1;
        let Some(generation) = self.generation_mut(key.generation) else { return };
        let phase = generation.phase;
        let Some(group) = generation.groups.get_mut(key.group) else { return };
        let before = group.zygote;
        group.orphan_workers();
        let wanted = serving && phase != Phase::Draining && !matches!(before, Zygote::Dismissed(_) | Zygote::Gone);
        if !wanted {
            group.zygote = Zygote::Gone;
            return;
        }
        let sound = matches!(before, Zygote::Up(since) if now.since(since) >= SOUND_LIFE);
        group.failures = if sound { 0 } else { group.failures + 1 };
        group.zygote = Zygote::Due(now.plus(backoff(group.failures)));
        if first && phase == Phase::Starting && matches!(before, Zygote::Starting(_)) {
            out.push(Action::StartFailed);
        }
    }

    fn forked(&mut self, key: WorkerKey, pid: i32) {
        if let Some(worker) = self.worker_mut(key).filter(|w| w.life == Life::Asked) {
            worker.life = Life::Forked;
            worker.pid = Some(pid);
        }
        if let Some(pool) = self.pool_mut(key) {
            let known = pool.workers.values().filter(|w| w.pid.is_some() && !w.orphan).count();
            pool.complete |= known >= usize::try_from(pool.size).unwrap_or(usize::MAX);
        }
    }

    fn accepting(&mut self, key: WorkerKey) {
        if let Some(worker) = self.worker_mut(key).filter(|w| w.life == Life::Forked) {
            worker.life = Life::Accepting;
            if let Some(pool) = self.pool_mut(key) {
                pool.failures = 0;
            }
        }
    }

    fn leaving(&mut self, key: WorkerKey) {
        if let Some(worker) = self.worker_mut(key) {
            worker.life = Life::Leaving;
        }
    }

    fn exited(&mut self, now: Millis, key: WorkerKey, _exit: Exit) {
        let early = self.worker(key).is_some_and(|w| matches!(w.life, Life::Asked | Life::Forked) && !w.orphan);
        self.lost(now, key, early);
    }

    /// Takes a worker off the list; one that never came to serve makes the next one wait.
    fn lost(&mut self, now: Millis, key: WorkerKey, early: bool) {
        let Some(pool) = self.pool_mut(key) else { return };
        if pool.workers.remove(&key.slot).is_some() && early {
            pool.failures += 1;
            pool.not_before = now.plus(backoff(pool.failures));
        }
    }

    fn start_zygotes(&mut self, now: Millis, out: &mut Vec<Action>) {
        for generation in self.generations.iter_mut().filter(|g| g.phase != Phase::Draining) {
            for (group, g) in generation.groups.iter_mut().enumerate() {
                if matches!(g.zygote, Zygote::Due(at) if at <= now) {
                    g.zygote = Zygote::Starting(now);
                    out.push(Action::SpawnZygote(ZygoteKey { generation: generation.id, group }));
                }
            }
        }
    }

    fn refill(&mut self, now: Millis, out: &mut Vec<Action>) {
        for index in 0..self.generations.len() {
            if self.generations[index].phase == Phase::Draining {
                continue;
            }
            for (key, want) in self.wanted(index) {
                if let Some(pool) = self.forkable_pool(key, want.0) {
                    fill(pool, key, want, now, out);
                }
            }
        }
    }

    fn forkable_pool(&mut self, key: ZygoteKey, pool: usize) -> Option<&mut super::Pool> {
        self.group_mut(key).filter(|g| matches!(g.zygote, Zygote::Up(_)))?.pools.get_mut(pool)
    }

    /// For each pool of that generation: its zygote, its index, and how many workers it may have.
    fn wanted(&self, index: usize) -> Vec<(ZygoteKey, (usize, u32))> {
        let generation = &self.generations[index];
        let mut list = Vec::new();
        for (group, g) in generation.groups.iter().enumerate() {
            for (pool, p) in g.pools.iter().enumerate() {
                let key = ZygoteKey { generation: generation.id, group };
                list.push((key, (pool, self.pool_allowance(index, p))));
            }
        }
        list
    }

    /// A generation that serves while a newer one starts keeps its full size: nothing is given up before the newer one stands.
    pub(super) fn pool_allowance(&self, index: usize, pool: &super::Pool) -> u32 {
        let newer_starts = self.generations[index + 1..].iter().any(|g| g.phase != Phase::Draining);
        if newer_starts {
            return pool.size;
        }
        let elsewhere = self.generations.iter().enumerate().filter(|(i, _)| *i != index).flat_map(|(_, g)| g.pools());
        let others: usize = elsewhere.filter(|p| p.name == pool.name).map(|p| p.workers.len()).sum();
        let orphans = pool.workers.len() - pool.staying();
        surge::allowance(pool.size, u32::try_from(others + orphans).unwrap_or(u32::MAX))
    }
}

fn fill(pool: &mut super::Pool, key: ZygoteKey, want: (usize, u32), now: Millis, out: &mut Vec<Action>) {
    if now < pool.not_before {
        return;
    }
    // After deaths before service, one at a time shows whether it goes again.
    let limit = if pool.failures > 0 { pool.staying() + 1 } else { usize::MAX };
    let want_all = usize::try_from(want.1).unwrap_or(usize::MAX);
    while pool.staying() < want_all.min(limit) {
        let Some(slot) = pool.free_slot() else { return };
        pool.workers.insert(slot, Worker { pid: None, since: now, life: Life::Asked, orphan: false });
        out.push(Action::Fork(key.worker(want.0, slot)));
    }
    if pool.failures > 0 {
        pool.not_before = now.plus(backoff(pool.failures));
    }
}

impl super::Group {
    /// Their parent is the supervisor now; SIGQUIT has reached them, so they take nothing new.
    fn orphan_workers(&mut self) {
        for pool in &mut self.pools {
            pool.workers.retain(|_, w| w.pid.is_some());
            for worker in pool.workers.values_mut() {
                worker.orphan = true;
                worker.life = Life::Leaving;
            }
        }
    }
}

/// Milliseconds to wait after that many failures in a row: none after the first, then 100 ms doubling up to 30 s.
#[must_use]
pub(super) fn backoff(failures: u32) -> u64 {
    match failures {
        0 | 1 => 0,
        n => (100u64 << (n - 2).min(9)).min(30_000),
    }
}

//! What each event changes, and what then has to be done.

use super::{Action, Event, Fleet, Goal, Life, Phase, WorkerKey, Zygote, ZygoteKey};
use crate::plan::watch::Seen;
use crate::sys::clock::Millis;
use crate::sys::process::Exit;

/// A zygote that served this long before it died is replaced at once, however often that happened before.
const SOUND_LIFE: u64 = 5_000;

/// What can be seen from outside. What it tells of workers comes from their scoreboard slots: it is believed for their own pool only.
pub trait View {
    /// Whether a worker is inside a request.
    fn is_busy(&self, worker: WorkerKey) -> bool;

    /// When a worker that isn't became idle; at the earliest when it was made.
    fn idle_since(&self, worker: WorkerKey) -> Millis;

    /// How many requests a worker has begun.
    fn requests(&self, worker: WorkerKey) -> u64;

    /// The request that a worker is inside of.
    fn request(&self, worker: WorkerKey) -> Option<Seen>;

    /// Whether the machine is short of memory.
    fn memory_is_short(&self) -> bool;
}

impl Fleet {
    /// Takes an event and says what is to be done.
    pub fn handle(&mut self, now: Millis, event: Event, view: &dyn View) -> Vec<Action> {
        let mut out = Vec::new();
        match event {
            Event::ZygoteReady(key) => self.zygote_ready(now, key),
            Event::ZygoteGone(key) => self.zygote_gone(now, key, &mut out),
            Event::Forked(key, pid, born) => self.forked(key, pid, born),
            Event::ForkFailed(key) => self.lost(now, key, true),
            Event::Accepting(key) => self.accepting(key),
            Event::Left(key) => self.leaving(key),
            Event::Crashed(key, at_first) => self.note_crash(now, key, at_first, &mut out),
            Event::Exited(key, exit) => self.exited(now, key, exit),
            Event::Demand(key, short) => self.demand(key, short, view, &mut out),
            Event::Knock(key) => self.wake(now, key),
            Event::Stays(key) => self.stays_on(now, key),
            Event::Reported(key) => self.reported(now, key),
            Event::Tick => {}
        }
        self.advance(now, view, &mut out);
        out
    }

    fn advance(&mut self, now: Millis, view: &dyn View, out: &mut Vec<Action>) {
        if self.goal == Goal::Serve {
            self.succeed(now, view, out);
            self.look(now, view, out);
            self.start_zygotes(now, out);
            self.end_loops(view);
            self.refill(now, out);
        }
        self.watch_requests(now, view, out);
        self.watch_sleepers(now, out);
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
        group.idle_since = None;
        let wanted = serving && phase != Phase::Draining && before != Zygote::Gone;
        if wanted && matches!(before, Zygote::Dismissed(_)) {
            group.zygote = Zygote::Asleep(now);
            return;
        }
        if !wanted {
            group.zygote = Zygote::Gone;
            return;
        }
        let sound = matches!(before, Zygote::Up(since) if now.since(since) >= SOUND_LIFE);
        group.failures = if sound { 0 } else { group.failures + 1 };
        let again = now.plus(backoff(group.failures));
        group.zygote = if group.is_unasked() { Zygote::Asleep(again) } else { Zygote::Due(again) };
        if first && phase == Phase::Starting && matches!(before, Zygote::Starting(_)) {
            out.push(Action::StartFailed);
        }
    }

    fn forked(&mut self, key: WorkerKey, pid: i32, born: Option<u64>) {
        if let Some(worker) = self.worker_mut(key).filter(|w| w.life == Life::Asked) {
            worker.life = Life::Forked;
            (worker.pid, worker.born) = (Some(pid), born);
        }
    }

    /// A worker's pid is that of a process that was started then.
    pub fn proved(&mut self, key: WorkerKey, born: u64) {
        if let Some(worker) = self.worker_mut(key) {
            worker.born = Some(born);
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
        let Some(worker) = self.worker_mut(key) else { return };
        let unasked = worker.stays();
        worker.life = Life::Leaving;
        if let Some(pool) = self.pool_mut(key).filter(|_| unasked) {
            pool.owed += 1;
        }
    }

    fn exited(&mut self, now: Millis, key: WorkerKey, exit: Exit) {
        let early = self.worker(key).is_some_and(|w| matches!(w.life, Life::Asked | Life::Forked) && !w.orphan);
        let retired = self.worker(key).is_some_and(|w| w.retired.is_some());
        let unasked = self.worker(key).is_some_and(super::Worker::stays);
        match self.pool_mut(key) {
            // It was to go, and is not replaced. One that had to be killed is, as in php-fpm.
            Some(_) if retired && exit == Exit::Code(0) => {}
            Some(pool) if retired => {
                pool.wanted += 1;
                pool.owed += 1;
            }
            Some(pool) => pool.owed += u32::from(unasked),
            None => {}
        }
        self.lost(now, key, early);
    }

    /// Takes a worker off the list; one that never came to serve makes the next one wait.
    fn lost(&mut self, now: Millis, key: WorkerKey, early: bool) {
        let Some(pool) = self.pool_mut(key) else { return };
        let known = pool.workers.remove(&key.slot);
        if let Some(worker) = known.filter(|_| early) {
            pool.owed += u32::from(worker.replaces && worker.life == Life::Asked);
            pool.failures += 1;
            pool.not_before = now.plus(backoff(pool.failures));
        }
        pool.owed = pool.owed.min(pool.size);
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
}

impl super::Group {
    /// Nobody has asked for a zygote, and no worker is to be replaced.
    fn is_unasked(&self) -> bool {
        self.may_sleep() && self.pools.iter().all(|p| p.target() == 0)
    }

    /// Their parent is the supervisor now; SIGQUIT has reached them, so they take nothing new.
    fn orphan_workers(&mut self) {
        for pool in &mut self.pools {
            pool.workers.retain(|_, w| w.pid.is_some());
            pool.owed = pool.staying();
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

//! The state changes and actions of each event.

use std::time::Duration;

use crate::plan::fleet::action::Action;
use crate::plan::fleet::event::Event;
use crate::plan::fleet::goal::Goal;
use crate::plan::fleet::keys::{WorkerKey, ZygoteKey};
use crate::plan::fleet::members::{Group, Phase, Zygote};
use crate::plan::fleet::pool::{Life, Worker};
use crate::plan::fleet::state::Fleet;
use crate::plan::fleet::view::View;
use crate::plan::pause::pause_after;
use crate::sys::clock::Moment;
use crate::sys::process::Exit;

/// A zygote that served this long before it died is replaced at once, however often that happened before.
const SOUND_LIFE: Duration = Duration::from_secs(5);

impl Fleet {
    /// Handles one event and returns the actions to take.
    pub(crate) fn handle(&mut self, now: Moment, event: Event, view: &dyn View) -> Vec<Action> {
        let mut out = self.note(now, event, view);
        self.advance(now, view, &mut out);
        out
    }

    /// Notes an event. Returns what is to be done about it at once; `decide` returns the rest. One decision after many events costs
    /// less than one after each, since it looks at all generations.
    pub(crate) fn note(&mut self, now: Moment, event: Event, view: &dyn View) -> Vec<Action> {
        let mut out = Vec::new();
        match event {
            Event::Prepared(key) => self.prepared(now, key),
            Event::PrepareFailed(key) => self.prepare_failed(now, key),
            Event::ZygoteReady(key) => self.zygote_ready(now, key),
            Event::ZygoteGone(key) => self.zygote_gone(now, key),
            Event::ZygoteEnded { key, pid, exit } => {
                out.push(self.report_zygote_exit(key, pid, exit));
                self.zygote_gone(now, key);
            }
            Event::ZygoteMissing(key) => self.zygote_missing(now, key),
            Event::ZygoteSilent(key) => self.zygote_silent(key, &mut out),
            Event::Forked { key, pid, claim } => self.forked(key, pid, claim, &mut out),
            Event::ForkFailed(key) => self.fork_failed(now, key),
            Event::ForkRefused(key) => self.fork_refused(now, key),
            Event::Accepting(key) => self.accepting(key),
            Event::Left(key) => self.left(key),
            Event::EndReported { key, pid, exit, runs } => self.end_reported(key, pid, exit, runs, &mut out),
            Event::Exited { key, exit, requests } => {
                out.extend(self.report_exit(now, key, exit));
                self.note_failure(now, key, (exit, requests), &mut out);
                self.exited(now, key, exit);
            }
            Event::Demand(key, short) => self.demand(key, short, view, &mut out),
            Event::Connection(key) => self.wake(now, key),
            Event::Stays(key) => self.stays_on(now, key),
            Event::Reported(key) => self.reported(now, key),
            Event::Tick => {}
        }
        out
    }

    /// The actions that follow from the events since the last decision, and from the time.
    pub(crate) fn decide(&mut self, now: Moment, view: &dyn View) -> Vec<Action> {
        let mut out = Vec::new();
        self.advance(now, view, &mut out);
        out
    }

    fn advance(&mut self, now: Moment, view: &dyn View, out: &mut Vec<Action>) {
        if self.goal == Goal::Serve {
            self.succeed(now, view, out);
            self.prepare_groups(now, out);
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

    fn zygote_ready(&mut self, now: Moment, key: ZygoteKey) {
        if let Some(group) = self.group_mut(key).filter(|g| matches!(g.zygote, Zygote::Starting(_))) {
            group.zygote = Zygote::Up(now);
        }
    }

    fn zygote_gone(&mut self, now: Moment, key: ZygoteKey) {
        let serving = self.goal == Goal::Serve;
        let Some(generation) = self.generation_mut(key.generation) else { return };
        let phase = generation.phase;
        let Some(group) = generation.groups.get_mut(key.group) else { return };
        let before = group.zygote;
        group.orphan_workers();
        group.idle_since = None;
        group.unresponsive = None;
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
        let again = now + pause_after(group.failures);
        group.zygote = if group.is_unasked() { Zygote::Asleep(again) } else { Zygote::Due(again) };
    }

    /// Where it had a process, that has ended while no supervisor listened.
    fn zygote_missing(&mut self, now: Moment, key: ZygoteKey) {
        if let Some(Zygote::Up(_) | Zygote::Starting(_) | Zygote::Dismissed(_)) = self.zygote(key) {
            self.zygote_gone(now, key);
        }
    }

    /// A zygote that was told to leave closes its pipe while it shuts PHP down. Any other one is dead or broken.
    fn zygote_silent(&self, key: ZygoteKey, out: &mut Vec<Action>) {
        if !matches!(self.zygote(key), Some(Zygote::Dismissed(_))) {
            out.push(Action::GiveUpOn(key));
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

    fn left(&mut self, key: WorkerKey) {
        let Some(worker) = self.worker_mut(key) else { return };
        let untold = worker.stays();
        worker.life = Life::Leaving;
        if let Some(pool) = self.pool_mut(key).filter(|_| untold) {
            pool.owed += 1;
        }
    }

    fn exited(&mut self, now: Moment, key: WorkerKey, exit: Exit) {
        let early = self.worker(key).is_some_and(|w| matches!(w.life, Life::Asked | Life::Forked) && !w.orphan);
        let retired = self.worker(key).is_some_and(|w| w.retired.is_some());
        let untold = self.worker(key).is_some_and(Worker::stays);
        match self.pool_mut(key) {
            // It was told to leave and is not replaced. One that had to be killed is, as in php-fpm.
            Some(_) if retired && exit == Exit::Code(0) => {}
            Some(pool) if retired => {
                pool.wanted += 1;
                pool.owed += 1;
            }
            Some(pool) => pool.owed += u32::from(untold),
            None => {}
        }
        self.lost(now, key, early);
    }

    /// The system refuses another worker, for now: the pool goes on with those that it has.
    fn fork_failed(&mut self, now: Moment, key: WorkerKey) {
        let Some(pool) = self.pool_mut(key) else { return };
        let Some(worker) = pool.workers.remove(&key.slot) else { return };
        pool.owed = (pool.owed + u32::from(worker.replaces && worker.life == Life::Asked)).min(pool.size);
        pool.unforked += 1;
        pool.not_before = now + pause_after(pool.unforked);
    }

    /// Forgets a worker. One that never waited for a request makes the next one wait.
    fn lost(&mut self, now: Moment, key: WorkerKey, early: bool) {
        let Some(pool) = self.pool_mut(key) else { return };
        let known = pool.workers.remove(&key.slot);
        if let Some(worker) = known.filter(|_| early) {
            pool.owed += u32::from(worker.replaces && worker.life == Life::Asked);
            pool.failures += 1;
            pool.not_before = now + pause_after(pool.failures);
        }
        pool.owed = pool.owed.min(pool.size);
    }

    fn start_zygotes(&mut self, now: Moment, out: &mut Vec<Action>) {
        for generation in self.generations.iter_mut().filter(|g| !matches!(g.phase, Phase::Queued | Phase::Draining)) {
            for (group, g) in generation.groups.iter_mut().enumerate() {
                if matches!(g.zygote, Zygote::Due(at) if at <= now) {
                    g.zygote = Zygote::Starting(now);
                    out.push(Action::SpawnZygote(ZygoteKey { generation: generation.id, group }));
                }
            }
        }
    }
}

impl Group {
    /// No connection needs a zygote, and no worker must be replaced.
    fn is_unasked(&self) -> bool {
        self.may_sleep() && self.pools.iter().all(|p| p.target() == 0)
    }

    /// The supervisor is their parent now. They have got SIGQUIT, so they accept nothing new.
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

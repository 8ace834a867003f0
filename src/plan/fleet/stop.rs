//! Ending: gently, then by SIGTERM, then by SIGKILL; and when the next step is due.

use serde::{Deserialize, Serialize};

use super::{Action, Fleet, Goal, Life, Phase, Stop, View, WorkerKey, Zygote, ZygoteKey};
use crate::plan::watch::Seen;
use crate::sys::clock::Millis;

/// Between SIGTERM and SIGKILL, and between the workers' SIGKILL and their zygote's.
const STEP: u64 = 1_000;
/// A message to a zygote is answered within this, or the zygote is killed.
const ZYGOTE_DEADLINE: u64 = 10_000;
/// Time for php.ini, extensions and preloading.
pub(super) const START_LIMIT: u64 = 60_000;

/// The next step against those who don't leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Escalation {
    step: Step,
    at: Millis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Step {
    Term,
    Kill,
    KillZygotes,
}

impl Escalation {
    /// Starts with SIGTERM when the control timeout has passed; never without one.
    pub(super) fn gentle(now: Millis, control_timeout: u64) -> Option<Self> {
        (control_timeout > 0).then(|| Self { step: Step::Term, at: now.plus(control_timeout) })
    }

    fn next(self, now: Millis, control_timeout: u64) -> Self {
        match self.step {
            Step::Term => Self { step: Step::Kill, at: now.plus(control_timeout.max(STEP)) },
            Step::Kill | Step::KillZygotes => Self { step: Step::KillZygotes, at: now.plus(STEP) },
        }
    }
}

/// Sees nobody busy: who stops asks no one.
struct Blind;

impl View for Blind {
    fn is_busy(&self, _worker: WorkerKey) -> bool {
        false
    }

    fn idle_since(&self, _worker: WorkerKey) -> Millis {
        Millis(0)
    }

    fn requests(&self, _worker: WorkerKey) -> u64 {
        0
    }

    fn request(&self, _worker: WorkerKey) -> Option<Seen> {
        None
    }

    fn memory_is_short(&self) -> bool {
        false
    }
}

impl Fleet {
    /// A stronger goal takes effect at once; a weaker or equal one changes nothing. Tells whether it took effect.
    pub fn pursue(&mut self, now: Millis, goal: Goal) -> (bool, Vec<Action>) {
        if goal <= self.goal {
            return (false, Vec::new());
        }
        self.goal = goal;
        let mut out = Vec::new();
        for generation in &mut self.generations {
            if generation.phase != Phase::Draining {
                generation.drain(now, None, 0);
                out.push(Action::Drain(generation.id));
            }
            generation.steps = None;
            for (group, g) in generation.groups.iter_mut().enumerate() {
                match g.zygote {
                    Zygote::Due(_) | Zygote::Asleep(_) => g.zygote = Zygote::Gone,
                    Zygote::Starting(_) => {
                        g.zygote = Zygote::Dismissed(now);
                        out.push(Action::KillZygote(ZygoteKey { generation: generation.id, group }));
                    }
                    _ => {}
                }
            }
        }
        self.stop_steps = match goal {
            Goal::Terminate => Some(Escalation { step: Step::Term, at: now }),
            Goal::Finish | Goal::Serve => Escalation::gentle(now, self.control_timeout),
        };
        out.extend(self.handle(now, super::Event::Tick, &Blind));
        (true, out)
    }

    pub(super) fn escalate(&mut self, now: Millis, out: &mut Vec<Action>) {
        let control_timeout = if self.goal == Goal::Terminate { self.control_timeout } else { 0 };
        for generation in &mut self.generations {
            let due = generation.steps.or(self.stop_steps).filter(|s| s.at <= now);
            if let Some(step) = due {
                act(generation, step.step, out);
                generation.steps = generation.steps.map(|s| s.next(now, control_timeout));
            }
            kill_deaf_zygotes(generation, now, out);
        }
        if let Some(step) = self.stop_steps.filter(|s| s.at <= now) {
            self.stop_steps = Some(step.next(now, control_timeout));
        }
    }

    /// When `handle(Tick)` is next needed.
    #[must_use]
    pub fn deadline(&self, now: Millis) -> Option<Millis> {
        let settle = now.plus(5);
        let steps = self.generations.iter().filter_map(|g| g.steps).chain(self.stop_steps).map(|s| s.at);
        let phases = self.generations.iter().filter_map(|g| match g.phase {
            Phase::Settling => Some(settle),
            Phase::Starting | Phase::Serving | Phase::Draining => None,
        });
        let zygotes = self.generations.iter().flat_map(|g| &g.groups).filter_map(|g| match g.zygote {
            Zygote::Due(at) => Some(at),
            _ => g.deaf_at(),
        });
        let active = self.generations.iter().filter(|g| g.phase != Phase::Draining && self.goal == Goal::Serve);
        let pools = active.flat_map(super::Generation::pools).map(|p| p.not_before).filter(|at| *at > now);
        let looks = self.look_due().into_iter().chain(self.sleep_ends(now)).filter(|_| self.goal == Goal::Serve);
        steps.chain(phases).chain(zygotes).chain(pools).chain(looks).chain(self.watch_due()).chain(self.leaving).min()
    }
}

fn act(generation: &mut super::Generation, step: Step, out: &mut Vec<Action>) {
    let stop = match step {
        Step::Term => Stop::Term,
        Step::Kill => Stop::Kill,
        Step::KillZygotes => {
            for (group, g) in generation.groups.iter().enumerate() {
                if matches!(g.zygote, Zygote::Up(_) | Zygote::Dismissed(_)) {
                    out.push(Action::KillZygote(ZygoteKey { generation: generation.id, group }));
                }
            }
            Stop::Kill
        }
    };
    out.extend(generation.workers().map(|(key, _)| Action::Signal(key, stop)));
}

fn kill_deaf_zygotes(generation: &mut super::Generation, now: Millis, out: &mut Vec<Action>) {
    for (group, g) in generation.groups.iter_mut().enumerate() {
        if g.deaf_at().is_some_and(|at| at <= now) {
            // Once per deadline, should even SIGKILL take its time.
            match &mut g.zygote {
                Zygote::Starting(since) | Zygote::Dismissed(since) => *since = now,
                _ => g.pools.iter_mut().flat_map(|p| p.workers.values_mut()).for_each(|w| w.since = now),
            }
            out.push(Action::KillZygote(ZygoteKey { generation: generation.id, group }));
        }
    }
}

impl super::Group {
    /// When the zygote has been silent for too long on what it was told last.
    fn deaf_at(&self) -> Option<Millis> {
        match self.zygote {
            Zygote::Starting(since) => Some(since.plus(START_LIMIT)),
            Zygote::Dismissed(since) => Some(since.plus(ZYGOTE_DEADLINE)),
            Zygote::Up(_) => {
                let asked = self.pools.iter().flat_map(|p| p.workers.values()).filter(|w| w.life == Life::Asked);
                asked.map(|w| w.since.plus(ZYGOTE_DEADLINE)).min()
            }
            Zygote::Asleep(_) | Zygote::Due(_) | Zygote::Gone => None,
        }
    }
}

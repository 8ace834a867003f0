//! Ending: workers first, zygotes after them; and when the next step is due.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::plan::fleet::action::{Action, Stop};
use crate::plan::fleet::escalation::{Escalation, Step};
use crate::plan::fleet::event::Event;
use crate::plan::fleet::goal::Goal;
use crate::plan::fleet::keys::ZygoteKey;
use crate::plan::fleet::members::{Generation, Group, Phase, Zygote};
use crate::plan::fleet::pool::{Life, PoolState};
use crate::plan::fleet::state::Fleet;
use crate::plan::fleet::unit::UnitState;
use crate::plan::fleet::view::Blind;
use crate::sys::clock::Moment;

/// A zygote answers an order within this time, or is killed.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Time for php.ini, extensions and preloading.
pub(super) const START_LIMIT: Duration = Duration::from_secs(60);
/// How often it is looked whether the former generation still accepts requests.
const SETTLE_LOOK: Duration = Duration::from_millis(5);

impl Fleet {
    /// A stronger goal takes effect at once; a weaker or equal one changes nothing.
    pub(super) fn pursue(&mut self, now: Moment, goal: Goal) -> Vec<Action> {
        if goal <= self.goal {
            return Vec::new();
        }
        self.goal = goal;
        let mut out = vec![Action::Stopping(goal)];
        self.units.clear();
        self.verdict = None;
        for generation in &mut self.generations {
            if generation.phase != Phase::Draining {
                generation.drain(now, Vec::new(), Duration::ZERO);
                out.push(Action::Drain(generation.id));
            }
            generation.steps = None;
            for (group, g) in generation.groups.iter_mut().enumerate() {
                match g.zygote {
                    Zygote::Unprepared(_) | Zygote::Preparing | Zygote::Due(_) | Zygote::Asleep(_) => {
                        g.zygote = Zygote::Gone
                    }
                    Zygote::Starting(_) => {
                        g.zygote = Zygote::Dismissed(now);
                        out.push(Action::KillZygote(ZygoteKey { generation: generation.id, group }));
                    }
                    _ => {}
                }
            }
        }
        self.stop_steps = match goal {
            Goal::Terminate => Some(Escalation::immediate(now)),
            Goal::Finish | Goal::Serve => Escalation::gentle(now, self.control_timeout),
        };
        out.extend(self.handle(now, Event::Tick, &Blind));
        out
    }

    pub(super) fn escalate(&mut self, now: Moment, out: &mut Vec<Action>) {
        let control_timeout = if self.goal == Goal::Terminate { self.control_timeout } else { Duration::ZERO };
        self.end_patience(now, out);
        for generation in &mut self.generations {
            let due = generation.steps.or(self.stop_steps).filter(|s| s.at <= now);
            if let Some(step) = due {
                act(generation, step.step, out);
                generation.steps = generation.steps.map(|s| s.next(now, control_timeout));
            }
            kill_silent_zygotes(generation, now, out);
        }
        if let Some(step) = self.stop_steps.filter(|s| s.at <= now) {
            self.stop_steps = Some(step.next(now, control_timeout));
        }
    }

    /// Zygotes that are stopped, or that do not reap their dead workers, as looked at now. One that stays so is killed.
    pub(crate) fn note_unresponsive(&mut self, now: Moment, zygotes: &BTreeSet<ZygoteKey>) {
        for generation in &mut self.generations {
            let id = generation.id;
            for (group, g) in generation.groups.iter_mut().enumerate() {
                g.note_unresponsive(now, zygotes.contains(&ZygoteKey { generation: id, group }));
            }
        }
    }

    /// Zygotes of pools where clients wait that have no worker and want none: such a zygote reports at once that a client waits, so
    /// these do not respond.
    #[must_use]
    pub(crate) fn unaware(&self, waiting: &BTreeSet<String>) -> BTreeSet<ZygoteKey> {
        let ignores = |p: &PoolState| waiting.contains(&p.name) && p.is_childless() && p.target() == 0;
        let mut found = BTreeSet::new();
        if waiting.is_empty() {
            return found;
        }
        for generation in self.generations.iter().filter(|g| g.phase == Phase::Serving) {
            let groups = generation.groups.iter().enumerate();
            let unaware = groups.filter(|(_, g)| matches!(g.zygote, Zygote::Up(_)) && g.pools.iter().any(ignores));
            found.extend(unaware.map(|(group, _)| ZygoteKey { generation: generation.id, group }));
        }
        found
    }

    /// When `decide` is next needed.
    #[must_use]
    pub(crate) fn deadline(&self, now: Moment) -> Option<Moment> {
        let settle = now + SETTLE_LOOK;
        let steps = self.generations.iter().filter_map(|g| g.steps).chain(self.stop_steps).map(|s| s.at);
        let phases = self.units.iter().filter_map(|unit| match unit.state {
            UnitState::Settling => Some(settle),
            UnitState::Starting if !unit.failed => Some(unit.since + START_LIMIT).filter(|at| *at > now),
            _ => None,
        });
        let begins = self
            .slow_since(now)
            .into_iter()
            .chain(self.preparation_due())
            .chain(self.patience_ends())
            .chain(self.renewal_due(now));
        let begun = self.generations.iter().filter(|g| g.phase != Phase::Queued);
        let zygotes = begun.flat_map(|g| &g.groups).filter_map(|g| match g.zygote {
            Zygote::Due(at) => Some(at),
            _ => g.answer_due(),
        });
        let active = self.generations.iter().filter(|g| g.phase != Phase::Draining && self.goal == Goal::Serve);
        let pools = active.flat_map(Generation::pools).map(|p| p.not_before).filter(|at| *at > now);
        let looks = self.look_due().into_iter().chain(self.sleep_ends(now)).filter(|_| self.goal == Goal::Serve);
        let again = self.short_until.filter(|_| self.goal == Goal::Serve);
        let fixed = self.leaving.into_iter().chain(again);
        let all = steps.chain(phases).chain(begins).chain(zygotes).chain(pools).chain(looks);
        all.chain(self.watch_due()).chain(fixed).min()
    }
}

fn act(generation: &mut Generation, step: Step, out: &mut Vec<Action>) {
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

fn kill_silent_zygotes(generation: &mut Generation, now: Moment, out: &mut Vec<Action>) {
    for (group, g) in generation.groups.iter_mut().enumerate() {
        if g.answer_due().is_some_and(|at| at <= now) {
            // The deadline starts again, in case SIGKILL takes its time.
            match &mut g.zygote {
                Zygote::Starting(since) | Zygote::Dismissed(since) => *since = now,
                _ => g.pools.iter_mut().flat_map(|p| p.workers.values_mut()).for_each(|w| w.since = now),
            }
            g.unresponsive = g.unresponsive.map(|_| now);
            out.push(Action::KillSilent(ZygoteKey { generation: generation.id, group }));
        }
    }
}

impl Group {
    /// When the zygote must have answered the last order, or must be seen to work again.
    fn answer_due(&self) -> Option<Moment> {
        let asked = || self.pools.iter().flat_map(|p| p.workers.values()).filter(|w| w.life == Life::Asked);
        let answer = match self.zygote {
            Zygote::Starting(since) => Some(since + START_LIMIT),
            Zygote::Dismissed(since) => Some(since + ANSWER_LIMIT),
            Zygote::Up(_) => asked().map(|w| w.since + ANSWER_LIMIT).min(),
            Zygote::Unprepared(_) | Zygote::Preparing | Zygote::Asleep(_) | Zygote::Due(_) | Zygote::Gone => {
                return None;
            }
        };
        answer.into_iter().chain(self.unresponsive.map(|since| since + ANSWER_LIMIT)).min()
    }

    /// Notes whether the zygote is stopped, or leaves dead workers unreaped.
    fn note_unresponsive(&mut self, now: Moment, is_so: bool) {
        self.unresponsive = if is_so { self.unresponsive.or(Some(now)) } else { None };
    }
}

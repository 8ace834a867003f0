//! Base zygotes: which groups have one, how they are started, and what they are asked. A group whose base zygote fails starts its
//! zygote without it.
#![forbid(unsafe_code)]

mod ask;
mod assign;
mod hear;
mod start;

use std::collections::BTreeSet;

use nix::sys::signal::Signal;

use crate::log::{self, messages::bases as messages, messages::zygotes::zygote_not_watched};
use crate::plan::base::{BaseId, BasePlan, Step};
use crate::plan::fleet::{Event, ZygoteKey, describe};
use crate::supervisor::core::Supervisor;
use crate::supervisor::output::Writer;
use crate::sys::clock;
use crate::sys::process::{self, Exit};

impl Supervisor {
    /// Starts base zygotes that are needed, and ends those that do not answer.
    pub(super) fn attend_to_bases(&mut self) {
        if self.bases.bases.is_empty() {
            return;
        }
        let now = clock::now();
        for process in self.bases.bases.values_mut().filter_map(|base| base.process.as_mut()) {
            process.orders.flush(now);
        }
        let any_new = self.bases.bases.values().any(|base| base.plan.is_new());
        let present = if any_new { self.bases_of_groups() } else { BTreeSet::new() };
        for id in self.bases.bases.keys().copied().collect::<Vec<_>>() {
            let late = self.decide_on_base(id, |plan, steps| {
                if present.contains(&id) {
                    plan.prepare(now, steps);
                }
                plan.tick(now, steps)
            });
            if late == Some(true) {
                log::say(&messages::base_silent(self.bases.pid(id)));
            }
        }
        self.handle_pending();
    }

    /// Lets its plan decide, and takes the steps that it returns.
    fn decide_on_base<T>(&mut self, id: BaseId, decide: impl FnOnce(&mut BasePlan, &mut Vec<Step>) -> T) -> Option<T> {
        let mut steps = Vec::new();
        let plan = &mut self.bases.get_mut(id)?.plan;
        let was_useless = plan.is_useless();
        let answer = decide(plan, &mut steps);
        if plan.is_useless() && !was_useless {
            self.note_useless(id);
        }
        for step in steps {
            match step {
                Step::Start => self.start_base(id),
                Step::Ask(request, key) => self.ask_base(id, request, key),
                Step::Kill => self.kill_base(id),
                Step::StartAlone(key) => {
                    let pending = self.bases.pending.remove(&key);
                    self.bases.asked.retain(|_, asked| asked.zygote != key);
                    self.start_alone(key, pending);
                }
            }
        }
        Some(answer)
    }

    /// The groups of a base zygote start PHP themselves from now on, so that fewer of them start at the same time.
    fn note_useless(&mut self, id: BaseId) {
        let prepared = self.runtimes.keyed().filter(|(_, group)| group.base == Some(id)).map(|(key, _)| key.generation);
        let waiting = self.candidates.iter().filter(|(_, candidate)| candidate.draft.base == Some(id));
        for generation in prepared.chain(waiting.map(|(generation, _)| *generation)).collect::<Vec<_>>() {
            self.fleet.note_forked(generation, false);
        }
    }

    fn kill_base(&mut self, id: BaseId) {
        let process = self.bases.get_mut(id).and_then(|base| base.process.as_ref());
        if let Some(process) = process.filter(|process| !process.reaped) {
            process::kill(process.pid, Signal::SIGKILL);
        }
    }

    /// A base zygote has been reaped. What it has reported before is read first.
    pub(super) fn base_ended(&mut self, id: BaseId, exit: Exit) {
        if let Some(process) = self.bases.get_mut(id).and_then(|base| base.process.as_mut()) {
            process.reaped = true;
        }
        self.hear_base(id);
        let ended = self.bases.pid(id);
        let is_meant = |writer: &Writer| matches!(writer, Writer::Base { pid } if *pid == ended);
        self.outputs.drain_of(&mut self.poller, is_meant);
        let Some(base) = self.bases.get_mut(id) else { return };
        let Some(process) = base.process.take() else { return };
        self.poller.remove(&process.reports, process.token);
        let message = messages::base_ended(process.pid, describe(exit));
        log::say(&if base.plan.is_useless() { message.at(log::Level::Debug) } else { message });
        self.bases.asked.retain(|(base, _), _| *base != id);
        self.decide_on_base(id, |plan, steps| plan.ended(clock::now(), steps));
        self.handle_pending();
    }

    /// Ends base zygotes that no group has any more.
    pub(super) fn end_unused_bases(&mut self) {
        if !self.runtimes.take_regrouped() {
            return;
        }
        let present = self.bases_of_groups();
        let mut ended = Vec::new();
        for (id, base) in &mut self.bases.bases {
            if base.used && !present.contains(id) {
                ended.push(*id);
            }
            base.used |= present.contains(id);
        }
        for id in ended {
            let Some(process) = self.bases.bases.remove(&id).and_then(|base| base.process) else { continue };
            self.poller.remove(&process.reports, process.token);
            process::kill(process.pid, Signal::SIGKILL);
        }
    }

    fn bases_of_groups(&self) -> BTreeSet<BaseId> {
        self.runtimes.groups().filter_map(|group| group.base).collect()
    }

    fn zygote_is_gone(&mut self, key: ZygoteKey) {
        self.pending.push_back(Event::ZygoteGone(key));
    }

    /// After a reload: waits for the reports of base zygotes again.
    pub(in crate::supervisor) fn watch_bases(&mut self) {
        for (id, base) in &mut self.bases.bases {
            let Some(process) = &mut base.process else { continue };
            match self.poller.add_base(&process.reports, *id) {
                Ok(token) => process.token = token,
                Err(e) => log::say(&zygote_not_watched(e)),
            }
        }
    }
}

//! The groups of a configuration: each becomes a generation, and takes over or is given up. `preparations.rs` gives it
//! what it needs.

use std::time::Duration;

use crate::config::LoadOptions;
use crate::log::{self, messages::reload as messages};
use crate::plan::fleet::{Desired, Failure, GenerationId, Scope};
use crate::supervisor::candidate::Candidate;
use crate::supervisor::core::{Supervisor, fleet_settings};
use crate::supervisor::generation::{StartError, drafts, own_limits};
use crate::sys::clock::{self, Moment};

/// How long output of a group that serves waits for others to start.
const HOLD: Duration = Duration::from_secs(5);

impl Supervisor {
    /// Begins the change to the configuration in force. Its groups are prepared when the fleet says so.
    ///
    /// # Errors
    /// A setting of `[global]` can't be put into effect; nothing has changed.
    pub(super) fn begin_groups(&mut self, load: &LoadOptions, scope: &Scope) -> Result<(), StartError> {
        let nofile = own_limits::apply(&self.config.global, load.root, self.nofile)?;
        let drafts = drafts(&self.config, load);
        self.check_descriptors(&drafts)?;
        let idle_limit = self.config.global.group_idle_timeout;
        let plans: Vec<_> = drafts.iter().map(|draft| draft.plan(idle_limit)).collect();
        self.reload_begins_with(&drafts);
        self.fleet.configure(fleet_settings(&self.config.global));
        let together = self.config.global.start_failure_stops;
        let number = self.fleet.next_number();
        let ids = self.fleet.reload(clock::now(), Desired { plans: &plans, scope, together });
        let mut renewed: Vec<_> = ids.into_iter().zip(drafts).filter_map(|(id, draft)| Some((id?, draft))).collect();
        self.assign_bases(renewed.iter_mut().map(|(_, draft)| draft), number, scope);
        renewed.iter().for_each(|(id, draft)| self.fleet.note_forked(*id, draft.base.is_some()));
        let renewed = renewed.into_iter().map(|(id, draft)| (id, Candidate { draft, nofile }));
        let before = self.candidates.len();
        self.candidates.extend(renewed);
        let renewed = self.candidates.len() - before;
        self.results.reload_renews(renewed);
        if renewed == 0 && scope.asks_for_changes() && !self.fleet.is_changing() {
            let message = messages::nothing_changed();
            log::say(&message);
            self.results.remark(message.text());
        }
        Ok(())
    }

    /// Keeps the reason why a generation can't start, for the line about that. If it is tried again and fails for another reason, that
    /// is logged as well.
    pub(super) fn note_reason(&mut self, id: GenerationId, reason: &str) {
        let before = self.reasons.insert(id, reason.to_owned());
        if self.unstarted.contains(&id) && before.is_some_and(|before| before != reason) {
            self.say_not_started(id);
        }
    }

    /// The same, if no better reason is known.
    pub(super) fn note_reason_at_least(&mut self, id: GenerationId, reason: &str) {
        self.reasons.entry(id).or_insert_with(|| reason.to_owned());
    }

    /// A generation serves in place of those before it.
    pub(super) fn generation_serves(&mut self, id: GenerationId, late: bool) {
        let group = self.group_of(id);
        self.monitor.stale = true;
        self.release.restart();
        self.sockets.serve(id);
        self.reasons.remove(&id);
        self.unstarted.remove(&id);
        self.generation_is_current(id, &group);
        self.results.group_done(&group);
        self.tell_progress();
        if late {
            let number = self.fleet.number_of(id);
            log::say(&messages::group_serves(&group, number));
        }
        self.release_later(id);
    }

    /// A generation is given up, because it or another one that changes together with it could not start.
    pub(super) fn generation_given_up(
        &mut self,
        id: GenerationId,
        because: GenerationId,
        failure: Failure,
        kept: Option<GenerationId>,
    ) {
        let group = self.group_of(id);
        let reason = if because == id { self.reason(id, failure) } else { self.joint_reason(because) };
        let kept = kept.map(|kept| (self.group_of(kept), self.fleet.number_of(kept)));
        let (message, serves) = match kept {
            Some((former, number)) if former == group => {
                (messages::group_keeps(&group, &reason, number), format!("generation {number} serves on"))
            }
            Some((former, number)) => (
                messages::group_not_formed(&group, &reason, number, &former),
                format!("generation {number} of group {former} serves on"),
            ),
            None => (messages::group_not_added(&group, &reason), "not started".to_owned()),
        };
        log::say(&message);
        self.kept.insert(group.clone(), serves);
        self.group_is_outdated(&group, &reason);
        self.forget_outdated();
        self.results.group_failed(&group, &reason);
        self.tell_progress();
        self.release_later(id);
    }

    /// A generation serves on because the groups that its pools would go to, or that change together with it, could not start.
    pub(super) fn generation_not_replaced(&mut self, id: GenerationId, because: GenerationId) {
        let reason = self.joint_reason(because);
        self.group_is_outdated(&self.group_of(id), &reason);
    }

    /// Why a group keeps what it has, although not its own new generation could not start.
    fn joint_reason(&self, because: GenerationId) -> String {
        let other = self.group_of(because);
        if self.config.global.start_failure_stops {
            format!("process.start_failure = stop, and group {other} could not start")
        } else {
            format!("it changes together with group {other}, which could not start")
        }
    }

    /// A generation waits until one of three former ones has ended.
    pub(super) fn generation_is_late(&mut self, id: GenerationId) {
        let group = self.group_of(id);
        log::say(&messages::group_waits(&group));
        self.results.group_late(&group);
        self.tell_progress();
    }

    /// The workers of a generation are ended, because others have waited too long for it.
    pub(super) fn say_patience_over(&mut self, id: GenerationId) {
        let number = self.fleet.number_of(id);
        log::say(&messages::patience_over(self.group_of(id), number));
    }

    /// A generation that replaces none can't start.
    pub(super) fn generation_not_started(&mut self, id: GenerationId, failure: Failure) {
        let reason = self.reason(id, failure);
        self.group_is_outdated(&self.group_of(id), &reason);
        self.results.group_failed(&self.group_of(id), &reason);
        self.kept.insert(self.group_of(id), "not started".to_owned());
        self.reasons.insert(id, reason);
        self.unstarted.insert(id);
        self.say_not_started(id);
    }

    fn say_not_started(&self, id: GenerationId) {
        let reason = self.reasons.get(&id).map_or("", String::as_str);
        log::say(&messages::group_not_started(self.group_of(id), reason));
    }

    pub(super) fn reason(&self, id: GenerationId, failure: Failure) -> String {
        let known = self.reasons.get(&id).filter(|_| failure == Failure::Zygote);
        known.cloned().unwrap_or_else(|| failure.text().to_owned())
    }

    /// The name of a generation's group. The fleet may have forgotten the generation by now.
    pub(super) fn group_of(&self, id: GenerationId) -> String {
        let candidate = self.candidates.get(&id).map(|candidate| candidate.draft.name.clone());
        let opened = || self.runtimes.group(id.zygote()).map(|group| group.spec.group.clone());
        let planned = || Some(self.fleet.generation(id)?.groups.first()?.name.clone());
        candidate.or_else(opened).or_else(planned).unwrap_or_default()
    }

    /// What workers of a generation have written is logged after the line that says how the reload went, or after a time if other
    /// groups delay that line.
    pub(super) fn release_later(&mut self, id: GenerationId) {
        let wait = if self.fleet.is_unreported() { HOLD } else { Duration::ZERO };
        self.unheld.push((id, clock::now() + wait));
    }

    /// Logs what workers of such generations have written, where it is time.
    pub(super) fn release_outputs(&mut self) {
        if self.unheld.is_empty() {
            return;
        }
        let now = clock::now();
        let (due, rest) = std::mem::take(&mut self.unheld).into_iter().partition(|(_, at)| *at <= now);
        self.unheld = rest;
        for (id, _) in due {
            self.outputs.release_those(&mut self.poller, |key| key.generation == id);
        }
    }

    /// Logs all of it: the reload has been reported.
    pub(super) fn release_all_outputs(&mut self) {
        self.unheld.clear();
        self.outputs.release(&mut self.poller);
    }

    /// When the next output is due.
    pub(super) fn release_due(&self) -> Option<Moment> {
        self.unheld.iter().map(|(_, at)| *at).min()
    }
}

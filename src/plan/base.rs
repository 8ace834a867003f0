//! What a base zygote is asked, and what happens if it does not answer. Groups wait for it, and if it fails, their zygotes start PHP
//! themselves.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::BaseUse;
use crate::plan::fleet::ZygoteKey;
use crate::sys::clock::Moment;

/// From so many groups on that start PHP in the same way, a base zygote saves memory.
const ENOUGH: usize = 4;
/// How long it may take to start PHP. A group that then starts PHP itself has the rest of its own minute for that.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long it may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Most requests that are not answered yet.
const MOST_ASKED: usize = 8;
/// After so many ends in a row without an answer it is given up.
const MOST_ENDS: u32 = 3;

/// Distinguishes base zygotes. A later one has a larger number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct BaseId(pub u32);

/// Whether to start a base zygote for so many groups.
#[must_use]
pub(crate) fn is_worth_it(use_of_base: BaseUse, groups: usize) -> bool {
    match use_of_base {
        BaseUse::Always => groups > 0,
        BaseUse::Auto => groups >= ENOUGH,
        BaseUse::Never => false,
    }
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Start the base zygote.
    Start,
    /// Send it a request for that group's zygote.
    Ask(u64, ZygoteKey),
    /// Send it SIGKILL: it does not answer.
    Kill,
    /// Start that group's zygote without a base.
    StartAlone(ZygoteKey),
}

/// The state of a base zygote. Part of the state that a reload hands over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BasePlan {
    stage: Stage,
    /// Groups that wait for a zygote, in order.
    waiting: VecDeque<ZygoteKey>,
    /// Requests that were sent: the group, unless it no longer wants the zygote, and since when.
    asked: BTreeMap<u64, (Option<ZygoteKey>, Moment)>,
    last_request: u64,
    /// Ends in a row without an answer.
    ends: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    /// It was not started yet.
    #[default]
    None,
    /// It has ended, and is started again when a zygote is needed.
    Ended,
    /// PHP starts, since then.
    Starting(Moment),
    /// It can fork.
    Ready,
    /// It was killed and has not ended yet.
    Killed,
    /// It is of no use, and is not started again.
    Useless,
}

/// A request that was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answered {
    /// That group still wants the zygote.
    Wanted(ZygoteKey),
    /// Its group does not need it any more.
    Unwanted,
    /// There was no such request.
    Unasked,
}

impl BasePlan {
    /// Whether it was never started.
    #[must_use]
    pub(crate) fn is_new(&self) -> bool {
        self.stage == Stage::None
    }

    /// Groups have it: starts it for the first time.
    pub(crate) fn prepare(&mut self, now: Moment, steps: &mut Vec<Step>) {
        if self.is_new() {
            self.start(now, steps);
        }
    }

    fn start(&mut self, now: Moment, steps: &mut Vec<Step>) {
        if matches!(self.stage, Stage::None | Stage::Ended) {
            self.stage = Stage::Starting(now);
            steps.push(Step::Start);
        }
    }

    /// That group wants a zygote.
    pub(crate) fn want(&mut self, now: Moment, key: ZygoteKey, steps: &mut Vec<Step>) {
        if self.stage == Stage::Useless {
            steps.push(Step::StartAlone(key));
            return;
        }
        self.waiting.push_back(key);
        self.start(now, steps);
        self.ask(now, steps);
    }

    /// Whether a group waits for a zygote.
    #[must_use]
    pub(crate) fn is_wanted(&self, key: ZygoteKey) -> bool {
        self.waiting.contains(&key) || self.asked.values().any(|(wanted, _)| *wanted == Some(key))
    }

    /// That group does not want a zygote any more.
    pub(crate) fn cancel(&mut self, key: ZygoteKey) {
        self.waiting.retain(|waiting| *waiting != key);
        self.asked.values_mut().filter(|(wanted, _)| *wanted == Some(key)).for_each(|(wanted, _)| *wanted = None);
    }

    /// It can fork. `false`: it was not asked to start.
    pub(crate) fn fit(&mut self, now: Moment, steps: &mut Vec<Step>) -> bool {
        let starts = matches!(self.stage, Stage::Starting(_));
        if starts {
            self.stage = Stage::Ready;
            self.ask(now, steps);
        }
        starts
    }

    /// It cannot serve any group.
    pub(crate) fn unfit(&mut self, steps: &mut Vec<Step>) {
        self.stage = Stage::Useless;
        self.start_alone(steps);
    }

    /// It has answered that request.
    pub(crate) fn answered(&mut self, now: Moment, request: u64, steps: &mut Vec<Step>) -> Answered {
        let Some((wanted, _)) = self.asked.remove(&request) else {
            // The supervisor that has sent it may have been another one, before a reload.
            return if request <= self.last_request { Answered::Unwanted } else { Answered::Unasked };
        };
        self.ends = 0;
        self.ask(now, steps);
        wanted.map_or(Answered::Unwanted, Answered::Wanted)
    }

    /// Its process has ended, or could not be started.
    pub(crate) fn ended(&mut self, now: Moment, steps: &mut Vec<Step>) {
        let stood = matches!(self.stage, Stage::Ready | Stage::Killed);
        self.ends += 1;
        if !stood || self.ends >= MOST_ENDS {
            return self.unfit(steps);
        }
        self.stage = Stage::Ended;
        self.wait_again();
        if !self.waiting.is_empty() {
            self.start(now, steps);
        }
    }

    /// Requests that were sent and not answered are to be sent again: the process or the supervisor is another one.
    pub(crate) fn wait_again(&mut self) {
        let asked = std::mem::take(&mut self.asked);
        for key in asked.into_values().rev().filter_map(|(wanted, _)| wanted) {
            self.waiting.push_front(key);
        }
    }

    /// Sends requests that wait.
    pub(crate) fn ask(&mut self, now: Moment, steps: &mut Vec<Step>) {
        while self.stage == Stage::Ready && self.asked.len() < MOST_ASKED {
            let Some(key) = self.waiting.pop_front() else { return };
            self.last_request += 1;
            self.asked.insert(self.last_request, (Some(key), now));
            steps.push(Step::Ask(self.last_request, key));
        }
    }

    /// When `tick` is due.
    #[must_use]
    pub(crate) fn deadline(&self) -> Option<Moment> {
        match self.stage {
            Stage::Starting(since) => Some(since + START_LIMIT),
            Stage::Ready => self.asked.values().map(|(_, since)| *since + ANSWER_LIMIT).min(),
            Stage::None | Stage::Ended | Stage::Killed | Stage::Useless => None,
        }
    }

    /// If it does not start or answer in time, it is killed, and the groups start their zygotes without it.
    /// Returns whether that is so.
    pub(crate) fn tick(&mut self, now: Moment, steps: &mut Vec<Step>) -> bool {
        let late = self.deadline().is_some_and(|due| due <= now);
        if late {
            self.give_up(steps);
        }
        late
    }

    /// Whether it is not used and not started any more.
    #[must_use]
    pub(crate) fn is_useless(&self) -> bool {
        self.stage == Stage::Useless
    }

    /// Kills it: it does not answer, or not as agreed. If it stood, it is started again when it is next needed.
    pub(crate) fn give_up(&mut self, steps: &mut Vec<Step>) {
        let stood = self.stage == Stage::Ready;
        steps.push(Step::Kill);
        self.stage = if stood { Stage::Killed } else { Stage::Useless };
        self.start_alone(steps);
    }

    fn start_alone(&mut self, steps: &mut Vec<Step>) {
        self.wait_again();
        steps.extend(std::mem::take(&mut self.waiting).into_iter().map(Step::StartAlone));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fleet::GenerationId;

    const NOW: Moment = Moment::at_millis(1_000);

    fn key(id: u32) -> ZygoteKey {
        GenerationId(id).zygote()
    }

    fn steps(act: impl FnOnce(&mut Vec<Step>)) -> Vec<Step> {
        let mut steps = Vec::new();
        act(&mut steps);
        steps
    }

    fn ready() -> BasePlan {
        let mut base = BasePlan::default();
        assert_eq!(steps(|s| base.prepare(NOW, s)), [Step::Start]);
        assert_eq!(steps(|s| assert!(base.fit(NOW, s))), []);
        base
    }

    #[test]
    fn four_groups_are_worth_a_base() {
        assert!(!is_worth_it(BaseUse::Auto, 3) && is_worth_it(BaseUse::Auto, 4));
        assert!(is_worth_it(BaseUse::Always, 1) && !is_worth_it(BaseUse::Always, 0) && !is_worth_it(BaseUse::Never, 9));
    }

    #[test]
    fn groups_wait_until_it_is_ready_and_not_too_many_are_asked_for_at_once() {
        let mut base = BasePlan::default();
        assert_eq!(steps(|s| base.want(NOW, key(1), s)), [Step::Start]);
        for id in 2..=20 {
            assert_eq!(steps(|s| base.want(NOW, key(id), s)), []);
        }
        base.cancel(key(2));
        assert!(base.is_wanted(key(1)) && !base.is_wanted(key(2)));
        let asked = steps(|s| assert!(base.fit(NOW, s)));
        assert_eq!(asked.len(), MOST_ASKED);
        assert_eq!(asked[..2], [Step::Ask(1, key(1)), Step::Ask(2, key(3))]);
        let next = steps(|s| assert_eq!(base.answered(NOW, 2, s), Answered::Wanted(key(3))));
        assert_eq!(next, [Step::Ask(9, key(10))]);
        base.cancel(key(1));
        assert!(!base.is_wanted(key(1)));
        steps(|s| assert_eq!(base.answered(NOW, 1, s), Answered::Unwanted));
        steps(|s| assert_eq!(base.answered(NOW, 1, s), Answered::Unwanted));
        steps(|s| assert_eq!(base.answered(NOW, 99, s), Answered::Unasked));
        assert!(!base.fit(NOW, &mut Vec::new()), "it stands already");
    }

    #[test]
    fn one_that_never_stands_is_not_tried_again() {
        let mut base = BasePlan::default();
        steps(|s| base.want(NOW, key(1), s));
        assert_eq!(base.deadline(), Some(NOW + START_LIMIT));
        let mut late = base.clone();
        assert_eq!(steps(|s| assert!(late.tick(NOW + START_LIMIT, s))), [Step::Kill, Step::StartAlone(key(1))]);
        assert_eq!(steps(|s| late.want(NOW, key(2), s)), [Step::StartAlone(key(2))]);
        assert_eq!(steps(|s| base.ended(NOW, s)), [Step::StartAlone(key(1))]);
        assert_eq!(steps(|s| base.prepare(NOW, s)), []);
    }

    #[test]
    fn one_that_dies_is_started_again_for_those_that_wait() {
        let mut base = ready();
        assert_eq!(steps(|s| base.ended(NOW, s)), []);
        assert_eq!(steps(|s| base.prepare(NOW, s)), [], "not before it is needed");
        assert_eq!(steps(|s| base.want(NOW, key(1), s)), [Step::Start]);
        steps(|s| assert!(base.fit(NOW, s)));
        steps(|s| base.want(NOW, key(2), s));
        assert_eq!(steps(|s| base.ended(NOW, s)), [Step::Start]);
        assert_eq!(steps(|s| assert!(base.fit(NOW, s))), [Step::Ask(3, key(1)), Step::Ask(4, key(2))]);
        assert_eq!(steps(|s| base.ended(NOW, s)), [Step::StartAlone(key(1)), Step::StartAlone(key(2))]);
    }

    #[test]
    fn one_that_does_not_answer_is_killed_and_started_again_when_it_is_needed() {
        let mut base = ready();
        assert_eq!(base.deadline(), None);
        steps(|s| base.want(NOW, key(1), s));
        assert_eq!(steps(|s| assert!(!base.tick(NOW + Duration::from_secs(9), s))), []);
        assert_eq!(steps(|s| assert!(base.tick(NOW + ANSWER_LIMIT, s))), [Step::Kill, Step::StartAlone(key(1))]);
        assert_eq!(steps(|s| base.want(NOW, key(2), s)), [], "it waits for its end");
        assert_eq!(steps(|s| base.ended(NOW, s)), [Step::Start]);
        assert!(base.is_wanted(key(2)));
    }
}

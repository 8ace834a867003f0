//! Whole lives of fleets, without a process.

mod ends;
mod generations;
mod reports;
mod stored;

use std::time::Duration;

use super::*;
use crate::plan::scaling::Policy;
use crate::plan::watch::{Limits, Seen};
use crate::sys::clock::Moment;
use crate::sys::process::Exit;

/// Sees which workers are busy; all others are idle since the beginning.
pub(super) struct Sight<F>(pub(super) F);

impl<F: Fn(WorkerKey) -> bool> View for Sight<F> {
    fn is_busy(&self, worker: WorkerKey) -> bool {
        self.0(worker)
    }

    fn idle_since(&self, _worker: WorkerKey) -> Moment {
        Moment::at_millis(0)
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

/// Without those that only log what has happened.
pub(super) fn decisions(actions: Vec<Action>) -> Vec<Action> {
    let logs = |a: &Action| matches!(a, Action::Started { .. } | Action::WorkerEnded(..) | Action::ZygoteEnded(..));
    actions.into_iter().filter(|action| !logs(action)).collect()
}

pub(super) fn forked(key: WorkerKey, pid: i32) -> Event {
    Event::Forked { key, pid, claim: Claim::Proved(1) }
}

pub(super) fn exited(key: WorkerKey, exit: Exit) -> Event {
    Event::Exited { key, exit, requests: None }
}

/// Begins a reload of everything; returns the generations of the plans.
pub(super) fn begin(fleet: &mut Fleet, now: Moment, plans: &[GroupPlan]) -> Vec<GenerationId> {
    let ids = fleet.reload(now, Desired { plans, scope: &Scope::All, together: false });
    ids.into_iter().map(|id| id.unwrap()).collect()
}

/// The first group that is to be prepared, and where that is said.
pub(super) fn prepare(actions: &[Action]) -> Option<(usize, ZygoteKey)> {
    let of = |(at, action): (usize, &Action)| if let Action::Prepare(key) = action { Some((at, *key)) } else { None };
    actions.iter().enumerate().find_map(of)
}

/// A pool that listens at a path of its own.
pub(super) fn pool(name: &str, size: u32, policy: Policy, limits: Limits) -> PoolPlan {
    PoolPlan { name: name.to_owned(), addresses: vec![format!("/{name}")], size, policy, limits }
}

const NOBODY_BUSY: &dyn View = &view::Blind;

/// Pretends to carry actions out: zygotes come up, workers accept, dismissed ones leave.
struct Stage {
    fleet: Fleet,
    now: Moment,
    log: Vec<Action>,
    most: usize,
}

impl Stage {
    fn new(control_timeout: Duration) -> Self {
        let settings = Settings { control_timeout, ..Settings::default() };
        Self { fleet: Fleet::new(settings), now: Moment::at_millis(1000), log: Vec::new(), most: 0 }
    }

    fn plan(size: u32) -> Vec<GroupPlan> {
        vec![Self::group("www", size)]
    }

    /// A group with one pool of the same name.
    fn group(name: &str, size: u32) -> GroupPlan {
        let pools = vec![pool(name, size, Policy::Static, Limits::default())];
        GroupPlan { name: name.into(), fingerprint: 0, idle_limit: Duration::ZERO, pools }
    }

    /// Groups get what they need at once.
    fn decide(&mut self, event: Event) -> Vec<Action> {
        let mut actions = decisions(self.fleet.handle(self.now, event, NOBODY_BUSY));
        while let Some((at, key)) = prepare(&actions) {
            actions.remove(at);
            actions.extend(decisions(self.fleet.handle(self.now, Event::Prepared(key), NOBODY_BUSY)));
        }
        actions
    }

    fn event(&mut self, event: Event) {
        let actions = self.decide(event);
        self.carry_out(actions, &|_| false);
    }

    fn carry_out(&mut self, actions: Vec<Action>, stuck: &dyn Fn(WorkerKey) -> bool) {
        for action in actions {
            self.log.push(action);
            let alive = self.fleet.workers().count();
            self.most = self.most.max(alive);
            let events = match action {
                Action::Prepare(key) => vec![Event::Prepared(key)],
                Action::SpawnZygote(key) => vec![Event::ZygoteReady(key)],
                Action::Fork(key) => vec![forked(key, 100), Event::Accepting(key)],
                Action::Dismiss(key) | Action::KillZygote(key) | Action::KillSilent(key) => {
                    vec![Event::ZygoteGone(key)]
                }
                Action::Drain(id) => {
                    let keys: Vec<_> = self.fleet.workers().map(|(k, _)| k).filter(|k| k.generation == id).collect();
                    keys.into_iter()
                        .filter(|k| !stuck(*k))
                        .flat_map(|k| [Event::Left(k), exited(k, Exit::Code(0))])
                        .collect()
                }
                Action::Signal(key, _) => vec![exited(key, Exit::Signal(9, false))],
                _ => vec![],
            };
            for event in events {
                let next = self.fleet.handle(self.now, event, &Sight(stuck));
                self.carry_out(next, stuck);
            }
        }
    }

    fn started(size: u32) -> Self {
        let mut stage = Self::new(Duration::ZERO);
        begin(&mut stage.fleet, stage.now, &Self::plan(size));
        stage.event(Event::Tick);
        stage
    }

    fn readies(&self) -> usize {
        self.log.iter().filter(|a| matches!(a, Action::Ready)).count()
    }
}

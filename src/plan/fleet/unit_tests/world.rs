//! The processes of a fleet, imagined: zygotes come up or fail, workers accept, and leave when they are told to unless they are stuck.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::plan::fleet::members::Zygote;
use crate::plan::fleet::tests::{Sight, exited, forked};
use crate::plan::fleet::{Action, Desired, Event, Fleet, GroupPlan, Scope, Settings, WorkerKey, ZygoteKey};
use crate::sys::clock::Moment;
use crate::sys::process::Exit;

pub(super) struct World {
    pub(super) fleet: Fleet,
    pub(super) now: Moment,
    /// All actions but those that only log.
    pub(super) log: Vec<Action>,
    /// Groups whose zygotes end while they start.
    pub(super) fails: BTreeSet<String>,
    /// Groups that can't be prepared.
    pub(super) lacks: BTreeSet<String>,
    /// Groups whose preparation does not end.
    pub(super) hangs: BTreeSet<String>,
    /// Groups whose zygotes take their time to start.
    pub(super) slow: BTreeSet<String>,
    /// Groups whose workers don't leave: each is inside a request.
    pub(super) stuck: BTreeSet<String>,
    pub(super) together: bool,
    waiting: Vec<ZygoteKey>,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            fleet: Fleet::new(Settings::default()),
            now: Moment::at_millis(1000),
            log: Vec::new(),
            fails: BTreeSet::new(),
            lacks: BTreeSet::new(),
            hangs: BTreeSet::new(),
            slow: BTreeSet::new(),
            stuck: BTreeSet::new(),
            together: false,
            waiting: Vec::new(),
        }
    }

    pub(super) fn started(plans: &[GroupPlan]) -> Self {
        let mut world = Self::new();
        world.reload(plans, &Scope::All);
        world
    }

    /// Begins a reload and does what can be done at once.
    pub(super) fn begin(&mut self, plans: &[GroupPlan], scope: &Scope) {
        let report = self.fleet.conclude();
        self.log.extend(report);
        let _ = self.fleet.reload(self.now, Desired { plans, scope, together: self.together });
        self.event(Event::Tick);
    }

    /// The same, and time passes in which it is completed.
    pub(super) fn reload(&mut self, plans: &[GroupPlan], scope: &Scope) {
        self.begin(plans, scope);
        self.pass(Duration::from_millis(10));
    }

    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.fleet.deadline(self.now).filter(|due| *due <= end) {
            assert!(due >= self.now || due == Moment::default(), "{due:?} is over");
            self.now = self.now.max(due + Duration::from_millis(1));
            self.event(Event::Tick);
        }
        self.now = self.now.max(end);
        self.event(Event::Tick);
    }

    /// Zygotes that took their time are up now.
    pub(super) fn finish_starts(&mut self) {
        for key in std::mem::take(&mut self.waiting) {
            self.event(Event::ZygoteReady(key));
        }
        self.pass(Duration::from_millis(10));
        if !self.waiting.is_empty() {
            self.finish_starts();
        }
    }

    /// The state goes through the exec of a reload.
    pub(super) fn hand_over(&mut self) {
        let report = self.fleet.conclude();
        self.log.extend(report);
        let text = serde_json::to_string(&self.fleet.with_resources()).unwrap();
        self.fleet = serde_json::from_str(&text).unwrap();
    }

    pub(super) fn event(&mut self, event: Event) {
        let mut events = vec![event];
        while !events.is_empty() {
            let event = events.remove(0);
            let names = self.fleet.generations.iter().map(|g| (g.id, self.stuck.contains(&g.groups[0].name)));
            let stuck: BTreeMap<_, _> = names.collect();
            let sight = Sight(|worker: WorkerKey| stuck.get(&worker.generation).copied().unwrap_or(false));
            for action in self.fleet.handle(self.now, event, &sight) {
                events.extend(self.carry_out(action));
                self.log.push(action);
            }
        }
    }

    fn carry_out(&mut self, action: Action) -> Vec<Event> {
        let name = |key: ZygoteKey| self.fleet.generation(key.generation).map(|g| g.groups[0].name.clone());
        let is_in = |set: &BTreeSet<String>, key| name(key).is_some_and(|name| set.contains(&name));
        match action {
            Action::Prepare(key) if is_in(&self.lacks, key) => vec![Event::PrepareFailed(key)],
            Action::Prepare(key) if is_in(&self.hangs, key) => vec![],
            Action::Prepare(key) => vec![Event::Prepared(key)],
            Action::SpawnZygote(key) if is_in(&self.fails, key) => vec![Event::ZygoteGone(key)],
            Action::SpawnZygote(key) if is_in(&self.slow, key) => {
                self.waiting.push(key);
                vec![]
            }
            Action::SpawnZygote(key) => vec![Event::ZygoteReady(key)],
            Action::Fork(key) => vec![forked(key, 100), Event::Accepting(key)],
            Action::Dismiss(key) | Action::Release(key) => vec![Event::ZygoteGone(key)],
            Action::KillZygote(key) | Action::KillSilent(key) => {
                self.waiting.retain(|waiting| *waiting != key);
                vec![Event::ZygoteGone(key)]
            }
            Action::Drain(generation) if is_in(&self.stuck, generation.zygote()) => vec![],
            Action::Drain(id) => {
                let keys = self.fleet.workers().map(|(key, _)| key).filter(|key| key.generation == id);
                keys.flat_map(|key| [Event::Left(key), exited(key, Exit::Code(0))]).collect()
            }
            Action::Signal(key, _) => vec![exited(key, Exit::Signal(9, false))],
            _ => vec![],
        }
    }

    /// Groups that serve, by name, with the number of their generation.
    pub(super) fn numbers(&self) -> Vec<(String, u32)> {
        let serve = self.fleet.generations.iter().filter(|g| g.serves());
        let mut numbers: Vec<_> = serve.map(|g| (g.groups[0].name.clone(), g.number())).collect();
        numbers.sort();
        numbers
    }

    /// How the starts and reloads went, one after the other.
    pub(super) fn reports(&self) -> Vec<Action> {
        let reports = |a: &&Action| matches!(a, Action::Ready | Action::Refused | Action::StartFailed);
        self.log.iter().filter(reports).copied().collect()
    }

    /// Zygotes that start.
    pub(super) fn starting(&self) -> Vec<ZygoteKey> {
        let key = |g: &crate::plan::fleet::Generation| g.id.zygote();
        let starts = self.fleet.generations.iter().filter(|g| matches!(g.groups[0].zygote, Zygote::Starting(_)));
        starts.map(key).collect()
    }
}

impl World {
    /// In short, for messages of tests.
    pub(super) fn shown(&self) -> String {
        let generations = self.fleet.generations.iter().map(|g| {
            let pools = g.groups[0].pools.iter().map(|p| format!("{}{:?}", p.name, p.addresses));
            format!("{}.{} {:?} {:?} {}", g.id.0, g.number(), g.phase, g.groups[0].zygote, pools.collect::<String>())
        });
        let units = self.fleet.units.iter().map(|unit| format!("{unit:?}"));
        generations.chain(units).collect::<Vec<_>>().join("\n")
    }
}

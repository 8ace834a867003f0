//! The pools that the supervisor has told of.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::pool_numbers::Numbers;
use crate::ipc::{PoolView, ToMonitor, ViewPhase};
use crate::plan::events::Events;
use crate::scoreboard::{BoardView, Counts, ServiceView, TotalsView};

/// A pool of a generation.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) view: PoolView,
    pub(super) totals: TotalsView,
    board: BoardView,
}

/// All pools, and the supervisor.
#[derive(Debug)]
pub(super) struct Views {
    /// By id, so the newest of a pool is its last one.
    shown: BTreeMap<u64, Shown>,
    pub(super) service: ServiceView,
    /// What has happened.
    pub(super) events: Events,
    /// All pools were told once.
    pub(super) complete: bool,
    /// The highest numbers of each pool so far.
    highest: BTreeMap<String, Numbers>,
    /// Pools of which a generation has served, as long as they are there.
    served: BTreeSet<String>,
}

/// A pool with all its generations.
#[derive(Debug)]
pub(super) struct Pool<'a> {
    /// The generation that serves; the newest one if none does.
    pub(super) current: &'a Shown,
    /// Its workers.
    pub(super) counts: Counts,
    /// Workers of generations that do not serve yet.
    pub(super) coming: u64,
    /// Workers of generations that drain.
    pub(super) draining: u64,
    /// The memory in bytes that only workers of the pool use, of all generations.
    pub(super) private: u64,
    pub(super) numbers: Numbers,
}

impl Pool<'_> {
    /// Whether a generation serves. One that a reload has removed finishes its requests and is no failure.
    pub(super) fn is_up(&self) -> bool {
        self.current.view.phase != ViewPhase::Starting
    }
}

impl Views {
    pub(super) fn new(service: ServiceView) -> Self {
        Self {
            shown: BTreeMap::new(),
            service,
            events: Events::default(),
            complete: false,
            highest: BTreeMap::new(),
            served: BTreeSet::new(),
        }
    }

    /// Takes a message.
    ///
    /// # Errors
    /// Its memory cannot be mapped.
    pub(super) fn take(&mut self, message: ToMonitor, fds: &[OwnedFd]) -> io::Result<()> {
        match message {
            ToMonitor::Show(view) => {
                let [totals, board] = fds else { return Err(io::Error::other("a pool without its memories")) };
                let totals = TotalsView::map(totals.as_fd())?;
                let board = BoardView::map(board.as_fd(), view.slots)?;
                self.note_served(&view.pool, view.phase);
                self.shown.insert(view.id, Shown { view, totals, board });
            }
            ToMonitor::Phase { id, phase } => {
                if let Some(shown) = self.shown.get_mut(&id) {
                    shown.view.phase = phase;
                    let pool = shown.view.pool.clone();
                    self.note_served(&pool, phase);
                }
            }
            ToMonitor::Hide { id } => {
                self.shown.remove(&id);
                let left: BTreeSet<&str> = self.shown.values().map(|shown| shown.view.pool.as_str()).collect();
                self.highest.retain(|pool, _| left.contains(pool.as_str()));
                self.served.retain(|pool| left.contains(pool.as_str()));
            }
            ToMonitor::Event(kept) => self.events.take(kept),
            ToMonitor::Complete => self.complete = true,
            ToMonitor::Executing => {}
        }
        Ok(())
    }

    fn note_served(&mut self, pool: &str, phase: ViewPhase) {
        if phase != ViewPhase::Starting && !self.served.contains(pool) {
            self.served.insert(pool.to_owned());
        }
    }

    /// The pools by name.
    pub(super) fn pools(&mut self) -> Vec<Pool<'_>> {
        let Self { shown, highest, .. } = self;
        let mut by_name: BTreeMap<&str, Vec<&Shown>> = BTreeMap::new();
        for one in shown.values() {
            by_name.entry(&one.view.pool).or_default().push(one);
        }
        by_name.into_iter().filter_map(|(name, generations)| pool(name, &generations, highest)).collect()
    }

    /// The generations of a pool with their scoreboards: first the one that serves, then the newest.
    pub(super) fn boards(&self, name: &str) -> Vec<(&PoolView, &BoardView)> {
        let mut found: Vec<_> = self.shown.values().filter(|one| one.view.pool == name).collect();
        found.sort_by_key(|one| std::cmp::Reverse((one.view.phase, one.view.id)));
        found.into_iter().map(|one| (&one.view, &one.board)).collect()
    }

    /// Whether generations start while others serve, as during a reload.
    pub(super) fn is_changing(&self) -> bool {
        self.shown.values().any(|one| one.view.phase == ViewPhase::Starting)
    }

    /// Pools of which no generation serves, but one is to. A pool that a reload has removed only drains. One that a reload has added
    /// does not count before it serves for the first time: php-fpm serves what it has served before. At the start each counts.
    pub(super) fn unserved(&self, at_start: bool) -> Vec<&str> {
        let names = |phase| -> BTreeSet<&str> {
            let shown = self.shown.values().filter(|one| one.view.phase == phase);
            shown.map(|one| one.view.pool.as_str()).collect()
        };
        let (coming, served) = (names(ViewPhase::Starting), names(ViewPhase::Serving));
        coming.difference(&served).filter(|pool| at_start || self.served.contains(**pool)).copied().collect()
    }
}

fn pool<'a>(name: &str, generations: &[&'a Shown], highest: &mut BTreeMap<String, Numbers>) -> Option<Pool<'a>> {
    let current = *generations.iter().max_by_key(|one| (one.view.phase, one.view.id))?;
    // Requests that are set aside count once more, and a pool that gets another user goes on with a copy of its numbers. Neither may
    // make a counter fall.
    let numbers = Numbers::read(&current.totals);
    let numbers = match highest.get(name) {
        Some(former) => numbers.at_least(former),
        None => numbers,
    };
    highest.insert(name.to_owned(), numbers.clone());
    let of_others = |phase| {
        let others = generations.iter().filter(|one| one.view.id != current.view.id && one.view.phase == phase);
        others.map(|one| all(one.board.counts())).sum()
    };
    let counts = current.board.counts();
    let (coming, draining) = (of_others(ViewPhase::Starting), of_others(ViewPhase::Draining));
    let private = generations.iter().fold(0_u64, |sum, one| sum.saturating_add(one.board.private_memory()));
    Some(Pool { current, counts, coming, draining, private, numbers })
}

fn all(Counts { starting, idle, busy }: Counts) -> u64 {
    starting + idle + busy
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::scoreboard::{self, Counter, Service, Slot, Totals};
    use crate::sys::shared::read_only;

    const SLOTS: u32 = 3;

    pub(in super::super) struct World {
        pub(in super::super) views: Views,
        totals: OwnedFd,
        boards: Vec<OwnedFd>,
    }

    impl World {
        pub(in super::super) fn new() -> Self {
            let service = Service::create().unwrap();
            let view = ServiceView::map(read_only(service.as_fd()).unwrap().as_fd()).unwrap();
            Self { views: Views::new(view), totals: Totals::create().unwrap(), boards: Vec::new() }
        }

        pub(in super::super) fn show(&mut self, phase: ViewPhase) -> u64 {
            let board = scoreboard::create(SLOTS).unwrap();
            let fds = [&self.totals, &board].map(|fd| read_only(fd.as_fd()).unwrap());
            self.boards.push(board);
            let id = self.boards.len() as u64;
            let (pool, group) = ("www".to_owned(), "www".to_owned());
            let (address, manager) = ("unix:///run/x".to_owned(), "static".to_owned());
            let view = PoolView { id, pool, group, generation: 1, address, manager, slots: SLOTS, limit: SLOTS, phase };
            self.views.take(ToMonitor::Show(view), &fds).unwrap();
            id
        }

        pub(in super::super) fn totals(&self) -> Totals {
            Totals::map(self.totals.as_fd()).unwrap()
        }

        pub(in super::super) fn worker(&self, generation: u64, slot: u32) -> Slot {
            let board = &self.boards[usize::try_from(generation).unwrap() - 1];
            let slot = Slot::new(scoreboard::Scoreboard::map(board.as_fd(), SLOTS).unwrap(), self.totals(), slot);
            slot.open(7, 1);
            slot.stage(crate::request::Stage::Idle);
            slot
        }
    }

    #[test]
    fn the_generation_that_serves_is_shown_and_others_are_counted_beside_it() {
        let mut world = World::new();
        let old = world.show(ViewPhase::Serving);
        let _idle = world.worker(old, 0);
        world.worker(old, 2).begin(1);
        let new = world.show(ViewPhase::Starting);
        let _coming = world.worker(new, 1);
        let seen = |world: &mut World| {
            let pools = world.views.pools();
            assert_eq!(pools.len(), 1);
            let Pool { current, counts, coming, draining, .. } = &pools[0];
            (current.view.id, counts.idle, counts.busy, *coming, *draining)
        };
        assert_eq!(seen(&mut world), (old, 1, 1, 1, 0));
        world.views.take(ToMonitor::Phase { id: new, phase: ViewPhase::Serving }, &[]).unwrap();
        world.views.take(ToMonitor::Phase { id: old, phase: ViewPhase::Draining }, &[]).unwrap();
        assert_eq!(seen(&mut world), (new, 1, 0, 0, 2));
        assert!(world.views.unserved(false).is_empty());
        world.views.take(ToMonitor::Hide { id: old }, &[]).unwrap();
        world.views.take(ToMonitor::Phase { id: new, phase: ViewPhase::Starting }, &[]).unwrap();
        assert_eq!(world.views.unserved(false), ["www"]);
        // A reload has removed the pool, and its last workers finish their requests.
        world.views.take(ToMonitor::Phase { id: new, phase: ViewPhase::Draining }, &[]).unwrap();
        assert!(world.views.unserved(false).is_empty());
    }

    #[test]
    fn a_new_pool_counts_at_the_start_and_then_once_it_has_served() {
        let mut world = World::new();
        let first = world.show(ViewPhase::Starting);
        assert_eq!((world.views.unserved(true), world.views.unserved(false)), (vec!["www"], vec![]));
        world.views.take(ToMonitor::Phase { id: first, phase: ViewPhase::Serving }, &[]).unwrap();
        let next = world.show(ViewPhase::Starting);
        world.views.take(ToMonitor::Hide { id: first }, &[]).unwrap();
        assert_eq!(world.views.unserved(false), ["www"], "it has served, and does so no longer");
        world.views.take(ToMonitor::Hide { id: next }, &[]).unwrap();
        world.show(ViewPhase::Starting);
        assert!(world.views.unserved(false).is_empty(), "it was away in between, so it is a new one");
    }

    #[test]
    fn counters_do_not_fall() {
        let mut world = World::new();
        let id = world.show(ViewPhase::Serving);
        let requests = |world: &mut World| world.views.pools()[0].numbers.counter(Counter::Requests);
        world.totals().add(Counter::Requests, 5);
        assert_eq!(requests(&mut world), 5);
        world.totals().take_back(Counter::Requests);
        assert_eq!(requests(&mut world), 5);
        world.totals().add(Counter::Requests, 3);
        assert_eq!(requests(&mut world), 7);
        world.views.take(ToMonitor::Hide { id }, &[]).unwrap();
        assert!(world.views.pools().is_empty() && world.views.highest.is_empty());
    }

    #[test]
    fn the_memories_of_the_monitor_cannot_be_written() {
        let totals = Totals::create().unwrap();
        assert!(Totals::map(read_only(totals.as_fd()).unwrap().as_fd()).is_err(), "EACCES");
    }
}

//! The supervisor's file descriptors: whether there are enough for the pools, and for one more process.

use std::io;
use std::time::Duration;

use crate::log::{self, messages::pools};
use crate::plan::descriptors::{GROUP, Need, PoolNeed, Table, ZYGOTE_START};
use crate::plan::fleet::{Life, Phase, PoolState, Worker, WorkerKey};
use crate::supervisor::core::Supervisor;
use crate::supervisor::generation::{GroupDraft, StartError};
use crate::sys::clock::{self, Moment};
use crate::sys::fd;
use crate::sys::limits::FileLimits;

/// How often it is logged that there are too few.
const LOG_PAUSE: Duration = Duration::from_secs(60);
/// How often the open ones are counted, while there seem to be enough.
const COUNT_PAUSE: Duration = Duration::from_secs(1);

impl Supervisor {
    /// Compares the need of a configuration with the limit.
    ///
    /// # Errors
    /// At the first start: the pools could not all be served.
    pub(super) fn check_descriptors(&mut self, drafts: &[GroupDraft]) -> Result<(), StartError> {
        let groups = u64::try_from(drafts.len()).unwrap_or(u64::MAX);
        let need = Need::of(groups, drafts.iter().flat_map(|draft| &draft.pools));
        self.descriptors.again = need.again;
        let limit = FileLimits::of_process()?.soft;
        if need.least > limit && self.fleet.generations().is_empty() {
            return Err(StartError::Descriptors { least: need.least, limit });
        }
        if need.most > limit {
            log::say(&pools::descriptors_may_run_out(need.most, limit));
        }
        Ok(())
    }

    /// Whether a worker may be forked. Where there are not enough descriptors for all, each pool gets its first worker.
    pub(super) fn has_room_for_worker(&mut self, key: WorkerKey) -> bool {
        let Some(pool) = self.runtimes.pool(key.of_pool()).map(PoolNeed::of) else { return true };
        // The worker's ends are open here until the zygote has taken them.
        let count = pool.worker * 2;
        // Workers are asked for in the order of their slots.
        let is_later = |(slot, worker): (&u32, &Worker)| *slot >= key.slot && worker.life == Life::Asked;
        let is_first = self.fleet.pool(key).is_some_and(|pool| pool.workers.iter().all(is_later));
        let leaves_room = |supervisor: &Self| {
            let promised = match is_first || supervisor.table().is_spacious() {
                true => 0,
                false => supervisor.descriptors.again + supervisor.promised(),
            };
            supervisor.table().has_room(count, promised)
        };
        let has_room = pool.worker == 0 || self.has_room(leaves_room);
        if has_room {
            self.descriptors.since += count;
        } else if !self.table().has_room(count, self.descriptors.again) {
            // Otherwise only the first workers of other pools go before.
            self.log_shortage();
        }
        has_room
    }

    /// Whether a zygote may be started.
    ///
    /// # Errors
    /// How many descriptors there are, if that is too few.
    pub(super) fn check_room_for_zygote(&mut self) -> io::Result<()> {
        if !self.has_room(|supervisor| supervisor.table().has_room_for_zygote()) {
            self.log_shortage();
            let Table { open, limit } = self.table();
            return Err(io::Error::other(format!("{open} of {limit} file descriptors are open, the rest is reserved")));
        }
        self.descriptors.since += GROUP;
        Ok(())
    }

    /// Whether there is room, by a count of the open ones that is recent.
    fn has_room(&mut self, is_enough: impl Fn(&Self) -> bool) -> bool {
        let now = clock::now();
        if now.since(self.descriptors.when) >= COUNT_PAUSE {
            self.count_descriptors(now);
        }
        is_enough(self) || {
            // What is said to have been opened since may have been closed.
            self.count_descriptors(now);
            is_enough(self)
        }
    }

    /// The zygotes and first workers of pools that have none yet.
    fn promised(&self) -> u64 {
        let mut promised = 0;
        for generation in self.fleet.generations().iter().filter(|g| g.phase != Phase::Draining) {
            let runtime = self.runtimes.get(generation.id);
            for (group, specs) in generation.groups.iter().zip(runtime.iter().flat_map(|runtime| &runtime.groups)) {
                promised += if specs.zygote.is_none() { GROUP + ZYGOTE_START } else { 0 };
                let has_none = |pool: &PoolState| pool.workers.values().all(|worker| worker.life == Life::Asked);
                let pools = group.pools.iter().zip(&specs.spec.pools).filter(|(pool, _)| has_none(pool));
                promised += pools.map(|(_, spec)| 2 * PoolNeed::of(&spec.config).worker).sum::<u64>();
            }
        }
        promised
    }

    fn table(&self) -> Table {
        let limit = FileLimits::of_process().map_or(u64::MAX, |limits| limits.soft);
        Table { open: self.descriptors.counted + self.descriptors.since, limit }
    }

    fn count_descriptors(&mut self, now: Moment) {
        let counted = fd::count_open().unwrap_or(self.descriptors.counted);
        let descriptors = &mut self.descriptors;
        (descriptors.counted, descriptors.since, descriptors.when) = (counted, 0, now);
    }

    fn log_shortage(&mut self) {
        let now = clock::now();
        if now >= self.descriptors.log_at {
            self.descriptors.log_at = now + LOG_PAUSE;
            let Table { open, limit } = self.table();
            log::say(&pools::descriptors_run_out(open, limit));
        }
    }
}

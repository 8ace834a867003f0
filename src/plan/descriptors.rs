//! How many file descriptors the supervisor needs, and which of the free ones a new process may use. Some always stay free, so that
//! reloads, signals and logs work when there are not enough for all workers.

use crate::config::PoolConfig;
use crate::sys::clock::Moment;

/// The supervisor's own: standard streams, log, epoll set, signals, results, systemd. A process with no pool has a few less.
const OWN: u64 = 24;
/// Stay free for what takes descriptors for a moment only: the check of a reload, logs that are opened again, a process that starts.
const RESERVE: u64 = 64;
/// What a zygote leaves of the reserve. Zygotes may use the rest: a reload starts some when the workers have taken all else.
const ZYGOTES_LEAVE: u64 = RESERVE / 2;
/// Of a group with a zygote: orders, reports, drain signal, output.
pub(crate) const GROUP: u64 = 4;
/// The zygote's ends of these and its specification, until it runs.
pub(crate) const ZYGOTE_START: u64 = 5;
/// Of a captured stream or of a direction of a tracer's talk.
const PIPE: u64 = 1;

/// The need of one pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PoolNeed {
    /// Listening sockets and counters, which all generations of the pool share.
    shared: u64,
    /// The scoreboard, and the access log.
    own: u64,
    /// Of each worker: captured output, the pipes of its tracer.
    pub(crate) worker: u64,
    /// `pm.max_children`.
    workers: u64,
}

/// The need of a configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Need {
    /// With one worker for each pool, as far as that is needed to serve all pools.
    pub(crate) least: u64,
    /// With all workers, and during a reload.
    pub(crate) most: u64,
    /// Of another generation of the same pools, without its workers.
    pub(crate) again: u64,
}

impl PoolNeed {
    /// The need of that pool.
    #[must_use]
    pub(crate) fn of(pool: &PoolConfig) -> Self {
        let traced = !(pool.request_slowlog_timeout.is_zero() && pool.request_terminate_timeout.is_zero());
        Self {
            shared: 1 + u64::try_from(pool.listen.len()).unwrap_or(u64::MAX),
            own: 1 + u64::from(pool.access_log.is_some()),
            worker: 2 * PIPE * (u64::from(pool.catch_workers_output) + u64::from(traced)),
            workers: u64::from(pool.pm_max_children),
        }
    }
}

impl Need {
    /// The need of so many groups with these pools.
    #[must_use]
    pub(crate) fn of<'a>(groups: u64, pools: impl Iterator<Item = &'a PoolConfig> + Clone) -> Self {
        let sum = |of: fn(PoolNeed) -> u64| pools.clone().map(|pool| of(PoolNeed::of(pool))).sum::<u64>();
        let again = groups * GROUP + sum(|pool| pool.own);
        let fixed = OWN + RESERVE + again + sum(|pool| pool.shared);
        // A worker's own ends of its pipes are here until its zygote has them.
        let least = fixed + sum(|pool| pool.worker * 2);
        Self { least, most: fixed + again + sum(|pool| pool.worker * pool.workers.max(2)), again }
    }
}

/// The table of descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Table {
    /// How many are open.
    pub(crate) open: u64,
    /// How many may be open (RLIMIT_NOFILE).
    pub(crate) limit: u64,
}

impl Table {
    /// Whether a worker that needs `count` more leaves the reserve free, and those that are `promised` to others.
    #[must_use]
    pub(crate) fn has_room(self, count: u64, promised: u64) -> bool {
        self.open.saturating_add(count).saturating_add(RESERVE).saturating_add(promised) <= self.limit
    }

    /// Whether one more zygote leaves enough of the reserve free.
    #[must_use]
    pub(crate) fn has_room_for_zygote(self) -> bool {
        self.open.saturating_add(GROUP + ZYGOTE_START + ZYGOTES_LEAVE) <= self.limit
    }

    /// Whether it is so empty that promises need not be added up: they are at most about as many as are open.
    #[must_use]
    pub(crate) fn is_spacious(self) -> bool {
        self.open.saturating_add(RESERVE) < self.limit / 4
    }
}

/// How many are open, about.
#[derive(Debug, Default)]
pub(crate) struct Descriptors {
    /// As counted last.
    pub(crate) counted: u64,
    /// When.
    pub(crate) when: Moment,
    /// At most so many were opened since then.
    pub(crate) since: u64,
    /// When it may be logged again that there are too few.
    pub(crate) log_at: Moment,
    /// The need of one more generation of the same pools, without its workers.
    pub(crate) again: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_and_what_is_promised_stay_free() {
        let table = Table { open: 100, limit: 300 };
        assert!(table.has_room(136, 0) && !table.has_room(137, 0));
        assert!(table.has_room(36, 100) && !table.has_room(37, 100) && !table.has_room(u64::MAX, 0));
        assert!(Table { open: 259, limit: 300 }.has_room_for_zygote());
        assert!(!Table { open: 260, limit: 300 }.has_room_for_zygote());
        assert!(!table.is_spacious() && Table { open: 100, limit: 1024 }.is_spacious());
    }
}

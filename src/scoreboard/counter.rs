//! The words of a pool's totals.

/// The counters. In quotes: the field of the status page that shows the counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counter {
    /// "accepted conn": requests begun. `Slot::begin` counts them.
    Requests = 0,
    /// Connections parked with the zygote.
    Parked = 1,
    /// Times a worker was woken for another connection while it held one.
    Disrupted = 2,
    /// Workers inside a request, for `ActiveMax`. `Scoreboard::snapshot` counts "active processes" from the slots.
    Active = 3,
    /// "max active processes": the most of them at once.
    ActiveMax = 4,
    /// "listen queue": connections in the backlog, when the supervisor last looked (`Totals::note_queue`).
    Queue = 5,
    /// "max listen queue": the highest value of `Queue`.
    QueueMax = 6,
    /// "listen queue len": the size of the backlog.
    QueueLimit = 7,
    /// "max children reached": times that `pm.max_children` kept the pool from growing.
    LimitReached = 8,
    /// "slow requests": requests that the supervisor has logged as slow (`report_slow`).
    Slow = 9,
    /// "memory peak": the most memory of a request, in bytes. `Slot::end` raises it.
    MemoryPeak = 10,
    /// "start time": when the pool started, in seconds since 1970.
    Started = 11,
    /// Not 0: a status page was requested, so CPU times are measured.
    Watched = 12,
    /// How many times the supervisor has opened the access logs again. Only the supervisor writes it.
    Reopened = 13,
    /// Clients that `listen.allowed_clients` has refused since the last log line about it.
    Refused = 14,
    /// When that line was logged, in milliseconds of the monotonic clock; 0: never.
    RefusalTold = 15,
    /// Not 0: php-fpm is about to stop, and the ping page tells clients not to send more requests. Only the
    /// supervisor writes it.
    Leaving = 16,
    /// "incomplete forms": forms that were cut off. The worker's tracker counts them (`not_run`).
    Incomplete = 17,
    /// "abandoned requests": requests that were dropped because their clients had gone. Counted in `not_run`, too.
    Abandoned = 18,
    /// Settings of requests that were refused since the last log line about it.
    SettingsRefused = 19,
    /// When that line was logged, as in `RefusalTold`.
    SettingTold = 20,
    /// Not 0: the last reload could not change the pool's group, which keeps its configuration. Only the supervisor writes it.
    Outdated = 21,
    /// How many times workers were asked to clear their caches of files (`php-fpm cache clear`). Only the supervisor writes it.
    CachesCleared = 22,
    /// Workers that were forked. From here on the words are for the monitor, and only the supervisor writes them, except `CpuUser`
    /// and `CpuSystem`.
    Starts = 24,
    /// Workers that have ended, by reason: see `plan::exit_reason`. The eight words are in its order.
    ExitMaxRequests = 25,
    /// See there.
    ExitMaxMemory = 26,
    /// See there.
    ExitIdle = 27,
    /// See there.
    ExitReload = 28,
    /// See there.
    ExitCrash = 29,
    /// See there.
    ExitTimeout = 30,
    /// See there.
    ExitOom = 31,
    /// See there.
    ExitOther = 32,
    /// Requests inside workers that ended before they had answered.
    Lost = 33,
    /// User time of the pool's workers in microseconds, measured while there is a monitor.
    CpuUser = 34,
    /// The same for system time.
    CpuSystem = 35,
    /// Not 0: there is a monitor, so workers measure what costs a system call.
    Monitored = 36,
    /// `pm.max_children`.
    Limit = 37,
    /// How many workers the pool is to have now.
    Wanted = 38,
    /// Zygotes of the pool's group that have started.
    ZygoteStarts = 39,
}

/// The counters that only rise. They go on through reloads.
pub(crate) const RISING: [Counter; 23] = {
    use Counter::{
        Abandoned, ActiveMax, CpuSystem, CpuUser, Disrupted, ExitCrash, ExitIdle, ExitMaxMemory, ExitMaxRequests,
        ExitOom, ExitOther, ExitReload, ExitTimeout, Incomplete, LimitReached, Lost, MemoryPeak, Parked, QueueMax,
        Requests, Slow, Starts, ZygoteStarts,
    };
    [
        Requests,
        Parked,
        Disrupted,
        ActiveMax,
        QueueMax,
        LimitReached,
        Slow,
        MemoryPeak,
        Incomplete,
        Abandoned,
        Starts,
        ExitMaxRequests,
        ExitMaxMemory,
        ExitIdle,
        ExitReload,
        ExitCrash,
        ExitTimeout,
        ExitOom,
        ExitOther,
        Lost,
        CpuUser,
        CpuSystem,
        ZygoteStarts,
    ]
};

impl Counter {
    /// That of workers that have ended for this reason, by its place in `plan::exit_reason::REASONS`.
    #[must_use]
    pub(crate) fn of_exit(reason: usize) -> Self {
        use Counter::{
            ExitCrash, ExitIdle, ExitMaxMemory, ExitMaxRequests, ExitOom, ExitOther, ExitReload, ExitTimeout,
        };
        let all = [ExitMaxRequests, ExitMaxMemory, ExitIdle, ExitReload, ExitCrash, ExitTimeout, ExitOom];
        all.get(reason).copied().unwrap_or(ExitOther)
    }
}

//! The numbers of a pool at a moment.

use crate::scoreboard::{CLASSES, Counter, Histogram, TotalsView};

/// The counters that only rise.
const RISING: [Counter; 20] = {
    use Counter::{
        Abandoned, ActiveMax, CpuSystem, CpuUser, ExitCrash, ExitIdle, ExitMaxMemory, ExitMaxRequests, ExitOom,
        ExitOther, ExitReload, ExitTimeout, Incomplete, LimitReached, Lost, MemoryPeak, Parked, QueueMax, Requests,
        Slow,
    };
    [
        Requests,
        Parked,
        ActiveMax,
        QueueMax,
        LimitReached,
        Slow,
        MemoryPeak,
        Incomplete,
        Abandoned,
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
    ]
};

/// Numbers that only rise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Numbers {
    counters: [u64; RISING.len()],
    starts: u64,
    /// By class of statuses.
    pub(super) durations: [Histogram; CLASSES.len()],
    pub(super) waits: Histogram,
}

impl Numbers {
    pub(super) fn read(totals: &TotalsView) -> Self {
        Self {
            counters: RISING.map(|counter| totals.get(counter)),
            starts: totals.get(Counter::Starts),
            durations: std::array::from_fn(|class| totals.durations(class)),
            waits: totals.waits(),
        }
    }

    /// A counter; 0 for one that does not only rise.
    pub(super) fn counter(&self, counter: Counter) -> u64 {
        if counter == Counter::Starts {
            return self.starts;
        }
        RISING.iter().position(|one| *one == counter).and_then(|at| self.counters.get(at)).copied().unwrap_or(0)
    }

    /// The higher value of each.
    pub(super) fn at_least(mut self, former: &Self) -> Self {
        raise(&mut self.counters, &former.counters);
        self.starts = self.starts.max(former.starts);
        let histograms = self.durations.iter_mut().chain([&mut self.waits]);
        for (own, former) in histograms.zip(former.durations.iter().chain([&former.waits])) {
            raise(&mut own.counts, &former.counts);
            own.sum = own.sum.max(former.sum);
        }
        self
    }
}

fn raise(own: &mut [u64], former: &[u64]) {
    own.iter_mut().zip(former).for_each(|(own, former)| *own = (*own).max(*former));
}

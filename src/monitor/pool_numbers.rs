//! The numbers of a pool at a moment.

use crate::engine::CodeCache;
use crate::scoreboard::{CLASSES, Counter, Histogram, RISING, TotalsView};

/// Numbers that only rise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Numbers {
    counters: [u64; RISING.len()],
    /// By class of statuses.
    pub(super) durations: [Histogram; CLASSES.len()],
    pub(super) waits: Histogram,
    /// Those of the opcode cache, from `CodeCache::FIRST_RISING` on.
    pub(super) cache: [u64; CodeCache::RISING],
}

impl Numbers {
    pub(super) fn read(totals: &TotalsView) -> Self {
        let cache = totals.code_cache().numbers;
        Self {
            counters: RISING.map(|counter| totals.get(counter)),
            durations: std::array::from_fn(|class| totals.durations(class)),
            waits: totals.waits(),
            cache: std::array::from_fn(|at| cache.all()[CodeCache::FIRST_RISING + at]),
        }
    }

    /// A counter; 0 for one that does not only rise.
    pub(super) fn counter(&self, counter: Counter) -> u64 {
        RISING.iter().position(|one| *one == counter).and_then(|at| self.counters.get(at)).copied().unwrap_or(0)
    }

    /// The higher value of each.
    pub(super) fn at_least(mut self, former: &Self) -> Self {
        raise(&mut self.counters, &former.counters);
        raise(&mut self.cache, &former.cache);
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

//! Numbers of the opcode cache in the totals of a pool. A worker writes them now and then. Each zygote has a cache of its own, so the
//! counters go on from the values of the former one. Pools of one group share a cache, and each has what its own workers last saw.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::engine::CodeCache;

/// The words of the section.
pub(super) const WORDS: usize = 32;

/// When a worker last claimed the next measurement, in microseconds of the monotonic clock.
const CLAIMED: usize = 0;
/// When the zygote of the measured cache was ready, in milliseconds of the monotonic clock. It tells caches apart.
const BORN: usize = 1;
/// Not 0: there is a cache.
const ENABLED: usize = 2;
const VALUES: usize = 3;
/// What the rising numbers had reached in former caches, and before restarts of this one.
const BASES: usize = VALUES + CodeCache::FIRST_RISING + CodeCache::RISING;

const _: () = assert!(BASES + CodeCache::RISING <= WORDS);

/// Between two measurements of a pool, in microseconds.
const INTERVAL: u64 = 5_000_000;

/// What workers last saw of the cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CacheView {
    /// When, in microseconds of the monotonic clock; 0: never.
    pub(crate) seen: u64,
    /// There is a cache.
    pub(crate) enabled: bool,
    /// Its numbers. Those that rise are sums over all caches that the pool had.
    pub(crate) numbers: CodeCache,
}

/// Whether a measurement is due. If it is, this worker is the one to make it.
pub(super) fn claim<'a>(word: impl Fn(usize) -> &'a AtomicU64, now: u64) -> bool {
    let claimed = word(CLAIMED);
    let last = claimed.load(Ordering::Relaxed);
    let due = last == 0 || now.saturating_sub(last) >= INTERVAL;
    due && claimed.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
}

/// Writes what the worker that has the claim sees. `born`: when its zygote was ready.
pub(super) fn note<'a>(word: impl Fn(usize) -> &'a AtomicU64, born: u64, cache: Option<&CodeCache>) {
    let get = |at| word(at).load(Ordering::Relaxed);
    let set = |at, value| word(at).store(value, Ordering::Relaxed);
    let known = get(BORN);
    if born < known {
        // The next generation has a cache of its own and serves already.
        return;
    }
    set(BORN, born);
    set(ENABLED, u64::from(cache.is_some()));
    let Some(cache) = cache else { return };
    let former = CodeCache::of(|at| get(VALUES + at));
    let is_other = born > known;
    let restarted = is_other || cache.restarts() != former.restarts();
    for (at, (new, old)) in cache.all().iter().zip(former.all()).enumerate() {
        // The value first: a reader between the two sees too little, which it does not show.
        set(VALUES + at, *new);
        let Some(rising) = at.checked_sub(CodeCache::FIRST_RISING) else { continue };
        // A restart begins with hits and misses again, and keeps the number of restarts.
        let begins_again = is_other || new < old || restarted && rising < 2;
        if begins_again {
            set(BASES + rising, get(BASES + rising).wrapping_add(*old));
        }
    }
}

/// Reads what was written; `word` reads one.
pub(super) fn view(word: impl Fn(usize) -> u64) -> CacheView {
    let numbers = CodeCache::of(|at| {
        let base = at.checked_sub(CodeCache::FIRST_RISING).map_or(0, |rising| word(BASES + rising));
        word(VALUES + at).wrapping_add(base)
    });
    CacheView { seen: word(CLAIMED), enabled: word(ENABLED) != 0, numbers }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::CacheNumber::{Hits, ManualRestarts, MemoryUsed, OomRestarts};

    struct World([AtomicU64; WORDS]);

    impl World {
        fn new() -> Self {
            Self(std::array::from_fn(|_| AtomicU64::new(0)))
        }

        fn note(&self, born: u64, (hits, oom, manual): (u64, u64, u64)) {
            let mut cache = CodeCache::default();
            [(MemoryUsed, 7), (Hits, hits), (OomRestarts, oom), (ManualRestarts, manual)]
                .into_iter()
                .for_each(|(number, value)| cache.set(number, value));
            note(|at| &self.0[at], born, Some(&cache));
        }

        fn seen(&self) -> (u64, u64, u64) {
            let CacheView { numbers, .. } = view(|at| self.0[at].load(Ordering::Relaxed));
            (numbers.get(Hits), numbers.get(OomRestarts), numbers.get(ManualRestarts))
        }
    }

    #[test]
    fn counters_go_on_after_restarts_and_in_the_cache_of_the_next_zygote() {
        let world = World::new();
        world.note(100, (5, 0, 0));
        world.note(100, (9, 0, 0));
        assert_eq!(world.seen(), (9, 0, 0));
        // A restart: hits begin again, and are more than before when they are next seen.
        world.note(100, (12, 1, 0));
        assert_eq!(world.seen(), (21, 1, 0));
        world.note(100, (14, 1, 0));
        assert_eq!(world.seen(), (23, 1, 0));
        world.note(200, (3, 0, 2));
        assert_eq!(world.seen(), (26, 1, 2));
        world.note(200, (4, 0, 2));
        assert_eq!(world.seen(), (27, 1, 2));
    }

    #[test]
    fn a_worker_of_a_former_generation_changes_nothing() {
        let world = World::new();
        world.note(200, (9, 0, 0));
        world.note(100, (50, 3, 3));
        assert_eq!(world.seen(), (9, 0, 0));
        note(|at| &world.0[at], 100, None);
        let seen = view(|at| world.0[at].load(Ordering::Relaxed));
        assert!(seen.enabled && seen.numbers.get(MemoryUsed) == 7);
        note(|at| &world.0[at], 300, None);
        assert!(!view(|at| world.0[at].load(Ordering::Relaxed)).enabled && world.seen().0 == 9);
    }

    #[test]
    fn one_worker_measures_in_an_interval() {
        let world = World::new();
        let due = |now| claim(|at| &world.0[at], now);
        assert_eq!([1_000, 1_000, 5_000_999, 5_001_000, 5_001_001].map(due), [true, false, false, true, false]);
    }
}

//! Histograms of times. The buckets are the same for all of them: from 244 µs to 256 s, each power of two of a second, and the middle
//! between two of them. A monitor that wants powers of two only can add up neighbours.

/// How many buckets have an upper bound. One more has none.
pub(crate) const BOUNDS: usize = 41;

/// All buckets.
pub(super) const BUCKETS: usize = BOUNDS + 1;

/// The words of a histogram: its buckets, and the sum of all times in microseconds.
pub(super) const WORDS: usize = BUCKETS + 1;

/// The sum's place.
pub(super) const SUM: usize = BUCKETS;

/// The values of a histogram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Histogram {
    /// How many times are in each bucket; the last one has no upper bound.
    pub(crate) counts: [u64; BUCKETS],
    /// The sum of all times, in microseconds.
    pub(crate) sum: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], sum: 0 }
    }
}

impl Histogram {
    /// How many times there are.
    #[must_use]
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.wrapping_add(*count))
    }

    /// Adds the values of another one.
    pub(crate) fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(own, more)| *own = own.wrapping_add(*more));
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

impl Histogram {
    /// What has been added since an earlier state.
    #[must_use]
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let mut more = self.clone();
        more.counts.iter_mut().zip(&earlier.counts).for_each(|(own, former)| *own = own.saturating_sub(*former));
        more.sum = more.sum.saturating_sub(earlier.sum);
        more
    }

    /// The time in seconds that a part of all times, such as 0.95, does not exceed. Within a bucket, times count as spread evenly; those
    /// of the last one count as its lower bound. `None`: there are no times.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a time between two bounds")]
    pub(crate) fn quantile(&self, part: f64) -> Option<f64> {
        let all: f64 = self.counts.iter().map(|count| *count as f64).sum();
        let rank = all * part;
        let mut below = 0.0;
        for (at, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let count = *count as f64;
            if below + count >= rank {
                let lower = at.checked_sub(1).map_or(0.0, bound);
                let upper = if at < BOUNDS { bound(at) } else { lower };
                return Some(lower + (upper - lower) * ((rank - below) / count).clamp(0.0, 1.0));
            }
            below += count;
        }
        // Rounding may leave a rest.
        self.counts.iter().rposition(|count| *count > 0).map(|at| bound(at.min(BOUNDS - 1)))
    }
}

/// The bucket of a time in microseconds: the first one whose bound is not lower.
pub(super) fn bucket(micros: u64) -> usize {
    // In units of 2^-13 seconds, rounded up: the bounds are 2, 3, 4, 6, 8, 12 and so on.
    let units = micros.saturating_mul(128).div_ceil(15_625);
    let Some(below) = units.checked_sub(1).filter(|below| *below > 1) else { return 0 };
    let power = usize::try_from(below.ilog2()).unwrap_or(BOUNDS);
    let is_upper_half = below >> (power - 1) & 1 == 1;
    (2 * (power - 1) + 1 + usize::from(is_upper_half)).min(BOUNDS)
}

/// The upper bound of a bucket, in seconds.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "small integers are exact")]
pub(crate) fn bound(bucket: usize) -> f64 {
    const UNIT: f64 = 1.0 / 8192.0;
    let half = bucket.div_ceil(2).min(60);
    (if bucket.is_multiple_of(2) { 2_u64 << half } else { 3_u64 << (half - 1) }) as f64 * UNIT
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_bounds_are_powers_of_two_and_their_middles() {
        assert_eq!((bound(0), bound(1), bound(2)), (1.0 / 4096.0, 1.5 / 4096.0, 2.0 / 4096.0));
        assert_eq!((bound(22), bound(23), bound(24), bound(BOUNDS - 1)), (0.5, 0.75, 1.0, 256.0));
        assert!((1..BOUNDS).all(|at| bound(at) > bound(at - 1)));
    }

    #[test]
    fn a_time_that_is_a_bound_is_in_its_bucket() {
        assert_eq!((bucket(0), bucket(244), bucket(245)), (0, 0, 1));
        assert_eq!((bucket(500_000), bucket(500_001), bucket(750_000), bucket(750_001)), (22, 23, 23, 24));
        assert_eq!((bucket(256_000_000), bucket(256_000_001), bucket(u64::MAX)), (BOUNDS - 1, BOUNDS, BOUNDS));
    }

    fn of(times: &[u64]) -> Histogram {
        let mut all = Histogram::default();
        times.iter().for_each(|micros| all.counts[bucket(*micros)] += 1);
        all
    }

    #[test]
    fn quantiles_are_between_the_bounds_of_their_bucket() {
        assert_eq!(Histogram::default().quantile(0.5), None);
        let half = of(&[400_000; 100]);
        // All are between 0.375 and 0.5.
        assert_eq!((half.quantile(0.5), half.quantile(1.0)), (Some(0.4375), Some(0.5)));
        let mut mixed = [1_000_u64; 90].to_vec();
        mixed.extend([2_500_000; 10]);
        let mixed = of(&mixed);
        assert!(mixed.quantile(0.5).is_some_and(|time| time < 0.0015));
        assert!(mixed.quantile(0.95).is_some_and(|time| (2.0..3.0).contains(&time)));
        assert_eq!(of(&[u64::MAX]).quantile(0.5), Some(256.0));
        let mut wild = of(&[1]);
        wild.counts = [u64::MAX; BUCKETS];
        assert!(wild.quantile(0.99).is_some_and(|time| time <= 256.0));
    }

    #[test]
    fn a_difference_is_never_negative() {
        let (few, many) = (of(&[10, 500_000]), of(&[10, 500_000, 500_000]));
        assert_eq!((many.since(&few).count(), few.since(&many).count()), (1, 0));
    }

    proptest! {
        #[test]
        fn quantiles_rise(times in proptest::collection::vec(any::<u64>(), 1..50), low in 0.0..1.0, more in 0.0..1.0) {
            let times = of(&times);
            let high: f64 = low + (1.0 - low) * more;
            prop_assert!(times.quantile(low) <= times.quantile(high) && times.quantile(high) <= Some(256.0));
        }

        #[test]
        fn each_time_is_in_the_first_bucket_that_has_room(micros in 0_u64..300_000_000) {
            #[allow(clippy::cast_precision_loss)]
            let first = (0..BOUNDS).find(|at| micros as f64 <= bound(*at) * 1e6).unwrap_or(BOUNDS);
            prop_assert_eq!(bucket(micros), first);
        }
    }
}

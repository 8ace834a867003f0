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

    proptest! {
        #[test]
        fn each_time_is_in_the_first_bucket_that_has_room(micros in 0_u64..300_000_000) {
            #[allow(clippy::cast_precision_loss)]
            let first = (0..BOUNDS).find(|at| micros as f64 <= bound(*at) * 1e6).unwrap_or(BOUNDS);
            prop_assert_eq!(bucket(micros), first);
        }
    }
}

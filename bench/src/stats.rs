//! Least value, median and quantiles.

use std::time::Duration;

/// The least value; NaN if there is none.
pub(crate) fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NAN, f64::min)
}

/// The median: of an even number of values, the mean of the two in the middle. NaN if there is none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.get(middle), sorted.len() % 2) {
        (None, _) => f64::NAN,
        (Some(high), 0) => f64::midpoint(sorted[middle - 1], *high),
        (Some(value), _) => *value,
    }
}

/// The time within which this share (0 to 1) of the sorted times stays (nearest rank); zero if there is none.
pub(crate) fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_and_median() {
        assert_eq!(least(&[3.0, 1.0, 2.0]), 1.0);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(least(&[]).is_nan() && median(&[]).is_nan());
    }

    #[test]
    fn quantiles_are_values_that_occurred() {
        let times: Vec<Duration> = (1..1001).map(Duration::from_millis).collect();
        let of = |share| quantile(&times, share).as_millis();
        assert_eq!((of(0.0), of(0.5), of(0.99), of(0.999), of(1.0)), (1, 500, 990, 999, 1000));
        assert_eq!(quantile(&times[..1], 0.999), Duration::from_millis(1));
        assert_eq!(quantile(&[], 0.5), Duration::ZERO);
    }
}

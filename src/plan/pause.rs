//! Pauses after failures in a row.

use std::time::Duration;

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(30);
/// The shortest one.
const SHORTEST: Duration = Duration::from_millis(100);

/// How long to wait after that many failures in a row: not at all after the first, then 100 ms, doubling up to 30 s.
#[must_use]
pub(crate) fn pause_after(failures: u32) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        n => (SHORTEST * (1 << (n - 2).min(9))).min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses: Vec<_> = (0..5).map(|failures| pause_after(failures).as_millis()).collect();
        assert_eq!(pauses, [0, 0, 100, 200, 400]);
        assert_eq!((pause_after(10), pause_after(11), pause_after(u32::MAX)), (SHORTEST * 256, LONGEST, LONGEST));
    }
}

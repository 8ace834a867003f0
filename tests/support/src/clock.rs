//! Waits for a condition, with a limit.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Outcome;

/// Milliseconds.
#[must_use]
pub fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A time limit, multiplied by `CGI_FPM_SLACK` (for machines with other load; default 1).
#[must_use]
pub fn bar(limit: Duration) -> Duration {
    let slack = std::env::var("CGI_FPM_SLACK").ok().and_then(|text| text.parse().ok());
    limit.mul_f64(slack.unwrap_or(1.0))
}

/// Polls every 2 ms until the answer is yes; returns how long it took.
///
/// # Errors
/// If the condition did not hold within the limit; the text is then `what`.
pub fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) -> Outcome<Duration> {
    let start = Instant::now();
    while !holds() {
        crate::ensure!(start.elapsed() < limit, "not within {limit:?}: {what}");
        sleep(ms(2));
    }
    Ok(start.elapsed())
}

//! Waiting for something with a limit.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Outcome;

/// Milliseconds.
#[must_use]
pub fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A bar of the issue, times `CGI_FPM_SLACK` (for machines that do other work meanwhile; 1 where it isn't set).
#[must_use]
pub fn bar(limit: Duration) -> Duration {
    let slack = std::env::var("CGI_FPM_SLACK").ok().and_then(|text| text.parse().ok());
    limit.mul_f64(slack.unwrap_or(1.0))
}

/// Asks every 2 ms until the answer is yes; gives back how long it took.
///
/// # Errors
/// When it wasn't within the limit; `what` is then the text.
pub fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) -> Outcome<Duration> {
    let start = Instant::now();
    while !holds() {
        crate::ensure!(start.elapsed() < limit, "not within {limit:?}: {what}");
        sleep(ms(2));
    }
    Ok(start.elapsed())
}

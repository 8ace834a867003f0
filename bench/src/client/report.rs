//! What a client saw in one run.

use std::time::Duration;

/// The times of answers, and what was not answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    /// How long each request took, sorted. A request that was not answered counts with its wait so far.
    pub(crate) latencies: Vec<Duration>,
    /// Answered requests.
    pub(crate) answered: usize,
    /// Of an open loop: requests without an answer at its end, including those that found no free connection.
    pub(crate) unanswered: usize,
    /// Connections that got an answer.
    pub(crate) served: usize,
    /// Connections that the web server closed and that were opened again.
    pub(crate) reopened: usize,
    /// From the first request to the last answer.
    pub(crate) elapsed: Duration,
}

impl Report {
    /// Answers per second.
    pub(crate) fn rate(&self) -> f64 {
        self.answered as f64 / self.elapsed.as_secs_f64()
    }
}

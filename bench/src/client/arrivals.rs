//! When requests are due.

use std::time::{Duration, Instant};

/// The plan of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Schedule {
    /// Closed loop: a connection sends its next request after an answer, until so many answers have arrived.
    Closed { answers: usize },
    /// Open loop: so many requests, one each interval, whether the server keeps up or not.
    Open { interval: Duration, requests: usize },
}

/// The requests that were not sent yet.
#[derive(Debug)]
pub(crate) struct Arrivals {
    schedule: Schedule,
    start: Instant,
    /// Requests handed out so far.
    sent: usize,
}

impl Arrivals {
    /// The first is due at `start`.
    pub(crate) fn new(schedule: Schedule, start: Instant) -> Self {
        Self { schedule, start, sent: 0 }
    }

    /// When the next request is due; None: no more are sent.
    pub(crate) fn next(&self, now: Instant) -> Option<Instant> {
        match self.schedule {
            Schedule::Closed { .. } => Some(now),
            Schedule::Open { requests, .. } if self.sent >= requests => None,
            // From the start, so that rounding does not add up.
            Schedule::Open { interval, .. } => Some(self.start + interval.mul_f64(self.sent as f64)),
        }
    }

    /// Takes the next request if it is due by now. The time returned is the one that its latency counts from: the intended
    /// one, however late it is sent.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Instant> {
        let due = self.next(now).filter(|due| *due <= now)?;
        self.sent += 1;
        Some(due)
    }

    /// Whether a run with so many answers is over.
    pub(crate) fn is_over(&self, answered: usize) -> bool {
        match self.schedule {
            Schedule::Closed { answers } => answered >= answers,
            Schedule::Open { requests, .. } => answered >= requests,
        }
    }

    /// Whether it is an open loop.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.schedule, Schedule::Open { .. })
    }

    /// Requests that are due by now and were not taken: no connection was free. Their intended times.
    pub(crate) fn overdue(&mut self, now: Instant) -> Vec<Instant> {
        match self.schedule {
            Schedule::Closed { .. } => Vec::new(),
            Schedule::Open { .. } => std::iter::from_fn(|| self.take(now)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn an_open_loop_keeps_the_intended_times() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(Schedule::Open { interval: MS, requests: 4 }, start);
        assert_eq!(arrivals.take(start), Some(start));
        assert_eq!(arrivals.take(start + MS / 2), None);
        // The client was late: both are due, each with its own time.
        let late = start + MS * 5 / 2;
        assert_eq!(
            (arrivals.take(late), arrivals.take(late), arrivals.take(late)),
            (Some(start + MS), Some(start + MS * 2), None)
        );
        assert_eq!(arrivals.next(late), Some(start + MS * 3));
        assert!(!arrivals.is_over(3));
        assert_eq!(arrivals.overdue(start + MS * 10), [start + MS * 3]);
        assert_eq!(arrivals.next(late), None);
        assert!(arrivals.is_over(4));
    }

    #[test]
    fn a_closed_loop_always_has_the_next() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(Schedule::Closed { answers: 2 }, start);
        for _ in 0..5 {
            assert_eq!(arrivals.take(start), Some(start));
        }
        assert!(arrivals.overdue(start).is_empty());
        assert!(!arrivals.is_over(1) && arrivals.is_over(2));
    }
}

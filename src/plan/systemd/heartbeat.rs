//! When systemd is told that we are alive and how much load there is, and php-fpm's line about that.

use std::time::Duration;

use crate::sys::clock::{self, Moment};

/// All pools together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Workers inside a request.
    pub active: u64,
    /// Workers that wait.
    pub idle: u64,
    /// Requests begun.
    pub requests: u64,
    /// Those that were slow.
    pub slow: u64,
}

/// Two intervals: that of the watchdog, from the start on, and that of the status, from when pools serve.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    watchdog: Option<Interval>,
    status: Option<Interval>,
    /// Requests at the last status, and when it was.
    last: Sample,
}

#[derive(Debug, Clone, Copy)]
struct Interval {
    every: Duration,
    next: Moment,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    requests: u64,
    at: Moment,
}

impl Interval {
    /// Whether it is due; the next time then is one interval from now.
    fn take(&mut self, now: Moment) -> bool {
        let due = self.next <= now;
        if due {
            self.next = now + self.every;
        }
        due
    }
}

impl Heartbeat {
    /// The watchdog is fed at this interval, for the first time at once.
    #[must_use]
    pub(crate) fn new(watchdog: Option<Duration>, now: Moment) -> Self {
        let watchdog = watchdog.map(|every| Interval { every, next: now });
        Self { watchdog, status: None, last: Sample { requests: 0, at: now } }
    }

    /// Pools serve, and the status is told at this interval; zero: never.
    pub(crate) fn tell_status(&mut self, every: Duration, now: Moment, requests: u64) {
        if self.status.map_or(Duration::ZERO, |status| status.every) != every {
            self.status = (!every.is_zero()).then(|| Interval { every, next: now + every });
            self.last = Sample { requests, at: now };
        }
    }

    /// When something is due.
    #[must_use]
    pub(crate) fn deadline(&self) -> Option<Moment> {
        self.watchdog.into_iter().chain(self.status).map(|interval| interval.next).min()
    }

    /// Whether there is a watchdog.
    #[must_use]
    pub(crate) fn has_watchdog(&self) -> bool {
        self.watchdog.is_some()
    }

    /// Whether to feed the watchdog now.
    pub(crate) fn feed(&mut self, now: Moment) -> bool {
        self.watchdog.as_mut().is_some_and(|watchdog| watchdog.take(now))
    }

    /// Whether to send the status now.
    pub(crate) fn is_status_due(&mut self, now: Moment) -> bool {
        self.status.as_mut().is_some_and(|status| status.take(now))
    }

    /// php-fpm's line, with the requests a second since the last one.
    #[allow(clippy::cast_precision_loss, reason = "a rate of two places")]
    pub(crate) fn status(&mut self, load: Load, now: Moment) -> String {
        let last = std::mem::replace(&mut self.last, Sample { requests: load.requests, at: now });
        let millis = clock::millis(now.since(last.at)).max(1);
        let traffic = load.requests.saturating_sub(last.requests) as f64 * 1000.0 / millis as f64;
        let Load { active, idle, requests, slow } = load;
        format!(
            "Processes active: {active}, idle: {idle}, Requests: {requests}, slow: {slow}, Traffic: {traffic:.2}req/sec"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_go_their_own_way() {
        let mut beat = Heartbeat::new(Some(Duration::from_millis(300)), Moment::at_millis(1000));
        assert_eq!(beat.deadline(), Some(Moment::at_millis(1000)));
        assert!(
            beat.feed(Moment::at_millis(1000))
                && !beat.feed(Moment::at_millis(1299))
                && !beat.is_status_due(Moment::at_millis(9000))
        );
        beat.tell_status(Duration::from_millis(1000), Moment::at_millis(1100), 0);
        assert_eq!(beat.deadline(), Some(Moment::at_millis(1300)));
        assert!(
            beat.feed(Moment::at_millis(2050))
                && !beat.is_status_due(Moment::at_millis(2050))
                && beat.is_status_due(Moment::at_millis(2100))
        );
        assert!(!beat.is_status_due(Moment::at_millis(3099)) && beat.is_status_due(Moment::at_millis(3200)));
    }

    #[test]
    fn an_interval_of_zero_is_no_status() {
        let mut beat = Heartbeat::new(None, Moment::at_millis(5));
        beat.tell_status(Duration::from_millis(0), Moment::at_millis(5), 0);
        assert!(
            beat.deadline().is_none()
                && !beat.feed(Moment::at_millis(9000))
                && !beat.is_status_due(Moment::at_millis(9000))
        );
    }

    #[test]
    fn to_serve_again_after_a_refused_reload_does_not_put_the_status_off() {
        let mut beat = Heartbeat::new(None, Moment::at_millis(0));
        beat.tell_status(Duration::from_millis(1000), Moment::at_millis(0), 0);
        beat.tell_status(Duration::from_millis(1000), Moment::at_millis(900), 5);
        assert!(beat.is_status_due(Moment::at_millis(1000)));
    }

    #[test]
    fn traffic_is_that_since_the_last_line() {
        let mut beat = Heartbeat::new(None, Moment::at_millis(0));
        beat.tell_status(Duration::from_millis(1000), Moment::at_millis(0), 10);
        let mut line =
            |requests, at| beat.status(Load { active: 1, idle: 2, requests, slow: 3 }, Moment::at_millis(at));
        assert_eq!(line(15, 2000), "Processes active: 1, idle: 2, Requests: 15, slow: 3, Traffic: 2.50req/sec");
        assert!(line(16, 5000).ends_with("Traffic: 0.33req/sec"));
        // A pool has gone, and its requests with it.
        assert!(line(4, 6000).ends_with("Traffic: 0.00req/sec"));
    }
}

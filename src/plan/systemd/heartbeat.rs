//! When systemd is to hear from us, and php-fpm's line about the load.

use crate::sys::clock::Millis;

/// All pools together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Workers inside a request.
    pub active: u64,
    /// Workers that wait.
    pub idle: u64,
    /// Requests begun.
    pub requests: u64,
    /// Those that were slow.
    pub slow: u64,
}

/// Two clocks: one for the watchdog, from the start on; one for the status, from when pools serve.
#[derive(Debug)]
pub struct Heartbeat {
    /// In milliseconds, and when it is next.
    watchdog: Option<(u64, Millis)>,
    /// The same; 0: never.
    status: (u64, Millis),
    /// Requests at the last status, and when it was.
    last: (u64, Millis),
}

impl Heartbeat {
    /// The watchdog is fed every so many milliseconds, for the first time at once.
    #[must_use]
    pub fn new(watchdog: Option<u64>, now: Millis) -> Self {
        Self { watchdog: watchdog.map(|every| (every, now)), status: (0, now), last: (0, now) }
    }

    /// Pools serve, and the status is to be told every so many milliseconds.
    pub fn tell_status(&mut self, every: u64, now: Millis, requests: u64) {
        if self.status.0 != every {
            self.status = (every, now.plus(every));
            self.last = (requests, now);
        }
    }

    /// When there is something to be said.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        let status = (self.status.0 > 0).then_some(self.status.1);
        self.watchdog.map(|(_, next)| next).into_iter().chain(status).min()
    }

    /// Whether the watchdog is to be fed now.
    pub fn feed(&mut self, now: Millis) -> bool {
        match &mut self.watchdog {
            Some((every, next)) if *next <= now => {
                *next = now.plus(*every);
                true
            }
            _ => false,
        }
    }

    /// Whether the status is to be told now.
    pub fn is_status_due(&mut self, now: Millis) -> bool {
        let (every, next) = self.status;
        let due = every > 0 && next <= now;
        if due {
            self.status.1 = now.plus(every);
        }
        due
    }

    /// php-fpm's line, with the requests a second since the last one.
    #[allow(clippy::cast_precision_loss, reason = "a rate of two places")]
    pub fn status(&mut self, load: Load, now: Millis) -> String {
        let (requests, since) = std::mem::replace(&mut self.last, (load.requests, now));
        let traffic = load.requests.saturating_sub(requests) as f64 * 1000.0 / now.since(since).max(1) as f64;
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
        let mut beat = Heartbeat::new(Some(300), Millis(1000));
        assert_eq!(beat.deadline(), Some(Millis(1000)));
        assert!(beat.feed(Millis(1000)) && !beat.feed(Millis(1299)) && !beat.is_status_due(Millis(9000)));
        beat.tell_status(1000, Millis(1100), 0);
        assert_eq!(beat.deadline(), Some(Millis(1300)));
        assert!(beat.feed(Millis(2050)) && !beat.is_status_due(Millis(2050)) && beat.is_status_due(Millis(2100)));
        assert!(!beat.is_status_due(Millis(3099)) && beat.is_status_due(Millis(3200)));
    }

    #[test]
    fn an_interval_of_zero_is_no_status() {
        let mut beat = Heartbeat::new(None, Millis(5));
        beat.tell_status(0, Millis(5), 0);
        assert!(beat.deadline().is_none() && !beat.feed(Millis(9000)) && !beat.is_status_due(Millis(9000)));
    }

    #[test]
    fn to_serve_again_after_a_refused_reload_does_not_put_the_status_off() {
        let mut beat = Heartbeat::new(None, Millis(0));
        beat.tell_status(1000, Millis(0), 0);
        beat.tell_status(1000, Millis(900), 5);
        assert!(beat.is_status_due(Millis(1000)));
    }

    #[test]
    fn traffic_is_that_since_the_last_line() {
        let mut beat = Heartbeat::new(None, Millis(0));
        beat.tell_status(1000, Millis(0), 10);
        let mut line = |requests, at| beat.status(Load { active: 1, idle: 2, requests, slow: 3 }, Millis(at));
        assert_eq!(line(15, 2000), "Processes active: 1, idle: 2, Requests: 15, slow: 3, Traffic: 2.50req/sec");
        assert!(line(16, 5000).ends_with("Traffic: 0.33req/sec"));
        // A pool has gone, and its requests with it.
        assert!(line(4, 6000).ends_with("Traffic: 0.00req/sec"));
    }
}

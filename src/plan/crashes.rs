//! Workers that crash: when a group's shared memory may be damaged, and when a pool's workers fail in a loop.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::sys::clock::{self, Moment};
use crate::sys::process::Exit;

/// `emergency_restart_threshold` and `emergency_restart_interval`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Emergency {
    /// That many crashes; 0: never.
    pub threshold: u32,
    /// Within this time.
    #[serde(with = "clock::as_millis")]
    pub interval: Duration,
}

/// A group's latest crashes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Crashes {
    times: Vec<Moment>,
}

impl Crashes {
    /// Counts one more. True: they are too many, and the count starts again.
    pub(crate) fn note(&mut self, now: Moment, rule: Emergency) -> bool {
        let Some(threshold) = usize::try_from(rule.threshold).ok().filter(|t| *t > 0) else { return false };
        self.times.retain(|at| now.since(*at) <= rule.interval);
        self.times.push(now);
        let reached = self.times.len() >= threshold;
        if reached {
            self.times.clear();
        }
        reached
    }
}

/// The longest pause between two workers of a crash loop. It is long enough that the forks cost next to nothing, and short enough
/// that the queue of waiting connections, many of which their clients have closed, becomes empty in the end.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// The end of a worker that has waited for requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    /// How it has ended.
    pub exit: Exit,
    /// How many requests it had begun, if that is known.
    pub requests: Option<u64>,
    /// Nobody has told it to leave, and it has not said that it leaves.
    pub untold: bool,
    /// The time since it was asked for.
    pub age: Duration,
}

impl End {
    /// A worker without a request that ends so early has most likely failed while it made PHP ready for its first one.
    const EARLY: Duration = Duration::from_secs(1);

    /// Whether the next worker will most likely end in the same way: this one has crashed or exited with a failure at its first request
    /// or before, or it has ended early in any other way, for example because the system has killed it.
    #[must_use]
    pub(crate) fn is_of_loop(&self) -> bool {
        let failed = self.exit.is_crash() || self.untold && matches!(self.exit, Exit::Code(code) if code != 0);
        match self.requests {
            Some(0) => failed || self.untold && self.age < Self::EARLY,
            Some(1) => failed,
            Some(_) | None => false,
        }
    }

    /// Whether the worker has served a request and has then ended by itself: with `pm.max_requests = 1` no worker outlives its first one.
    #[must_use]
    pub(crate) fn is_regular(&self) -> bool {
        self.exit == Exit::Code(0) && self.requests.is_some_and(|count| count > 0)
    }
}

/// Workers of a pool that failed at their first request or before, in a row: a new one will most likely fail, too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Loop {
    crashes: u32,
}

impl Loop {
    /// From this crash on there are pauses.
    const TOLERATED: u32 = 5;
    /// The first pause.
    const SHORTEST_PAUSE: Duration = Duration::from_millis(25);

    /// Counts one more. True: restarts have pauses from now on, and the caller logs this.
    pub(crate) fn note(&mut self) -> bool {
        self.crashes = self.crashes.saturating_add(1);
        self.crashes == Self::TOLERATED
    }

    /// A worker has outlived its first request.
    pub(crate) fn end(&mut self) {
        self.crashes = 0;
    }

    /// Whether there were any.
    #[must_use]
    pub(crate) fn is_suspected(&self) -> bool {
        self.crashes > 0
    }

    /// How long to wait between two workers: 25 ms after the fifth crash, then doubling.
    #[must_use]
    pub(crate) fn pause(&self) -> Option<Duration> {
        let beyond = self.crashes.checked_sub(Self::TOLERATED)?;
        Some((Self::SHORTEST_PAUSE * (1 << beyond.min(16))).min(LONGEST_PAUSE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_counts_only_what_falls_into_the_interval() {
        let rule = Emergency { threshold: 3, interval: Duration::from_secs(10) };
        let mut crashes = Crashes::default();
        let reached = [0, 9_000, 12_000, 18_000, 18_500, 19_000].map(|at| crashes.note(Moment::at_millis(at), rule));
        assert_eq!(reached, [false, false, false, true, false, false]);
        assert!(crashes.note(Moment::at_millis(28_500), rule), "the boundary belongs to it");
    }

    #[test]
    fn without_a_threshold_nothing_is_an_emergency() {
        let mut crashes = Crashes::default();
        assert!((0..1000).all(|at| !crashes.note(Moment::at_millis(at), Emergency::default())));
        assert!(crashes.times.is_empty());
    }

    #[test]
    fn a_worker_that_ends_before_it_has_served_is_one_of_a_loop() {
        let end = |exit, requests| End { exit, requests, untold: true, age: Duration::from_millis(2) };
        let (crash, killed) = (Exit::Signal(libc::SIGSEGV, false), Exit::Signal(libc::SIGKILL, false));
        let rows = [
            (crash, [true, true, false]),
            (Exit::Code(137), [true, true, false]),
            (killed, [true, false, false]),
            (Exit::Code(0), [true, false, false]),
        ];
        for (exit, expected) in rows {
            assert_eq!([0, 1, 2].map(|requests| end(exit, Some(requests)).is_of_loop()), expected, "{exit:?}");
            assert!(!end(exit, None).is_of_loop(), "{exit:?}");
            let told = End { untold: false, ..end(exit, Some(0)) };
            assert_eq!(told.is_of_loop(), exit == crash, "{exit:?} after it was told to leave");
            let late = End { age: Duration::from_secs(60), ..end(exit, Some(0)) };
            assert_eq!(late.is_of_loop(), matches!(exit, Exit::Code(137)) || exit == crash, "{exit:?} after a minute");
            assert_eq!(end(exit, Some(1)).is_regular(), exit == Exit::Code(0), "{exit:?} after a request");
            assert!(!end(exit, Some(0)).is_regular() && !end(exit, None).is_regular(), "{exit:?}");
        }
    }

    #[test]
    fn a_loop_is_said_once_and_its_pauses_double_up_to_the_longest() {
        let mut crashes = Loop::default();
        let said: Vec<bool> = (0..13).map(|_| crashes.note()).collect();
        assert_eq!(said.iter().filter(|said| **said).count(), 1);
        assert!(said[4]);
        assert_eq!(crashes.pause(), Some(LONGEST_PAUSE));
        crashes.end();
        assert_eq!((crashes.pause(), crashes.is_suspected()), (None, false));
        let pauses: Vec<_> =
            (0..8).map(|_| (crashes.note(), crashes.pause()).1.map(|pause| pause.as_millis())).collect();
        assert_eq!(pauses, [None, None, None, None, Some(25), Some(50), Some(100), Some(200)]);
    }
}

//! A request that takes too long: when its trace is written, and when its worker is ended. Decided from the content of the worker's
//! slot.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::sys::clock::{self, Moment};

/// How long a trace may take before the worker is ended without it.
const TRACE: Duration = Duration::from_millis(500);
/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(1);
/// At least this time passes between two looks, so that a slot's content can't keep the supervisor busy.
pub(crate) const SOONEST: Duration = Duration::from_millis(20);

/// How long a request of a pool may take; zero: any time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limits {
    /// `request_slowlog_timeout`.
    #[serde(with = "clock::as_millis")]
    pub slow: Duration,
    /// `request_terminate_timeout`.
    #[serde(with = "clock::as_millis")]
    pub terminate: Duration,
    /// `request_terminate_timeout_track_finished`.
    pub track_finished: bool,
}

/// A worker's request, as its slot shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// When it began: microseconds of the monotonic clock. No two requests of a worker have the same.
    pub accepted: u64,
    /// How far it is.
    pub phase: Phase,
}

/// A request's phase, as far as limits depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It is being read, or its script looked for.
    Begun,
    /// Its script runs.
    Running,
    /// Its script has ended, or its answer has.
    Finished,
}

/// The measures against the request that began at `accepted`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Watch {
    accepted: u64,
    traced: bool,
    end: End,
}

/// How far the end of its worker has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum End {
    #[default]
    NotDue,
    /// SIGTERM at that time, or as soon as the trace is there.
    Traced(Moment),
    /// SIGKILL at that time.
    Terminated(Moment),
    Killed,
}

/// A thing to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Log that it is slow, and write a trace.
    Trace,
    /// Say that its time is over, and where it is.
    Report,
    /// SIGTERM.
    Terminate,
    /// SIGKILL.
    Kill,
}

impl Limits {
    /// Whether there is any.
    #[must_use]
    pub(crate) fn any(&self) -> bool {
        self.shortest().is_some()
    }

    /// The shortest: no request that begins now is due before.
    #[must_use]
    pub(crate) fn shortest(&self) -> Option<Duration> {
        [self.slow, self.terminate].into_iter().filter(|limit| !limit.is_zero()).min()
    }

    fn slow_at(&self, seen: Seen) -> Option<Moment> {
        (!self.slow.is_zero() && seen.phase == Phase::Running).then(|| seen.begun() + self.slow)
    }

    fn over_at(&self, seen: Seen) -> Option<Moment> {
        let counts = self.track_finished || seen.phase != Phase::Finished;
        (!self.terminate.is_zero() && counts).then(|| seen.begun() + self.terminate)
    }
}

impl Seen {
    fn begun(self) -> Moment {
        // Rounded up: php-fpm's limits are lower bounds.
        Moment::at_millis(self.accepted.div_ceil(1000))
    }
}

impl Watch {
    /// The measure that the present request needs now. It then counts as done.
    pub(crate) fn look(&mut self, now: Moment, limits: &Limits, seen: Option<Seen>) -> Option<Order> {
        let seen = seen?;
        if self.accepted != seen.accepted {
            *self = Self { accepted: seen.accepted, ..Self::default() };
        }
        let (order, end) = match self.end {
            End::NotDue if !self.traced && is_due(limits.slow_at(seen), now) => {
                self.traced = true;
                (Order::Trace, End::NotDue)
            }
            End::NotDue if is_due(limits.over_at(seen), now) => (Order::Report, End::Traced(now + TRACE)),
            End::Traced(at) if at <= now => (Order::Terminate, End::Terminated(now + GRACE)),
            End::Terminated(at) if at <= now => (Order::Kill, End::Killed),
            _ => return None,
        };
        self.end = end;
        Some(order)
    }

    /// Whether its worker was told to end because of it.
    #[must_use]
    pub(crate) fn has_ended_worker(&self) -> bool {
        matches!(self.end, End::Terminated(_) | End::Killed)
    }

    /// Its trace is there, or there will be none.
    pub(crate) fn reported(&mut self, now: Moment) {
        if matches!(self.end, End::Traced(_)) {
            self.end = End::Traced(now);
        }
    }

    /// When the next look is due.
    #[must_use]
    pub(crate) fn due(&self, limits: &Limits, seen: Option<Seen>) -> Option<Moment> {
        let seen = seen?;
        let known = if self.accepted == seen.accepted { *self } else { Self::default() };
        match known.end {
            End::NotDue => {
                let slow = limits.slow_at(seen).filter(|_| !known.traced);
                slow.into_iter().chain(limits.over_at(seen)).min()
            }
            End::Traced(at) | End::Terminated(at) => Some(at),
            End::Killed => None,
        }
    }
}

fn is_due(at: Option<Moment>, now: Moment) -> bool {
    at.is_some_and(|at| at <= now)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits =
        Limits { slow: Duration::from_secs(1), terminate: Duration::from_secs(3), track_finished: false };

    fn request(began: u64, phase: Phase) -> Option<Seen> {
        Some(Seen { accepted: began * 1000, phase })
    }

    #[test]
    fn slow_is_traced_once_then_reported_terminated_and_killed() {
        let (mut watch, seen) = (Watch::default(), request(10_000, Phase::Running));
        let steps = [(10_999, None), (11_000, Some(Order::Trace)), (11_001, None), (13_000, Some(Order::Report))];
        for (now, order) in steps {
            assert_eq!(watch.look(Moment::at_millis(now), &LIMITS, seen), order, "{now}");
        }
        assert_eq!(watch.look(Moment::at_millis(13_499), &LIMITS, seen), None);
        assert_eq!(watch.look(Moment::at_millis(13_500), &LIMITS, seen), Some(Order::Terminate));
        assert_eq!(watch.look(Moment::at_millis(14_499), &LIMITS, seen), None);
        assert_eq!(watch.look(Moment::at_millis(14_500), &LIMITS, seen), Some(Order::Kill));
        assert_eq!((watch.look(Moment::at_millis(99_000), &LIMITS, seen), watch.due(&LIMITS, seen)), (None, None));
    }

    #[test]
    fn the_trace_that_has_come_ends_the_wait_for_it() {
        let (mut watch, seen) = (Watch::default(), request(0, Phase::Running));
        let limits = Limits { slow: Duration::ZERO, ..LIMITS };
        assert_eq!(watch.look(Moment::at_millis(3_000), &limits, seen), Some(Order::Report));
        watch.reported(Moment::at_millis(3_002));
        assert_eq!(watch.look(Moment::at_millis(3_002), &limits, seen), Some(Order::Terminate));
    }

    #[test]
    fn another_request_starts_over_even_after_a_signal() {
        let mut watch = Watch::default();
        let first = request(0, Phase::Running);
        let _ = watch.look(Moment::at_millis(3_000), &Limits { slow: Duration::ZERO, ..LIMITS }, first);
        watch.reported(Moment::at_millis(3_000));
        let _ = watch.look(Moment::at_millis(3_000), &LIMITS, first);
        assert_eq!(watch.look(Moment::at_millis(9_000), &LIMITS, request(8_900, Phase::Running)), None);
        assert_eq!(watch.look(Moment::at_millis(9_900), &LIMITS, request(8_900, Phase::Running)), Some(Order::Trace));
        assert_eq!(watch.look(Moment::at_millis(9_950), &LIMITS, None), None);
    }

    #[test]
    fn what_has_finished_counts_only_where_it_is_tracked() {
        let (mut watch, seen) = (Watch::default(), request(0, Phase::Finished));
        assert_eq!((watch.look(Moment::at_millis(9_000), &LIMITS, seen), watch.due(&LIMITS, seen)), (None, None));
        let tracked = Limits { track_finished: true, ..LIMITS };
        assert_eq!(watch.due(&tracked, seen), Some(Moment::at_millis(3_000)));
        assert_eq!(
            watch.look(Moment::at_millis(9_000), &tracked, seen),
            Some(Order::Report),
            "a finished script is not traced"
        );
    }

    #[test]
    fn only_a_running_script_is_slow_and_any_request_can_last_too_long() {
        let (mut watch, seen) = (Watch::default(), request(0, Phase::Begun));
        assert_eq!(watch.look(Moment::at_millis(2_000), &LIMITS, seen), None);
        assert_eq!(watch.look(Moment::at_millis(2_100), &LIMITS, request(0, Phase::Running)), Some(Order::Trace));
        assert_eq!(watch.look(Moment::at_millis(3_000), &LIMITS, seen), Some(Order::Report));
    }

    #[test]
    fn it_is_due_when_the_next_limit_is_reached() {
        let (mut watch, seen) = (Watch::default(), request(5_000, Phase::Running));
        assert_eq!(watch.due(&LIMITS, seen), Some(Moment::at_millis(6_000)));
        let _ = watch.look(Moment::at_millis(6_000), &LIMITS, seen);
        assert_eq!(watch.due(&LIMITS, seen), Some(Moment::at_millis(8_000)));
        assert_eq!(watch.due(&LIMITS, None), None);
        assert_eq!(Limits::default().shortest(), None);
        assert!(!Limits::default().any() && LIMITS.any());
    }
}

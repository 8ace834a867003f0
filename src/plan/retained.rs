//! What happens to the idle connections that workers retain. A worker retains the connections that it has served and waits for all of them.
//! Its zygote has a copy of each descriptor. It takes the connections of a worker that ends or is inside a long request, so that no client
//! waits for another one's request.

use std::time::Duration;

/// The time between two looks at a worker inside a request. If it is the same request, its idle connections are taken.
pub(crate) const LONG_REQUEST: Duration = Duration::from_millis(5);
/// The time between two looks while no worker has begun a request that may become long.
const CALM: Duration = Duration::from_millis(25);
/// A worker that has been idle for this long can take connections of another one. A shorter pause is that of a worker that waits for
/// the processor.
pub(crate) const RESTING: Duration = Duration::from_millis(3);
/// A connection that has bytes this soon after the last request of its worker has waited for the end of that request.
pub(crate) const AT_ONCE: Duration = Duration::from_micros(50);

/// A pool that can grow starts workers for the connections in its queue. So a worker with more than it can serve at once puts one there,
/// once in this time.
pub(crate) const SHOW_DEMAND: Duration = Duration::from_millis(10);

/// Who holds a retained connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A worker that waits for bytes on it.
    Idle,
    /// A worker that serves it.
    Busy,
    /// The zygote.
    Zygote,
    /// No process: it was closed or passed on.
    Nobody,
}

/// What the worker of a retained connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activity {
    /// It waits for requests, or has begun another one since the last look.
    Serving,
    /// It is inside the same request as at the last look.
    InLongRequest,
    /// It has begun no request since the last look, although bytes have arrived for it: it was stopped, or waits for the processor.
    NotServing,
    /// It has ended.
    Ended,
}

/// What the zygote does with its copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing.
    Wait,
    /// It takes the connection from the worker, unless the worker takes it first.
    Take,
    /// It watches the connection, which is its own.
    Watch,
    /// It closes the copy.
    Close,
}

/// The step for a connection.
pub(crate) fn step(holder: Holder, worker: Activity) -> Step {
    match (holder, worker) {
        (Holder::Nobody, _) | (Holder::Busy, Activity::Ended) => Step::Close,
        (Holder::Zygote, _) => Step::Watch,
        (Holder::Idle, Activity::InLongRequest | Activity::NotServing | Activity::Ended) => Step::Take,
        (Holder::Idle | Holder::Busy, _) => Step::Wait,
    }
}

/// How many connections a worker retains if it may have that many descriptors: most are left to scripts.
pub(crate) fn most_for(descriptors: u64, places: u32) -> u32 {
    u32::try_from(descriptors / 16).unwrap_or(u32::MAX).min(places)
}

/// When the zygote looks again. `begun`: a worker is inside a request that it had not begun at the last look.
pub(crate) fn pause(begun: bool) -> Duration {
    if begun { LONG_REQUEST } else { CALM }
}

/// How many connections a worker passes on, when it finds `ready` connections with bytes while `resting` other workers of the pool have
/// nothing to do. `waited`: they have bytes because the worker was busy. Then one of two clients that meet in the same worker moves away.
pub(crate) fn surplus(ready: u32, resting: u32, waited: bool) -> u32 {
    resting.min(if waited { ready } else { ready.saturating_sub(1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_idle_connections_are_taken_from_a_worker() {
        assert_eq!(step(Holder::Idle, Activity::Serving), Step::Wait);
        assert_eq!(step(Holder::Idle, Activity::InLongRequest), Step::Take);
        assert_eq!(step(Holder::Idle, Activity::NotServing), Step::Take);
        assert_eq!(step(Holder::Idle, Activity::Ended), Step::Take);
        assert_eq!(step(Holder::Busy, Activity::InLongRequest), Step::Wait);
    }

    #[test]
    fn the_request_of_a_dead_worker_ends_with_it() {
        assert_eq!(step(Holder::Busy, Activity::Ended), Step::Close);
        for worker in [Activity::Serving, Activity::InLongRequest, Activity::Ended] {
            assert_eq!(step(Holder::Nobody, worker), Step::Close);
            assert_eq!(step(Holder::Zygote, worker), Step::Watch);
        }
    }

    #[test]
    fn scripts_get_most_descriptors() {
        assert_eq!([15, 64, 1024, u64::MAX].map(|limit| most_for(limit, 31)), [0, 4, 31, 31]);
    }

    #[test]
    fn a_worker_passes_on_what_another_can_serve_at_once() {
        assert_eq!(surplus(1, 3, false), 0);
        assert_eq!(surplus(4, 0, true), 0);
        assert_eq!(surplus(4, 2, false), 2);
        assert_eq!(surplus(2, 3, false), 1);
        assert_eq!(surplus(1, 1, true), 1);
    }
}

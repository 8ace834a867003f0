//! Clocks: monotonic time, which is the same in every process of the machine, and wall time.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// A moment, in milliseconds of `CLOCK_MONOTONIC`. Unlike `Instant`, it can be passed to another process and through an exec.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Millis(pub u64);

impl Millis {
    /// This moment plus `ms` milliseconds.
    #[must_use]
    pub fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds since `earlier`; 0 if that is later than this moment.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Whole milliseconds of a duration.
#[must_use]
pub fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Now.
#[must_use]
pub fn now() -> Millis {
    let Ok(t) = clock_gettime(ClockId::CLOCK_MONOTONIC) else { return Millis(0) };
    let seconds = u64::try_from(t.tv_sec()).unwrap_or(0);
    let nanos = u64::try_from(t.tv_nsec()).unwrap_or(0);
    Millis(seconds * 1000 + nanos / 1_000_000)
}

/// Wall time: microseconds of the current second.
#[must_use]
pub fn wall_micros() -> u32 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.subsec_micros())
}

/// Microseconds of `CLOCK_MONOTONIC`.
#[must_use]
pub fn micros() -> u64 {
    let Ok(t) = clock_gettime(ClockId::CLOCK_MONOTONIC) else { return 0 };
    let [seconds, nanos] = [t.tv_sec(), t.tv_nsec()].map(|n| u64::try_from(n).unwrap_or(0));
    seconds * 1_000_000 + nanos / 1000
}

/// Wall time: seconds since 1970.
#[must_use]
pub fn wall_seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// Wall time: microseconds since 1970.
#[must_use]
pub fn wall() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// CPU time of this process and of its children that have ended, in microseconds: user and system (getrusage(2), `RUSAGE_SELF` and
/// `RUSAGE_CHILDREN`).
#[must_use]
pub fn cpu_times() -> (u64, u64) {
    let of = |who| {
        let Ok(usage) = getrusage(who) else { return (0, 0) };
        let micros = |t: TimeVal| u64::try_from(t.num_microseconds()).unwrap_or(0);
        (micros(usage.user_time()), micros(usage.system_time()))
    };
    let (own, children) = (of(UsageWho::RUSAGE_SELF), of(UsageWho::RUSAGE_CHILDREN));
    (own.0 + children.0, own.1 + children.1)
}

//! Clocks: monotonic time, which is the same in every process of the machine, and wall time.

use std::ops::Add;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeSpec, TimeVal, TimeValLike};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{SysconfVar, sysconf};
use serde::{Deserialize, Serialize};

/// A moment of CLOCK_MONOTONIC, in whole milliseconds. It means the same in every process of the machine and survives an exec,
/// unlike `std::time::Instant`. Serialized as its number of milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Moment(u64);

impl Moment {
    /// That many milliseconds after the clock's start.
    #[must_use]
    pub const fn at_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds after the clock's start.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The time since `earlier`; zero if that is in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    /// Whole milliseconds are added. The result is limited to the largest moment.
    fn add(self, time: Duration) -> Self {
        Self(self.0.saturating_add(millis(time)))
    }
}

/// Serializes a duration as its number of milliseconds.
pub mod as_millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    /// For `#[serde(with)]`.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(super::millis(*time))
    }

    /// For `#[serde(with)]`.
    ///
    /// # Errors
    /// The value is not a number.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

/// Whole milliseconds of a duration.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The time since boot in clock ticks, the unit of a process's start time (CLOCK_BOOTTIME, `_SC_CLK_TCK`).
#[must_use]
pub fn boot_ticks() -> u64 {
    let Ok(t) = clock_gettime(ClockId::CLOCK_BOOTTIME) else { return 0 };
    let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten().and_then(|ticks| u64::try_from(ticks).ok()).unwrap_or(100);
    let (seconds, nanos) = (u64::try_from(t.tv_sec()).unwrap_or(0), u64::try_from(t.tv_nsec()).unwrap_or(0));
    seconds * ticks + nanos * ticks / 1_000_000_000
}

/// Now.
#[must_use]
pub fn now() -> Moment {
    let Ok(t) = clock_gettime(ClockId::CLOCK_MONOTONIC) else { return Moment(0) };
    let seconds = u64::try_from(t.tv_sec()).unwrap_or(0);
    let nanos = u64::try_from(t.tv_nsec()).unwrap_or(0);
    Moment(seconds * 1000 + nanos / 1_000_000)
}

/// Wall time: microseconds of the current second.
#[must_use]
pub fn wall_micros() -> u32 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.subsec_micros())
}

/// Microseconds of `CLOCK_MONOTONIC`.
#[must_use]
pub fn micros() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, whole_micros)
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
    let (own, children) = (usage(UsageWho::RUSAGE_SELF), usage(UsageWho::RUSAGE_CHILDREN));
    (own.0 + children.0, own.1 + children.1)
}

/// The sum of `cpu_times`, which takes two thirds of the time: the kernel need not find out how much of it is user time
/// (`CLOCK_PROCESS_CPUTIME_ID`).
#[must_use]
pub fn cpu_time() -> u64 {
    let own = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(0, whole_micros);
    let (user, system) = usage(UsageWho::RUSAGE_CHILDREN);
    own + user + system
}

fn usage(of: UsageWho) -> (u64, u64) {
    let Ok(usage) = getrusage(of) else { return (0, 0) };
    let micros = |t: TimeVal| u64::try_from(t.num_microseconds()).unwrap_or(0);
    (micros(usage.user_time()), micros(usage.system_time()))
}

fn whole_micros(time: TimeSpec) -> u64 {
    let [seconds, nanos] = [time.tv_sec(), time.tv_nsec()].map(|n| u64::try_from(n).unwrap_or(0));
    seconds * 1_000_000 + nanos / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct State {
        at: Moment,
        #[serde(with = "as_millis")]
        limit: Duration,
    }

    #[test]
    fn a_state_holds_milliseconds_as_former_versions_wrote_them() {
        let state = State { at: Moment::at_millis(17), limit: Duration::from_millis(2_500) };
        assert_eq!(serde_json::to_string(&state).unwrap(), r#"{"at":17,"limit":2500}"#);
        assert_eq!(serde_json::from_str::<State>(r#"{"at":17,"limit":2500}"#).unwrap(), state);
    }

    #[test]
    fn the_sum_of_cpu_times_is_read_at_once() {
        let until = micros() + 20_000;
        while micros() < until {}
        let sum = |(user, system)| user + system;
        let (before, between, after) = (sum(cpu_times()), cpu_time(), sum(cpu_times()));
        // getrusage rounds each of its four figures down.
        assert!(before <= between + 4 && between <= after + 4, "{before} {between} {after}");
        assert!(between > 0);
    }

    #[test]
    fn moments_neither_overflow_nor_underflow() {
        let last = Moment::at_millis(u64::MAX);
        assert_eq!(last + Duration::from_secs(1), last);
        assert_eq!((Moment::default().since(last), last.since(last)), (Duration::ZERO, Duration::ZERO));
    }
}

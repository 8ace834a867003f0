//! Clocks: monotonic milliseconds, which mean the same in every process of the machine, and wall time for log lines.
#![forbid(unsafe_code)]

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// Milliseconds of CLOCK_MONOTONIC. Survives exec, unlike `Instant`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Millis(pub u64);

impl Millis {
    /// This moment plus `ms` milliseconds.
    #[must_use]
    pub fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds since `earlier`, 0 if that is in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Now.
#[must_use]
pub fn now() -> Millis {
    let Ok(t) = clock_gettime(ClockId::CLOCK_MONOTONIC) else { return Millis(0) };
    let seconds = u64::try_from(t.tv_sec()).unwrap_or(0);
    let nanos = u64::try_from(t.tv_nsec()).unwrap_or(0);
    Millis(seconds * 1000 + nanos / 1_000_000)
}

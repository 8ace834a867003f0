//! A signal that asks the worker to exit. It may have been sent to all processes, by systemd, a terminal or `kill
//! -PGID`. Then the supervisor, which has got it as well, decides which clients are served first. Until its order
//! comes, the worker serves on.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::sys::signal;

/// How long the worker waits for an order of the supervisor.
const MOMENT: Duration = Duration::from_millis(500);

/// When the worker noticed the signal.
#[derive(Debug, Default)]
pub(super) struct StopSignal {
    heard: Cell<Option<Instant>>,
}

impl StopSignal {
    /// Whether a signal has come and the supervisor has sent no order in time.
    pub(super) fn is_due(&self) -> bool {
        self.time_left().is_some_and(|left| left.is_zero())
    }

    /// How long the worker may still wait, if a signal has come.
    pub(super) fn time_left(&self) -> Option<Duration> {
        if !signal::quit_asked() {
            return None;
        }
        let heard = self.heard.get().unwrap_or_else(Instant::now);
        self.heard.set(Some(heard));
        Some(MOMENT.saturating_sub(heard.elapsed()))
    }
}

//! A signal asks the worker to leave. It may be one of many: systemd, a terminal or `kill -PGID` signals all processes at once, and
//! the supervisor, which has heard it as well, says in a moment who is to be served before. Until then the worker serves on.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::sys::signal;

/// For so long the supervisor is waited for.
const MOMENT: Duration = Duration::from_millis(500);

/// Since when the worker knows of it.
#[derive(Debug, Default)]
pub(super) struct StopSignal {
    heard: Cell<Option<Instant>>,
}

impl StopSignal {
    /// A signal has asked, and the supervisor has said nothing.
    pub(super) fn is_due(&self) -> bool {
        self.time_left().is_some_and(|left| left.is_zero())
    }

    /// How long the worker may wait for something to do, if a signal has asked it to leave.
    pub(super) fn time_left(&self) -> Option<Duration> {
        if !signal::quit_asked() {
            return None;
        }
        let heard = self.heard.get().unwrap_or_else(Instant::now);
        self.heard.set(Some(heard));
        Some(MOMENT.saturating_sub(heard.elapsed()))
    }
}

//! Steps against workers that don't leave: a time to leave by themselves, then SIGTERM, SIGKILL, and SIGKILL for their zygotes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::sys::clock::Moment;

/// Between SIGTERM and SIGKILL, and between the workers' SIGKILL and their zygote's.
const STEP: Duration = Duration::from_secs(1);

/// The next step, and when it is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Escalation {
    pub(super) step: Step,
    pub(super) at: Moment,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Step {
    /// SIGTERM for the workers.
    Term,
    /// SIGKILL for the workers.
    Kill,
    /// SIGKILL for workers and zygotes.
    KillZygotes,
}

impl Escalation {
    /// SIGTERM now.
    pub(super) fn immediate(now: Moment) -> Self {
        Self { step: Step::Term, at: now }
    }

    /// SIGTERM when the control timeout has passed; never without one.
    pub(super) fn gentle(now: Moment, control_timeout: Duration) -> Option<Self> {
        (!control_timeout.is_zero()).then(|| Self { step: Step::Term, at: now + control_timeout })
    }

    /// The step after this one.
    pub(super) fn next(self, now: Moment, control_timeout: Duration) -> Self {
        match self.step {
            Step::Term => Self { step: Step::Kill, at: now + control_timeout.max(STEP) },
            Step::Kill | Step::KillZygotes => Self { step: Step::KillZygotes, at: now + STEP },
        }
    }
}

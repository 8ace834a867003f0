//! Units: generations that change together.

use serde::{Deserialize, Serialize};

use crate::plan::fleet::keys::GenerationId;
use crate::sys::clock::Moment;

/// The coming generations take over from the retiring ones all together, or none does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unit {
    /// Those that serve until then; before it begins, those that serve or may by then.
    pub(super) retiring: Vec<GenerationId>,
    /// Those that are to serve.
    pub(super) coming: Vec<GenerationId>,
    /// How far it has come.
    pub(super) state: UnitState,
    /// Since when.
    pub(super) since: Moment,
    /// It could not start and has nothing to fall back on: it is tried again.
    #[serde(default)]
    pub(super) failed: bool,
    /// It is queued, and waits until a draining generation of one of its pools has ended.
    #[serde(default)]
    pub(super) late: bool,
    /// It renews a group: no reload has asked for it, and none reports it.
    #[serde(default)]
    pub(super) renewal: bool,
}

/// A unit's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum UnitState {
    /// It waits for its turn, or for a former unit that changes the same groups.
    Queued,
    /// Coming generations start.
    Starting,
    /// The same, but a newer configuration doesn't want what it would lead to: it is given up.
    Unwanted,
    /// They have taken over; workers of retiring ones may still accept a request.
    Settling,
    /// They serve, or were given up.
    Ended,
}

impl Unit {
    pub(super) fn queued(retiring: Vec<GenerationId>, coming: Vec<GenerationId>, now: Moment) -> Self {
        Self { retiring, coming, state: UnitState::Queued, since: now, failed: false, late: false, renewal: false }
    }

    /// A reload has begun it, and is not complete before it has come further.
    pub(super) fn is_open(&self) -> bool {
        self.state != UnitState::Ended && !self.failed && !self.renewal
    }

    /// It is under way, and may end with its coming generations serving.
    pub(super) fn is_half_way(&self) -> bool {
        matches!(self.state, UnitState::Starting | UnitState::Settling)
    }
}

/// How the present reload, or the start, has gone so far. It exists until that is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// When the reload began.
    pub(super) since: Moment,
    /// Groups that have changed.
    pub(super) done: usize,
    /// Groups that could not start.
    pub(super) failed: usize,
}

/// Why a generation could not start, as far as the fleet knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It could not be prepared, or its zygote has ended.
    Zygote,
    /// Its workers end before they accept requests.
    Workers,
    /// It took too long.
    Time,
}

impl Failure {
    /// The reason, if no better one is known.
    #[must_use]
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Zygote => "its zygote has ended",
            Self::Workers => "its workers end before they accept requests",
            Self::Time => "it has not started in 60 seconds",
        }
    }
}

//! Units: generations that change together.

use serde::{Deserialize, Serialize};

use crate::plan::fleet::keys::GenerationId;
use crate::sys::clock::Moment;

/// The coming generations take over from the retiring ones all together, or none does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unit {
    /// Those that serve until then.
    pub(super) retiring: Vec<GenerationId>,
    /// Those that are to serve.
    pub(super) coming: Vec<GenerationId>,
    /// How far it has come.
    pub(super) state: UnitState,
    /// Since when.
    pub(super) since: Moment,
}

/// A unit's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum UnitState {
    /// Coming generations start.
    Starting,
    /// They have taken over; workers of retiring ones may still accept a request.
    Settling,
    /// They serve, or were given up.
    Ended,
}

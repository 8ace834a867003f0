//! Something that has happened, in the overview.

use serde::{Deserialize, Serialize};

use super::Severity;

/// Something that has happened.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Event {
    /// When, in seconds since 1970; the first time, if it is told together.
    pub(crate) at: f64,
    /// What it is about.
    pub(crate) kind: EventKind,
    /// How bad it is.
    pub(crate) severity: Severity,
    /// The pool that it is about, if it is about one.
    pub(crate) pool: Option<String>,
    /// A plain sentence.
    pub(crate) text: String,
}

/// What an event is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EventKind {
    /// The start.
    #[default]
    Start,
    /// A reload.
    Reload,
    /// New processes of a group, because its opcode cache or too many crashes made that necessary.
    Renewal,
    /// `pm.max_children`.
    Limit,
    /// Workers that have ended otherwise than they should.
    Exit,
    /// What was not logged.
    Drop,
    /// A stop.
    Stop,
}

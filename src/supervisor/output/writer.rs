//! Which process writes to a pipe.

use serde::{Deserialize, Serialize};

use crate::log::{self, Format};
use crate::plan::fleet::{WorkerKey, ZygoteKey};

/// The process at the other end of a pipe. Variants and fields are part of the state that a reload hands over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Writer {
    /// A zygote of that group, started by a former version that did not note its pid.
    Zygote(String),
    /// A zygote.
    Group {
        /// Its group.
        group: String,
        /// Its pid.
        pid: i32,
    },
    /// A base zygote.
    Base {
        /// Its pid.
        pid: i32,
    },
    /// The monitor.
    Monitor {
        /// Its pid.
        pid: i32,
    },
    /// A worker.
    Worker {
        /// Its slot. The slot is its own until it has ended; its pipes may be read a little longer.
        key: WorkerKey,
        /// Its pool.
        pool: String,
        /// Its pid; 0 until the zygote has reported the fork.
        pid: i32,
        /// Which of its streams: `stdout` or `stderr`.
        stream: String,
        /// `decorate_workers_output`.
        decorate: bool,
    },
}

impl Writer {
    /// Whether it is the worker that has that slot, or a former one.
    #[must_use]
    pub(crate) fn has_slot(&self, worker: WorkerKey) -> bool {
        matches!(self, Self::Worker { key, .. } if *key == worker)
    }

    /// Whether it is a process of that group.
    #[must_use]
    pub(crate) fn is_of(&self, zygote: ZygoteKey, name: &str) -> bool {
        match self {
            Self::Zygote(group) | Self::Group { group, .. } => group == name,
            Self::Worker { key, .. } => key.zygote() == zygote,
            Self::Base { .. } | Self::Monitor { .. } => false,
        }
    }

    /// Whether the other is the same worker's other stream.
    #[must_use]
    pub(crate) fn is_other_stream_of(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Worker { key, pid, stream, .. },
                Self::Worker { key: other_key, pid: other_pid, stream: other_stream, .. },
            ) => (key, pid) == (other_key, other_pid) && stream != other_stream,
            _ => false,
        }
    }

    /// How lines name its group or, for a worker, its pool.
    #[must_use]
    pub(crate) fn owner(&self) -> String {
        match self {
            Self::Zygote(group) | Self::Group { group, .. } => format!("[group {group}]"),
            Self::Base { pid } => format!("base zygote {pid}"),
            Self::Monitor { pid } => format!("monitor {pid}"),
            Self::Worker { pool, .. } => format!("[pool {pool}]"),
        }
    }

    /// How lines name it.
    #[must_use]
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Zygote(group) | Self::Group { group, .. } => format!("[group {group}] zygote"),
            Self::Base { pid } => format!("base zygote {pid}"),
            Self::Monitor { pid } => format!("monitor {pid}"),
            Self::Worker { pool, pid, .. } => format!("[pool {pool}] child {pid}"),
        }
    }

    /// The prefix of each of its lines; `None`: lines are logged unchanged.
    #[must_use]
    pub(crate) fn prefix(&self) -> Option<String> {
        match self {
            Self::Zygote(_) | Self::Group { .. } | Self::Base { .. } | Self::Monitor { .. } => {
                Some(format!("{} said: ", self.name()))
            }
            Self::Worker { pool, pid, stream, decorate: true, .. } if log::format() == Format::Classic => {
                Some(format!("child {pid} (pool {pool}) said into {stream}: "))
            }
            Self::Worker { stream, decorate: true, .. } => Some(format!("{} said into {stream}: ", self.name())),
            Self::Worker { decorate: false, .. } => None,
        }
    }

    /// Whether its lines are logged as they came.
    #[must_use]
    pub(crate) fn is_undecorated(&self) -> bool {
        matches!(self, Self::Worker { decorate: false, .. })
    }
}

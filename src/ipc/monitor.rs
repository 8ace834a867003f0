//! What the supervisor tells the monitor: a specification at its start, then messages over a `SOCK_SEQPACKET` pair (`OrderSender`). Nothing
//! comes back. Counters are not sent: the monitor reads them from memory that it cannot write.

use std::os::fd::RawFd;

use serde::{Deserialize, Serialize};

use crate::log;
use crate::plan::events::Kept;

/// What a monitor begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MonitorSpec {
    /// It is started by root, and becomes a user of its own, which it finds by itself: the supervisor must not wait for that.
    pub changes_user: bool,
    /// The listening socket.
    pub listen_fd: RawFd,
    /// The way of messages.
    pub views_fd: RawFd,
    /// The memory of the supervisor's facts, read-only.
    pub service_fd: RawFd,
    /// It listens on a unix socket, which no browser can address.
    pub unix: bool,
    /// Names of this machine, in lower case.
    pub allowed_hosts: Vec<String>,
    /// URIs and scripts of running requests are told.
    pub show_requests: bool,
    /// The version of PHP's program.
    pub php: String,
    /// `log_level`.
    pub log_level: log::Level,
    /// `log_format`.
    pub log_format: log::Format,
}

/// How far a generation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum ViewPhase {
    /// It finishes requests.
    Draining,
    /// It does not serve yet.
    Starting,
    /// It serves.
    Serving,
}

/// A pool of a generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PoolView {
    /// Higher than that of every pool that was told before.
    pub id: u64,
    /// The pool's name.
    pub pool: String,
    /// Its group's.
    pub group: String,
    /// The number of the start or reload that began it.
    pub generation: u32,
    /// The first address that it listens on, as `unix:///path` or `tcp://address`.
    pub address: String,
    /// `pm`.
    pub manager: String,
    /// Slots of its scoreboard.
    pub slots: u32,
    /// `pm.max_children`, which the pool's user cannot change here.
    #[serde(default)]
    pub limit: u32,
    /// How far it has come.
    pub phase: ViewPhase,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ToMonitor {
    /// A pool of a generation is there; with its totals and its scoreboard, both read-only.
    Show(PoolView),
    /// It has come further.
    Phase {
        /// Which.
        id: u64,
        /// How far.
        phase: ViewPhase,
    },
    /// It is no longer there.
    Hide {
        /// Which.
        id: u64,
    },
    /// Something has happened, or has happened again.
    Event(Kept),
    /// All pools that there are were told.
    Complete,
    /// The supervisor is about to execute its program again, for a reload. The next image has the other end of this way, too. If it is
    /// one of a former version, it neither uses nor closes it.
    Executing,
}

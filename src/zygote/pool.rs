//! A pool as its zygote has it.
#![forbid(unsafe_code)]

use std::os::fd::OwnedFd;

use super::demand::Demand;
use crate::ipc::PoolSpec;
use crate::scoreboard::Scoreboard;
use crate::worker::AccessLogFile;

/// A pool's descriptors.
#[derive(Debug)]
pub(super) struct ZygotePool {
    pub(super) spec: PoolSpec,
    pub(super) listeners: Vec<OwnedFd>,
    pub(super) scoreboard_fd: OwnedFd,
    /// The same, mapped.
    pub(super) scoreboard: Scoreboard,
    pub(super) totals: OwnedFd,
    /// Hand-over queue: writing end, reading end.
    pub(super) queue: (OwnedFd, OwnedFd),
    /// Park queue: writing end (for workers), reading end.
    pub(super) park: (OwnedFd, OwnedFd),
    /// Its access log.
    pub(super) access_log: Option<AccessLogFile>,
    /// Where kept connections go while the generation drains.
    pub(super) successor: Option<OwnedFd>,
    /// From predecessors that drain.
    pub(super) links: Vec<OwnedFd>,
    /// Where the number of workers follows the load.
    pub(super) demand: Option<Demand>,
}

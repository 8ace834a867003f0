//! A pool in its zygote.
#![forbid(unsafe_code)]

use std::os::fd::OwnedFd;

use super::demand::Demand;
use crate::ipc::PoolSpec;
use crate::ipc::retained::Holders;
use crate::scoreboard::Scoreboard;
use crate::worker::{AccessLogFile, Place};

/// The descriptors and the state of a pool.
#[derive(Debug)]
pub(super) struct ZygotePool {
    pub(super) spec: PoolSpec,
    pub(super) listeners: Vec<OwnedFd>,
    pub(super) scoreboard_fd: OwnedFd,
    /// The scoreboard, mapped.
    pub(super) scoreboard: Scoreboard,
    pub(super) totals: OwnedFd,
    /// Who holds the connections that workers retain.
    pub(super) holders: Holders,
    /// Hand-over queue: writing end, reading end.
    pub(super) queue: (OwnedFd, OwnedFd),
    /// Park queue: writing end (for workers), reading end.
    pub(super) park: (OwnedFd, OwnedFd),
    /// Its access log.
    pub(super) access_log: Option<AccessLogFile>,
    /// While the generation drains: the link to the pool's zygote in the next generation.
    pub(super) successor: Option<OwnedFd>,
    /// Links from zygotes of earlier generations that drain.
    pub(super) links: Vec<OwnedFd>,
    /// `None` with `pm = static`.
    pub(super) demand: Option<Demand>,
    /// Where its workers start.
    pub(super) place: Place,
}

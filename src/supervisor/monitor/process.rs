//! A process of the monitor.

use std::collections::BTreeMap;

use nix::unistd::Pid;

use crate::config::MonitorConfig;
use crate::ipc::{OrderSender, ViewPhase};
use crate::plan::fleet::PoolKey;
use crate::sys::clock::Moment;

/// A process, and what it was told.
#[derive(Debug)]
pub(crate) struct MonitorProcess {
    /// Its pid; it is our child.
    pub(crate) pid: Pid,
    pub(crate) messages: OrderSender,
    pub(crate) started: Moment,
    /// What it was started with; `None`: by a former image, so it is replaced.
    pub(crate) config: Option<MonitorConfig>,
    /// The pools that it was told of, with their ids.
    pub(crate) told: BTreeMap<PoolKey, (u64, ViewPhase)>,
    /// The last change of an event that it was told.
    pub(crate) events_told: u64,
    /// It was told that these are all.
    pub(crate) complete: bool,
    /// A pool could not be told for want of descriptors; the log says so.
    pub(crate) lacks: bool,
}

impl MonitorProcess {
    /// One that was told nothing.
    pub(crate) fn new(pid: Pid, messages: OrderSender, started: Moment, config: Option<MonitorConfig>) -> Self {
        Self { pid, messages, started, config, told: BTreeMap::new(), events_told: 0, complete: false, lacks: false }
    }
}

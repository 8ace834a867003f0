//! The goal of the whole fleet, and the settings for it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::plan::crashes::Emergency;

/// The goal of the fleet. A stronger goal overrides a weaker one, never the other way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Goal {
    /// Answer requests.
    Serve,
    /// Finish requests that have begun, then end (SIGQUIT).
    Finish,
    /// End now (SIGTERM, SIGINT).
    Terminate,
}

/// The settings of `[global]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// `process_control_timeout`; zero: no limit.
    pub control_timeout: Duration,
    /// `process.start_parallel`: most units that change at the same time; 0: no limit.
    pub start_parallel: usize,
    /// The same for units whose zygotes are forked from a base zygote. At least `start_parallel`; 0: no limit.
    pub fork_parallel: usize,
    /// `process.drain_patience`; zero: no limit.
    pub drain_patience: Duration,
    /// `process.max`; 0: no limit.
    pub process_max: u32,
    /// `emergency_restart_threshold` and `emergency_restart_interval`.
    pub emergency: Emergency,
}

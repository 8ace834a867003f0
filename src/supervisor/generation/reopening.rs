//! Logs that are being opened again (SIGUSR1), while the event loop runs.

use crate::config::PoolConfig;
use crate::configured::LogOpening;
use crate::ipc::Trust;
use crate::plan::fleet::{PoolKey, ZygoteKey};
use crate::supervisor::generation::access_logs::Opened;
use crate::supervisor::generation::runtime::GroupRuntime;

/// A pool that has an access log.
#[derive(Debug)]
pub(crate) struct LoggingPool {
    /// Which.
    pub key: PoolKey,
    /// Its settings.
    pub config: PoolConfig,
    /// Whose it is.
    pub trust: Trust,
}

/// Logs that are being opened again.
#[derive(Debug)]
pub(crate) struct Reopening {
    /// The error log. `None`: it is open.
    pub error_log: Option<LogOpening>,
    /// Pools have access logs.
    pub of_pools: bool,
    /// Their files.
    pub opened: Opened,
    /// Pools whose logs are not open yet; from the end on.
    pub waiting: Vec<LoggingPool>,
    /// How many of them have begun.
    pub begun: usize,
    /// Pools that have got their logs, with their names, and whose workers don't know it yet.
    pub changed: Vec<(PoolKey, String)>,
    /// What has gone wrong so far.
    pub wrong: Vec<String>,
    /// How many access logs have not been opened.
    pub failed: usize,
}

impl GroupRuntime {
    /// Its pools that have an access log.
    pub(crate) fn logging_pools(&self, key: ZygoteKey) -> impl Iterator<Item = LoggingPool> {
        let logging = self.spec.pools.iter().enumerate().filter(|(_, pool)| pool.access_log_fd.is_some());
        logging.map(move |(index, pool)| LoggingPool {
            key: key.of_pool(index),
            config: pool.config.clone(),
            trust: self.spec.trust(pool),
        })
    }
}

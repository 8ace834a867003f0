//! How the control script ends.

/// Exit statuses, as the LSB gives them to init scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Done = 0,
    /// The work failed. For `status`: not running, but the pid file exists.
    Failed = 1,
    /// `status`: not running.
    Stopped = 3,
    /// Not permitted. For `status`: unknown.
    Forbidden = 4,
    /// No pid file is configured.
    NotConfigured = 6,
    /// `reload` and `logrotate` need a supervisor that runs.
    NotRunning = 7,
}

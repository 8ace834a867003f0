//! How the control script ends.

/// Exit statuses, as the LSB gives them to init scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Done = 0,
    /// It wasn't done; for `status`: dead, and the pid file is there.
    Failed = 1,
    /// `status`: not running.
    Stopped = 3,
    /// Not allowed; for `status`: unknown.
    Forbidden = 4,
    /// No pid file is configured.
    NotConfigured = 6,
    /// `reload` and `logrotate` need one that runs.
    NotRunning = 7,
}

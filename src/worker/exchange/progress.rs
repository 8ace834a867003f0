//! Where an exchange tells what it is doing: the worker's scoreboard slot.

use crate::fastcgi::params::Params;

/// The stages of a request that php-fpm's status page names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Stage {
    /// The worker is being made.
    Creating = 0,
    /// Waiting for a request.
    Idle = 1,
    /// Parameters are arriving.
    Reading = 2,
    /// The script is being found.
    Info = 3,
    /// The script runs.
    Running = 4,
    /// The answer is being completed.
    Ending = 5,
    /// After `fastcgi_finish_request()`.
    Finishing = 6,
}

/// Takes note of how far a request has come.
pub trait Progress {
    /// The request has entered a stage. The exchange itself reports `Reading`, with the first byte; others come from who serves.
    fn stage(&self, stage: Stage);

    /// The parameters are complete.
    fn started(&self, params: &Params);

    /// The script was found.
    fn running(&self, script: &[u8], params: &Params);
}

/// Takes note of nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn stage(&self, _stage: Stage) {}
    fn started(&self, _params: &Params) {}
    fn running(&self, _script: &[u8], _params: &Params) {}
}

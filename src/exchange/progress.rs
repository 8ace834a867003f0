//! Where an exchange tells what it is doing: the worker's scoreboard slot.
#![forbid(unsafe_code)]

use std::os::fd::BorrowedFd;

use crate::request::{Description, Outcome, Stage};
use crate::status::Snapshot;

/// Why the script of a request that has arrived doesn't run, where php-fpm would run it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotRun {
    /// Its form was cut off.
    Incomplete,
    /// Its client closed the connection while it waited.
    Abandoned,
}

/// Takes note of how far a request has come.
pub trait Progress {
    /// The requests that follow come on this connection.
    fn attached(&self, connection: BorrowedFd<'_>);

    /// The request has entered a stage. The exchange itself reports `Reading`, with the first byte, and before the last `Finishing` or
    /// `Answered`; others come from who serves.
    fn stage(&self, stage: Stage);

    /// The request that has begun to arrive waits elsewhere for its rest: it will begin once more.
    fn put_aside(&self);

    /// Who asks for what.
    fn described(&self, request: &Description<'_>);

    /// The script has ended.
    fn ended(&self, outcome: &Outcome<'_>);

    /// Its script doesn't run.
    fn not_run(&self, why: NotRun);

    /// The state of the pool, all workers included; `None` where nobody knows it.
    fn status(&self) -> Option<Snapshot>;

    /// Whether the whole is about to stop, so that nobody should send more.
    fn is_leaving(&self) -> bool;

    /// A setting that came with the request was refused. If that is to be logged now: how many others were since the last time.
    fn setting_refused(&self) -> Option<u64>;
}

/// Takes note of nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn attached(&self, _connection: BorrowedFd<'_>) {}
    fn stage(&self, _stage: Stage) {}
    fn put_aside(&self) {}
    fn described(&self, _request: &Description<'_>) {}
    fn ended(&self, _outcome: &Outcome<'_>) {}
    fn not_run(&self, _why: NotRun) {}
    fn status(&self) -> Option<Snapshot> {
        None
    }
    fn is_leaving(&self) -> bool {
        false
    }
    fn setting_refused(&self) -> Option<u64> {
        Some(0)
    }
}

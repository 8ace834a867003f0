//! The events of a fleet.

use crate::plan::fleet::claims::Claim;
use crate::plan::fleet::keys::{PoolKey, WorkerKey, ZygoteKey};
use crate::sys::process::Exit;

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// What a group needs is open.
    Prepared(ZygoteKey),
    /// A group lacks something.
    PrepareFailed(ZygoteKey),
    /// A zygote has started PHP and can fork.
    ZygoteReady(ZygoteKey),
    /// A zygote's process has ended.
    ZygoteEnded {
        /// Which.
        key: ZygoteKey,
        /// Its pid.
        pid: i32,
        /// How.
        exit: Exit,
    },
    /// A zygote's process could not be started, or there is none to be killed.
    ZygoteGone(ZygoteKey),
    /// A reload has found no process of that zygote.
    ZygoteMissing(ZygoteKey),
    /// The pipe of a zygote's messages has ended, or brings something else than messages.
    ZygoteSilent(ZygoteKey),
    /// A zygote says that it has forked a worker.
    Forked {
        /// Which.
        key: WorkerKey,
        /// Its pid, as the zygote says.
        pid: i32,
        /// The kernel's information about it.
        claim: Claim,
    },
    /// A worker could not be forked.
    ForkFailed(WorkerKey),
    /// There are not enough file descriptors for another worker.
    ForkRefused(WorkerKey),
    /// A worker waits for requests.
    Accepting(WorkerKey),
    /// A worker accepts no further request; it is about to exit.
    Left(WorkerKey),
    /// A zygote says that a worker has ended.
    EndReported {
        /// Which.
        key: WorkerKey,
        /// Its pid, as the zygote says.
        pid: i32,
        /// How it has ended.
        exit: Exit,
        /// The process with that pid that is known as this worker still runs.
        runs: bool,
    },
    /// A worker's process has ended.
    Exited {
        /// Which.
        key: WorkerKey,
        /// How.
        exit: Exit,
        /// How many requests it had begun, if that is known.
        requests: Option<u64>,
    },
    /// So many connections wait at a pool that scales, and no worker that its zygote has forked so far is free for them.
    Demand(PoolKey, u32),
    /// A connection waits for a group that has no zygote.
    Connection(ZygoteKey),
    /// A zygote that was allowed to leave has connections to keep, and stays.
    Stays(ZygoteKey),
    /// Where a request is has been logged, or can't be found out.
    Reported(WorkerKey),
    /// Time passes.
    Tick,
}

impl Event {
    /// Whether a zygote has ended, so that its workers have none.
    #[must_use]
    pub(crate) fn ends_zygote(&self) -> bool {
        matches!(self, Self::ZygoteEnded { .. } | Self::ZygoteGone(_) | Self::ZygoteMissing(_))
    }
}

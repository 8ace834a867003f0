//! The actions that a fleet can ask for.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::plan::crashes::Emergency;
use crate::plan::fleet::claims::Violation;
use crate::plan::fleet::ends::{WorkerEnd, ZygoteEnd};
use crate::plan::fleet::goal::Goal;
use crate::plan::fleet::keys::{GenerationId, PoolKey, WorkerKey, ZygoteKey};
use crate::plan::fleet::unit::Failure;
use crate::sys::process::Exit;

/// Something to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Start a zygote.
    SpawnZygote(ZygoteKey),
    /// Have a worker forked.
    Fork(WorkerKey),
    /// Tell a generation's workers to accept nothing new, and its zygotes where to send kept connections.
    Drain(GenerationId),
    /// Tell the zygotes of a draining generation where to send kept connections from now on.
    Relink(GenerationId),
    /// A generation can't begin yet, because three former ones of one of its pools still finish requests: log it.
    Late(GenerationId),
    /// Others have waited too long for a draining generation; its workers are ended: log it.
    PatienceOver(GenerationId),
    /// A zygote has no more to do: it may leave once its links are empty.
    Dismiss(ZygoteKey),
    /// Its group needs no zygote now: it may leave, unless it keeps connections.
    Release(ZygoteKey),
    /// Tell one worker to accept nothing new.
    Retire(WorkerKey),
    /// Watch the listening sockets of a group that has no zygote.
    Watch(ZygoteKey),
    /// End that.
    Unwatch(ZygoteKey),
    /// Log something about a pool.
    Remark(PoolKey, Remark),
    /// Log that `process.max` is reached.
    ProcessLimit,
    /// Too many workers of a group have crashed: log that it gets new shared memory.
    Emergency(ZygoteKey, Emergency),
    /// The renewal of a group begins only after that time: log it.
    RenewalWaits(ZygoteKey, Duration),
    /// A generation serves in place of one with the same configuration.
    Renewed(GenerationId),
    /// A generation that was to replace one with the same configuration can't start, and is given up.
    NotRenewed(GenerationId, Failure),
    /// SIGKILL for a zygote.
    KillZygote(ZygoteKey),
    /// SIGKILL for a zygote that does not respond: log it.
    KillSilent(ZygoteKey),
    /// SIGKILL for a zygote that no longer talks to the supervisor. It gets no more orders.
    GiveUpOn(ZygoteKey),
    /// A zygote has reported what is not true: log it, kill the zygote and ignore its messages.
    Refuse {
        /// The worker that the report is about.
        key: WorkerKey,
        /// The pid that it names.
        pid: i32,
        /// The rule that the report breaks.
        violation: Violation,
    },
    /// A worker was forked: log it, visibly where it replaces one.
    Started {
        /// Which.
        key: WorkerKey,
        /// Its pid.
        pid: i32,
        /// It replaces one that ended without having been told to.
        replaces: bool,
    },
    /// A worker has ended: free what belongs to it, then feed `Exited`.
    Collect(WorkerKey, Exit),
    /// Log a worker's end.
    WorkerEnded(WorkerKey, WorkerEnd),
    /// Log a zygote's end.
    ZygoteEnded(ZygoteKey, ZygoteEnd),
    /// A signal for a worker.
    Signal(WorkerKey, Stop),
    /// A request is slow: log it, and write to the slow log where it is.
    Slow(WorkerKey),
    /// A request has reached its limit: log it, and where it is; `Reported` is awaited for a moment.
    TimedOut(WorkerKey),
    /// Open what a group needs, then feed `Prepared` or `PrepareFailed`.
    Prepare(ZygoteKey),
    /// A generation serves, and those that it replaces accept no further request. `late`: the reload that began it was reported before.
    Serves {
        /// Which.
        id: GenerationId,
        /// It is the last one of its reload, or the reload has been reported without it.
        late: bool,
    },
    /// Others serve in place of a generation, or its pools have ended.
    Replaced(GenerationId),
    /// A generation is given up.
    GivenUp {
        /// Which.
        id: GenerationId,
        /// The one that can't start, of those that change together.
        because: GenerationId,
        /// Why that can't.
        failure: Failure,
        /// The generation that serves on in its place.
        kept: Option<GenerationId>,
    },
    /// A generation serves on because those that were to replace it are given up. None of them has its group.
    NotReplaced {
        /// Which.
        id: GenerationId,
        /// The one that can't start.
        because: GenerationId,
    },
    /// A generation can't start and replaces none. It is tried again.
    NotStarted(GenerationId, Failure),
    /// The reload, or the start, is complete, as far as groups could change.
    Ready,
    /// No group could change.
    Refused,
    /// A generation has no process left.
    Forget(GenerationId),
    /// No group could start at the first start.
    StartFailed,
    /// A graceful stop begins after this time.
    StopDelayed(Duration),
    /// The stop begins.
    Stopping(Goal),
    /// No process is left, and none is wanted.
    AllGone,
}

/// A line of php-fpm's about a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remark {
    /// `pm.max_children` keeps it from growing; counted as well.
    Full,
    /// Its workers fail at their first request or before, one after the other.
    CrashLoop,
    /// It grows fast.
    Busy {
        /// How many workers it gets at a time.
        rate: u32,
        /// Idle workers.
        idle: u32,
        /// All workers.
        total: u32,
    },
}

/// The signals that end a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stop {
    /// SIGTERM.
    Term,
    /// SIGKILL.
    Kill,
}

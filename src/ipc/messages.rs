//! The messages.

use serde::{Deserialize, Serialize};

use crate::log::Format;
use crate::sys::process::Exit;

/// Supervisor to zygote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToZygote {
    /// Fork a worker into that slot. Descriptors: its stdout and stderr, or none; then the one its tracer is asked by.
    Fork {
        /// Index of the pool.
        pool: usize,
        /// Its slot.
        slot: u32,
        /// It is to have a tracer.
        #[serde(default)]
        traced: bool,
    },
    /// Workers take nothing new (the generation's eventfd tells them); parked connections go to the successor:
    /// one descriptor per pool named here, the sending end of a link into the successor's zygote.
    Drain {
        /// Indices of pools, in the order of the descriptors.
        pools: Vec<usize>,
    },
    /// One descriptor: the receiving end of a link from a predecessor's pool.
    Adopt {
        /// Index of the pool here.
        pool: usize,
    },
    /// A signal for the worker in that slot.
    Signal {
        /// Index of the pool.
        pool: usize,
        /// Its slot.
        slot: u32,
        /// The signal's number.
        signal: i32,
    },
    /// The worker in that slot is to take nothing new; the word in its slot says so already.
    Retire {
        /// Index of the pool.
        pool: usize,
        /// Its slot.
        slot: u32,
    },
    /// One descriptor: the log, opened anew.
    Log,
    /// The log's lines have another form now.
    LogFormat(Format),
    /// One descriptor: that pool's access log, opened anew.
    AccessLog {
        /// Index of the pool.
        pool: usize,
        /// How many times logs have been opened anew.
        reopened: u64,
    },
    /// Nobody needs it at the moment: it leaves, or says `Stays`.
    Release,
    /// Nothing more is wanted: pass on what the links still hold and leave.
    Leave,
}

/// Zygote to supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToSupervisor {
    /// PHP has started.
    Ready,
    /// PHP can't be started; the reason.
    Failed(String),
    /// Connections wait at a pool that scales, and none of the workers that exist at this moment is free for them.
    Demand {
        /// Index of the pool.
        pool: usize,
        /// How many.
        waiting: u32,
    },
    /// It keeps connections, so it doesn't leave.
    Stays,
    /// A worker exists.
    Forked {
        /// Index of the pool.
        pool: usize,
        /// Its slot.
        slot: u32,
        /// Its pid.
        pid: i32,
    },
    /// fork() failed with that errno.
    ForkFailed {
        /// Index of the pool.
        pool: usize,
        /// The slot.
        slot: u32,
        /// Why.
        errno: i32,
    },
    /// What a worker said.
    Worker {
        /// Index of the pool.
        pool: usize,
        /// Its slot.
        slot: u32,
        /// What.
        says: WorkerSays,
    },
    /// A worker has ended.
    Exited {
        /// Index of the pool.
        pool: usize,
        /// Its slot.
        slot: u32,
        /// Its pid.
        pid: i32,
        /// How.
        exit: Exit,
    },
}

/// Worker to zygote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkerSays {
    /// It can't serve; the reason.
    Failed(String),
    /// It waits for requests.
    Accepting,
    /// It takes nothing new and is about to exit.
    Left,
}

/// Zygote to worker. The end of the channel is the end of the zygote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToWorker {
    /// Take nothing new, and leave.
    Retire,
    /// The zygote leaves: take nothing new, serve what waits in the hand-over queue, and leave.
    Part,
    /// One descriptor: the access log, opened anew.
    AccessLog {
        /// How many times logs have been opened anew.
        reopened: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Behind a reload the supervisor hears zygotes of the program before it.
    #[test]
    fn the_word_of_an_older_zygote_is_understood() {
        let said = serde_json::from_str(r#"{"Demand":{"pool":1,"waiting":2}}"#).unwrap();
        assert_eq!(ToSupervisor::Demand { pool: 1, waiting: 2 }, said);
    }
}

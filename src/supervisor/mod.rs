//! The supervisor: owns sockets, configuration, scoreboards, logs and signals. PHP is never started in it.
#![forbid(unsafe_code)]

mod access_logs;
mod boot;
mod carry_out;
mod children;
mod daemon;
mod event_loop;
mod generation;
mod hear;
pub mod output;
mod poller;
mod reload;
mod scaling;
mod slow;
mod sockets;
mod systemd;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

pub use boot::start;
pub use reload::{check, resume};

use crate::cli::Options;
use crate::config::Config;
use crate::host::Host;
use crate::ipc::ResultsWriter;
use crate::plan::budget::Intake;
use crate::plan::fleet::{Event, Fleet, WorkerKey, ZygoteKey};
use crate::sys::backlog::Inspector;
use crate::sys::clock::{self, Millis};
use generation::{Book, Runtimes};
use output::Output;
use poller::Poller;
use reload::Reload;
use slow::{Tracer, Unwritten};
use sockets::Sockets;
use systemd::Systemd;

/// Everything the supervisor has.
#[derive(Debug)]
struct Supervisor {
    host: Host,
    options: Options,
    config: Config,
    fleet: Fleet,
    runtimes: Runtimes,
    sockets: Sockets,
    poller: Poller,
    /// Pipes by their poller token.
    outputs: HashMap<u64, Output>,
    /// Pipes of groups that have written too much in this second, by token, and when they are read again.
    resting_outputs: BTreeMap<u64, Millis>,
    /// For pipes whose group is forgotten.
    stray_intake: Intake,
    /// Pipes of processes that have ended, and when they are closed: the earliest first.
    last_words: VecDeque<(Millis, u64)>,
    /// Zygotes that have said too much, and when they are heard again.
    resting: BTreeMap<ZygoteKey, Millis>,
    /// By worker, in pools that limit requests.
    tracers: BTreeMap<WorkerKey, Tracer>,
    /// Entries of slow logs that are not written yet.
    slow_entries: BTreeMap<PathBuf, Unwritten>,
    totals: Book,
    inspector: Inspector,
    /// How many times access logs have been opened anew.
    reopened: u64,
    /// When `every_second` is due.
    next_second: Millis,
    reload: Reload,
    systemd: Systemd,
    /// How what was asked for went.
    results: ResultsWriter,
    /// Who started the daemon and waits to hear how it went.
    starter: Option<OwnedFd>,
    /// RLIMIT_NOFILE as it was at the first start, for those who run PHP.
    nofile: (u64, u64),
    /// Events that actions brought about.
    pending: VecDeque<Event>,
    /// The end has come, with this exit status.
    exit: Option<i32>,
}

impl Supervisor {
    /// With nothing that runs or listens.
    fn bare(
        host: Host,
        options: Options,
        config: Config,
        nofile: (u64, u64),
        own: (Systemd, ResultsWriter),
    ) -> io::Result<Self> {
        Ok(Self {
            host,
            options,
            fleet: Fleet::new(clock::millis(config.global.process_control_timeout)),
            config,
            runtimes: Runtimes::new(),
            sockets: Sockets::default(),
            poller: Poller::new()?,
            outputs: HashMap::new(),
            resting_outputs: BTreeMap::new(),
            stray_intake: Intake::default(),
            last_words: VecDeque::new(),
            resting: BTreeMap::new(),
            tracers: BTreeMap::new(),
            slow_entries: BTreeMap::new(),
            totals: Book::default(),
            inspector: Inspector::default(),
            reopened: 0,
            next_second: clock::now(),
            reload: Reload::default(),
            systemd: own.0,
            results: own.1,
            starter: None,
            nofile,
            pending: VecDeque::new(),
            exit: None,
        })
    }
}

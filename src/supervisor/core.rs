//! The struct that owns everything the supervisor has.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::unistd::Pid;

use crate::cli::Options;
use crate::config::{Config, Global};
use crate::configured::Programs;
use crate::host::Host;
use crate::ipc::{GroupTableWriter, RequestReader, ResultsWriter};
use crate::plan::crashes::Emergency;
use crate::plan::descriptors::Descriptors;
use crate::plan::events::Events;
use crate::plan::fleet::{Event, Fleet, GenerationId, PoolKey, Settings, WorkerKey, ZygoteKey};
use crate::plan::oom_window::OomWindow;
use crate::request_ids::RequestIds;
use crate::scoreboard::Service;
use crate::supervisor::bases::Bases;
use crate::supervisor::candidate::Candidate;
use crate::supervisor::control_socket::ControlSocket;
use crate::supervisor::generation::{PoolTotals, Preparing, Reopening, Runtimes};
use crate::supervisor::monitor::Monitor;
use crate::supervisor::output::Outputs;
use crate::supervisor::poller::Poller;
use crate::supervisor::reload::progress::Reload;
use crate::supervisor::slow::{SlowLogs, Tracers};
use crate::supervisor::sockets::Sockets;
use crate::supervisor::stopped_children::StoppedChildren;
use crate::supervisor::systemd::Systemd;
use crate::sys::clock::{self, Moment};
use crate::sys::idle_memory::ReleaseTimer;
use crate::sys::limits::FileLimits;
use crate::sys::named_file::mount_list;
use crate::sys::oom_kills;
use crate::sys::peer_pipe;

/// How many groups start for each processor, if their zygotes are forked from a base zygote.
const FORKED: usize = 4;
/// How long the supervisor keeps the memory of a start or a reload. It does such work rarely.
const RELEASE: Duration = Duration::from_millis(100);

/// The supervisor.
#[derive(Debug)]
pub(super) struct Supervisor {
    /// The program and its library.
    pub(super) host: Host,
    /// The command line.
    pub(super) options: Options,
    /// The configuration in force.
    pub(super) config: Config,
    /// The present and the wanted zygotes and workers.
    pub(super) fleet: Fleet,
    /// Their resources.
    pub(super) runtimes: Runtimes,
    /// Listening sockets.
    pub(super) sockets: Sockets,
    /// The pools' counters.
    pub(super) totals: PoolTotals,
    /// The programs that pools run with, if not with ours.
    pub(super) programs: Programs,
    /// The epoll set.
    pub(super) poller: Poller,
    /// Pipes with what zygotes and workers write.
    pub(super) outputs: Outputs,
    /// Zygotes that have sent too many messages, and when they are heard again.
    pub(super) paused_zygotes: BTreeMap<ZygoteKey, Moment>,
    /// Children have ended that may not have been reaped yet.
    pub(super) children_ended: bool,
    /// Whether some child is stopped.
    pub(super) stopped_children: StoppedChildren,
    /// Zygotes that have not taken all their orders yet.
    pub(super) behind: BTreeSet<ZygoteKey>,
    /// Groups of which log lines were dropped, until a line says how many.
    pub(super) dropping: BTreeSet<ZygoteKey>,
    /// The ids of requests in which workers have ended, until the lines about their end.
    pub(super) ids_at_end: BTreeMap<WorkerKey, RequestIds>,
    /// Zygotes that were killed and have not been reaped.
    pub(super) killed: BTreeSet<ZygoteKey>,
    /// There may be workers whose zygote has ended.
    pub(super) has_orphans: bool,
    /// Workers that had ended at the last look, and that their zygote had not reaped.
    pub(super) unreaped: BTreeSet<(WorkerKey, i32)>,
    /// Killed children of ours that had ended at the last look, without that we could reap them.
    pub(super) hidden: BTreeSet<Pid>,
    /// Base zygotes.
    pub(super) bases: Bases,
    /// The monitor.
    pub(super) monitor: Monitor,
    /// What has happened, for the monitor.
    pub(super) events: Events,
    /// What it shows of the supervisor itself.
    pub(super) service: Service,
    /// Where commands ask.
    pub(super) control: ControlSocket,
    /// Processes that the kernel has killed for want of memory.
    pub(super) oom_kills: OomWindow,
    /// Tracers of workers whose pool limits requests.
    pub(super) tracers: Tracers,
    /// Entries of slow logs.
    pub(super) slow_logs: SlowLogs,
    /// How many times access logs have been opened again.
    pub(super) reopened: u64,
    /// Access logs that are being opened again.
    pub(super) reopening: Option<Reopening>,
    /// When memory is returned that the start of generations has used.
    pub(super) release: ReleaseTimer,
    /// When `every_second` is due.
    pub(super) next_second: Moment,
    /// A reload that is asked for or under way.
    pub(super) reload: Reload,
    /// The connection to systemd.
    pub(super) systemd: Systemd,
    /// Where the control commands read how a reload went.
    pub(super) results: ResultsWriter,
    /// Why groups could not be changed by the last reload, or cannot start.
    pub(super) outdated: BTreeMap<String, String>,
    /// Groups that the present reload could not change, and what serves on in their place.
    pub(super) kept: BTreeMap<String, String>,
    /// Where `php-fpm status` reads the table of groups, once it has asked.
    pub(super) group_table: Option<GroupTableWriter>,
    /// When systemd was last told how far a reload has come.
    pub(super) told_progress: Moment,
    /// Requests of the control commands.
    pub(super) requests: RequestReader,
    /// When to look for requests again, because a command was writing one.
    pub(super) requests_due: Option<Moment>,
    /// The process that has started the daemon and waits for the result.
    pub(super) starter: Option<OwnedFd>,
    /// RLIMIT_NOFILE as it was at the first start, for processes that run PHP.
    pub(super) nofile: FileLimits,
    /// How many descriptors are open.
    pub(super) descriptors: Descriptors,
    /// Groups of a configuration that nothing is open for yet.
    pub(super) candidates: BTreeMap<GenerationId, Candidate>,
    /// Those of them that are being prepared.
    pub(super) preparing: BTreeMap<GenerationId, Preparing>,
    /// Why generations can't start.
    pub(super) reasons: BTreeMap<GenerationId, String>,
    /// Generations of which was logged that they can't start.
    pub(super) unstarted: BTreeSet<GenerationId>,
    /// Generations whose workers' output is logged from now on.
    pub(super) unheld: Vec<(GenerationId, Moment)>,
    /// Links that zygotes get when they are started.
    pub(super) links: Vec<(PoolKey, OwnedFd)>,
    /// Events that actions have caused.
    pub(super) pending: VecDeque<Event>,
    /// The event loop ends with this exit status.
    pub(super) exit: Option<i32>,
}

impl Supervisor {
    /// Without processes and sockets.
    ///
    /// # Errors
    /// `EMFILE`.
    pub(super) fn bare(
        host: Host,
        options: Options,
        config: Config,
        nofile: FileLimits,
        systemd: Systemd,
        (results, requests): (ResultsWriter, RequestReader),
    ) -> io::Result<Self> {
        mount_list::keep();
        Ok(Self {
            reload: Reload::of_image(&host),
            programs: Programs::new(&host, &config.pools),
            host,
            options,
            fleet: Fleet::new(fleet_settings(&config.global)),
            runtimes: Runtimes::default(),
            sockets: Sockets::default(),
            totals: PoolTotals::default(),
            poller: Poller::new()?,
            outputs: Outputs::new(config.global.log_limit),
            config,
            paused_zygotes: BTreeMap::new(),
            children_ended: false,
            stopped_children: StoppedChildren::default(),
            behind: BTreeSet::new(),
            dropping: BTreeSet::new(),
            ids_at_end: BTreeMap::new(),
            killed: BTreeSet::new(),
            has_orphans: true,
            unreaped: BTreeSet::new(),
            hidden: BTreeSet::new(),
            bases: Bases::default(),
            monitor: Monitor::default(),
            events: Events::default(),
            service: Service::create()?,
            control: ControlSocket::default(),
            oom_kills: OomWindow::new(oom_kills::so_far()),
            tracers: Tracers::default(),
            slow_logs: SlowLogs::default(),
            reopened: 0,
            reopening: None,
            release: ReleaseTimer::after(RELEASE),
            next_second: clock::now(),
            systemd,
            results,
            outdated: BTreeMap::new(),
            kept: BTreeMap::new(),
            group_table: None,
            told_progress: Moment::default(),
            requests,
            requests_due: None,
            starter: None,
            nofile,
            descriptors: Descriptors::default(),
            candidates: BTreeMap::new(),
            preparing: BTreeMap::new(),
            reasons: BTreeMap::new(),
            unstarted: BTreeSet::new(),
            unheld: Vec::new(),
            links: Vec::new(),
            pending: VecDeque::new(),
            exit: None,
        })
    }
}

/// Has children read the pipes of other users' processes. Without root the pools have the supervisor's user, and could stop it as well.
pub(super) fn start_pipe_readers() {
    if nix::unistd::geteuid().is_root() {
        peer_pipe::use_readers();
    }
}

/// The settings of `[global]` for the fleet.
pub(super) fn fleet_settings(global: &Global) -> Settings {
    Settings {
        control_timeout: global.process_control_timeout,
        start_parallel: most_starting(global),
        fork_parallel: most_forked(global),
        drain_patience: global.drain_patience,
        process_max: global.process_max,
        emergency: Emergency {
            threshold: global.emergency_restart_threshold,
            interval: global.emergency_restart_interval,
        },
    }
}

/// `process.start_parallel`.
fn most_starting(global: &Global) -> usize {
    given_parallel(global).unwrap_or_else(|| processors().max(2))
}

/// The same for groups whose zygotes are forked from a base zygote. Each spends most of the time waiting for others: the supervisor, the
/// base zygote, its worker and the former worker take turns.
fn most_forked(global: &Global) -> usize {
    given_parallel(global).unwrap_or_else(|| FORKED * processors().max(2))
}

fn given_parallel(global: &Global) -> Option<usize> {
    global.start_parallel.and_then(|most| usize::try_from(most).ok())
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

//! A worker process: its set-up, and then its serve loop.
#![forbid(unsafe_code)]

mod access_log;
mod authorization;
mod failure;
mod hat;
mod identification;
mod intake;
mod lifetime;
mod monitored;
#[cfg(any(test, feature = "oracles"))]
pub mod oracle;
mod pages;
mod predictor;
mod retained;
mod serve_loop;
mod setup;
mod sources;
mod tracer;
pub(crate) mod tracker;
mod zygote_channel;

pub(crate) use setup::Place;
pub(crate) use zygote_channel::AccessLogFile;

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::atomic::AtomicU64;

use nix::unistd::Pid;

use crate::config::{AllowedClients, ListenAddr, PoolConfig};
use crate::engine::Engine;
use crate::exchange;
use crate::exit::ExitCode;
use crate::fastcgi::management::Capacity;
use crate::ipc::retained::Holders;
use crate::ipc::{Channel, ToWorker, WorkerQueues, WorkerSays};
use crate::log;
use crate::log::messages::{requests, worker_setup};
use crate::scoreboard::Slot;
use crate::status::Group;
use crate::sys::clock::Moment;
use crate::sys::ids::Identity;
use crate::sys::limits::FileLimits;
use crate::sys::process_limits::ProcessLimits;
use crate::sys::{clock, process};

/// Everything that a worker keeps after it was forked. All else of its zygote is closed.
#[derive(Debug)]
pub(crate) struct WorkerSpec {
    /// The pool's directives.
    pub pool: PoolConfig,
    /// Who to become; `None`: stay.
    pub identity: Option<Identity>,
    /// `USER`, `HOME` and `env[]`.
    pub environment: Vec<(String, String)>,
    /// The pool's listening sockets.
    pub listeners: Vec<OwnedFd>,
    /// The pool's queues.
    pub queues: WorkerQueues,
    /// To the zygote.
    pub control: Channel<WorkerSays, ToWorker>,
    /// The drain signal: a pipe that ends when the worker has to drain.
    pub drain: OwnedFd,
    /// Its place in the scoreboard.
    pub slot: Slot,
    /// Who holds the connections that the pool's workers retain.
    pub holders: &'static Holders,
    /// The word of the slot that is not 0 if the supervisor's next SIGTERM ends the worker.
    pub end: &'static AtomicU64,
    /// The pool that its status page shows, if it isn't its own.
    pub shown: Option<tracker::ShownPool>,
    /// stdout and stderr, if the supervisor catches them.
    pub output: Option<(OwnedFd, OwnedFd)>,
    /// The pipes for questions to its tracer and for the answers, if it has one.
    pub tracer: Option<(OwnedFd, OwnedFd)>,
    /// Its access log, if it has one.
    pub access_log: Option<AccessLogFile>,
    /// /dev/null.
    pub null: OwnedFd,
    /// Where the zygote has left it.
    pub place: Place,
    /// RLIMIT_NOFILE as the supervisor found it.
    pub nofile: FileLimits,
    /// RLIMIT_NPROC for the worker, which the zygote may have above its own.
    pub processes: Option<ProcessLimits>,
    /// The zygote's pid.
    pub parent: Pid,
    /// The supervisor's pid.
    pub supervisor: Pid,
    /// SIGTERM and SIGINT ask it to finish.
    pub graceful: bool,
    /// When its zygote was ready.
    pub born: Moment,
    /// What its status page shows of its group.
    pub group: Group,
    /// It is to make its engine ready for requests when it has nothing else to do.
    pub warms_up: bool,
}

/// The most characters of a reason that are sent to the supervisor.
const LONGEST_REASON: usize = 2000;

/// Runs a worker; returns its exit status.
pub(crate) fn run(mut spec: WorkerSpec, engine: &mut impl Engine) -> i32 {
    // Before a chroot, in which /proc may be missing.
    let lifetime = lifetime::Lifetime::new(&spec.pool);
    if let Err(failure) = set_up(&mut spec, engine) {
        let message = failure.message(&spec.pool.name);
        // Sent to the supervisor, because the worker's own stderr is read only if the pool catches workers' output.
        // It has to fit into one message.
        spec.control.send(&WorkerSays::Failed(message.text().chars().take(LONGEST_REASON).collect()), Vec::new());
        return ExitCode::Software.status();
    }
    if let Err(status) = prepare_process(&mut spec, engine) {
        return status;
    }
    let slot = Rc::new(spec.slot);
    slot.open(std::process::id(), clock::wall_seconds());
    // php-fpm shows it since 8.4.
    let memory_peak = engine.release() >= (8, 4);
    let control = Rc::new(zygote_channel::ZygoteChannel::new(spec.control, spec.access_log));
    let access_log = access_log::AccessLog::new(&spec.pool, Rc::clone(&control), spec.supervisor);
    let queue = Rc::clone(&spec.queues.queue);
    let tracker = tracker::RequestTracker::new(
        Rc::clone(&slot),
        (&spec.pool, spec.group),
        queue,
        spec.shown,
        memory_peak,
        access_log,
    );
    let tracker = Rc::new(tracker);
    let begun = Rc::clone(&tracker);
    let capacity = Capacity { max_children: spec.pool.pm_max_children };
    drop(spec.null);
    let queues = Rc::new(spec.queues);
    let exchange = exchange::Exchange::new(exchange::Limits::default(), capacity)
        .on_tcp(spec.pool.listens_on_tcp())
        .with_first_byte(Box::new(move || begun.begin()));
    let exchange = identified(exchange, &spec.pool, &tracker);
    let allowed = allowed_clients(&spec.pool);
    allowed.wrong().iter().for_each(|wrong| log::say(&wrong.message()));
    let intake = intake::Intake::new(spec.listeners, allowed, queues, Rc::clone(&slot));
    let ways = (control, spec.drain);
    let served = serve_loop::ServeLoop::new(
        engine,
        (exchange, tracker),
        (slot, spec.holders),
        intake,
        ways,
        &spec.pool,
        (lifetime, spec.born, spec.warms_up),
    )
    .and_then(|mut serve_loop| serve_loop.run());
    engine.stop();
    engine.exit(match served {
        Ok(true) => 0,
        Ok(false) => ExitCode::Software.status(),
        Err(e) => {
            log::say(&requests::worker_cannot_wait(&spec.pool.name, e));
            ExitCode::Software.status()
        }
    })
}

/// Starts what belongs to this process for all its requests. On failure returns the exit status.
fn prepare_process(spec: &mut WorkerSpec, engine: &impl Engine) -> Result<(), i32> {
    if let Some(ways) = spec.tracer.take() {
        let depth = spec.pool.request_slowlog_trace_depth;
        if let Err(e) = engine.tracer().and_then(|tracer| tracer::start(ways, tracer, depth)) {
            log::say(&worker_setup::tracer_not_started(&spec.pool.name, e));
        }
    }
    // After the start of the tracer, since threads count as processes.
    if let Some(Err(e)) = spec.processes.map(ProcessLimits::apply) {
        log::say(&worker_setup::process_limit_not_set(&spec.pool.name, e));
        return Err(ExitCode::Software.status());
    }
    if let Err(e) = process::watch_forks() {
        log::say(&worker_setup::forks_not_detected(&spec.pool.name, e));
        return Err(ExitCode::Software.status());
    }
    Ok(())
}

/// Makes this process a worker of its pool.
fn set_up(spec: &mut WorkerSpec, engine: &mut impl Engine) -> Result<(), failure::SetupFailure> {
    let setup = setup::Setup {
        pool: &spec.pool,
        identity: spec.identity.as_ref(),
        environment: &spec.environment,
        output: spec.output.take(),
        null: spec.null.as_fd(),
        place: &spec.place,
        nofile: spec.nofile,
        parent: spec.parent,
        end: spec.end,
        graceful: spec.graceful,
    };
    setup.apply()?;
    Ok(engine.enter_pool(&spec.pool)?)
}

/// `listen.allowed_clients`. It has no effect if all sockets are unix sockets.
fn allowed_clients(pool: &PoolConfig) -> AllowedClients {
    let on_tcp = pool.listen.iter().any(|address| matches!(address, ListenAddr::Tcp { .. }));
    if on_tcp { pool.listen_allowed_clients.clone() } else { AllowedClients::default() }
}

/// Gives each request of an exchange its ids, if the pool wants that, and tells the tracker.
fn identified(
    exchange: exchange::Exchange,
    pool: &PoolConfig,
    tracker: &Rc<tracker::RequestTracker>,
) -> exchange::Exchange {
    let Some(identification) = identification::Identification::new(pool) else { return exchange };
    let (room, tracker) = (identification.room(), Rc::clone(tracker));
    exchange.with_arrived(room, Box::new(move |params| tracker.identified(identification.identify(params))))
}

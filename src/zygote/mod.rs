//! A zygote: PHP started once, for all pools of a group; forks workers on request and keeps their idle connections.
#![forbid(unsafe_code)]

mod adopt;
mod children;
mod connections;
mod demand;
mod event_loop;
mod fork;
mod parking;
mod privileges;
mod token;
mod wish;

use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};

use crate::config;
use crate::configured::start_files;
use crate::engine::{Engine, EngineOptions};
use crate::exit::ExitCode;
use crate::ipc::{Channel, PROTOCOL, ReportSender, ToSupervisor, ToZygote, ZygoteSpec};
use crate::log;
use crate::scoreboard::Scoreboard;
use crate::sys::ids::Identity;
use crate::sys::{local_time, process, signal, title};
use crate::worker;

/// How the event loop ended.
#[derive(Debug)]
enum Outcome {
    /// The zygote has no more to do. Its pipe to the supervisor is open until its end: a zygote without one is killed.
    Leave(Box<ReportSender>),
    /// The same, but workers are still inside of requests.
    Desert(Box<ReportSender>),
    /// This process is a forked worker; nothing of the zygote is left in it.
    Worker(Box<worker::Seed>),
}

/// How long a zygote that leaves waits for the supervisor to take what it has said.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// The life of a zygote, and of every worker forked from it; returns the exit status of whichever this process became.
pub fn run(spec: ZygoteSpec, php: &str, engine: &mut impl Engine) -> i32 {
    title::set(&format!("php-fpm: zygote {} (generation {})", spec.group, spec.generation));
    log::set_level(spec.log_level);
    log::set_format(spec.log_format);
    let (group, identity, options) = (spec.group.clone(), spec.identity.clone(), spec.engine.clone());
    let mut zygote = match adopt::adopt(spec) {
        Ok(zygote) => zygote,
        Err(e) => {
            log::error(format!("[group {group}] a zygote was started wrongly: {e}"));
            return ExitCode::Software.status();
        }
    };
    if !zygote.former {
        zygote.report(&ToSupervisor::Hello { protocol: PROTOCOL, php: php.to_owned() });
    }
    // A worker may find no zone files: its pool's chroot has none.
    local_time::renew_zone();
    let pools: Vec<_> = zygote.pools.iter().map(|pool| &pool.spec.config).collect();
    let started = prepare()
        .and_then(|()| start(engine, &options, identity.as_ref(), &pools))
        .and_then(|()| zygote.ready().map_err(|e| e.to_string()));
    if let Err(reason) = started {
        // Cut where it is too long; the whole text went to stderr as PHP printed it.
        zygote.report(&ToSupervisor::Failed(reason));
        log::drain(LAST_WORDS);
        return ExitCode::Software.status();
    }
    match zygote.run() {
        Outcome::Leave(_speaker) => {
            engine.stop();
            0
        }
        // PHP's end could take away what those still use.
        Outcome::Desert(_speaker) => process::exit_now(0),
        Outcome::Worker(seed) => worker::run(*seed, engine),
    }
}

/// Before PHP starts: signals as a program expects them.
fn prepare() -> Result<(), String> {
    signal::reset_actions();
    for others in [Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2] {
        signal::handle_by_nothing(others);
    }
    signal::set_mask(&SigSet::empty()).map_err(|e| e.to_string())
}

/// Starts PHP. It reads php.ini as root, as php-fpm's does; then it becomes the user that its workers will be, before any
/// extension has run.
fn start(
    engine: &mut impl Engine,
    options: &EngineOptions,
    identity: Option<&Identity>,
    pools: &[&config::PoolConfig],
) -> Result<(), String> {
    let mut settled = false;
    let started = engine.start(options, &mut |look| {
        if let Some(identity) = identity {
            let files = look();
            privileges::drop_to(identity, pools)?;
            start_files::check(&files, pools.first().and_then(|pool| pool.user.as_deref()).unwrap_or_default())?;
        }
        settled = true;
        // A change of user clears it.
        process::die_with_parent(Signal::SIGQUIT).map_err(|e| e.to_string())
    });
    match started {
        Ok(()) if !settled => Err("it has started and is still root".to_owned()),
        started => started.map_err(|e| e.to_string()),
    }
}

/// A pool's descriptors.
#[derive(Debug)]
struct ZygotePool {
    spec: crate::ipc::PoolSpec,
    listeners: Vec<OwnedFd>,
    scoreboard: OwnedFd,
    /// The same, mapped.
    board: Scoreboard,
    totals: OwnedFd,
    /// Hand-over queue: writing end, reading end.
    queue: (OwnedFd, OwnedFd),
    /// Park queue: writing end (for workers), reading end.
    park: (OwnedFd, OwnedFd),
    /// Its access log.
    access_log: Option<worker::LogFile>,
    /// Where kept connections go while the generation drains.
    successor: Option<OwnedFd>,
    /// From predecessors that drain.
    links: Vec<OwnedFd>,
    /// Where the number of workers follows the load.
    demand: Option<demand::Demand>,
}

/// Where orders come from. Nothing can be sent there.
type Control = Channel<(), ToZygote>;

//! From the command line to a running supervisor.

use std::io;

use nix::sys::resource::{Resource, setrlimit};

use crate::cli::Options;
use crate::config::{Config, ConfigError, LoadOptions, Loaded};
use crate::configured::{self, announce, load_options};
use crate::engine::Engine;
use crate::exit::ExitCode;
use crate::host::Host;
use crate::ipc::{RequestReader, ResultsWriter};
use crate::log::{self, messages::config::rules_broken, messages::lifecycle};
use crate::plan::fleet::Scope;
use crate::scoreboard::Fact;
use crate::supervisor::core::{self, Supervisor};
use crate::supervisor::daemon::{self, Side};
use crate::supervisor::generation::StartError;
use crate::supervisor::sockets::{self, InheritedSockets, Passed};
use crate::supervisor::systemd::Systemd;
use crate::sys::limits::FileLimits;
use crate::sys::{clock, fd, pid_file, process, shared, signal, title};

/// The state that the process which started this one has handed over.
struct Handed {
    systemd: Systemd,
    passed: Vec<Passed>,
    inherited: InheritedSockets,
}

/// First start. Returns the exit status, of the supervisor or of the process that started it into the background.
#[must_use]
pub(crate) fn start(host: Host, options: Options, engine: &mut dyn Engine) -> i32 {
    daemon::fill_streams();
    fd::close_on_exec_from(3);
    // These are for the process that systemd has started, so they are read before the daemon is forked.
    let (systemd, passed) = (Systemd::of_environment(clock::now()), sockets::take_passed());
    let inherited = InheritedSockets::from_environment(&passed);
    // Signals may have been ignored in the process that started us; SIGCHLD must come.
    signal::reset_actions();
    match try_start(host, options, engine, Handed { systemd, passed, inherited }) {
        Ok(status) => status,
        Err(code) => code.status(),
    }
}

fn try_start(host: Host, options: Options, engine: &mut dyn Engine, handed: Handed) -> Result<i32, ExitCode> {
    let load = load_options(&host, &options);
    let config = match configured::load(engine, &host, &options, &load, false) {
        Ok(Loaded { config, messages, .. }) => {
            log::set_level(config.global.log_level);
            announce(&messages, Some(&config.global), &options).map_err(|e| fatal(&e.into()))?;
            config
        }
        Err(ConfigError { messages, global }) => {
            let _ = announce(&messages, global.as_deref(), &options);
            return Err(ExitCode::Config);
        }
    };
    let starter = if config.global.daemonize {
        match daemon::daemonize().map_err(|e| fatal(&StartError::Background(e)))? {
            Side::Starter(status) => return Ok(status),
            Side::Supervisor(tell) => {
                handed.systemd.follow_fork();
                Some(tell)
            }
        }
    } else {
        daemon::leave_caller().map_err(|e| fatal(&StartError::Streams(e)))?;
        None
    };
    let _ = signal::block_all();
    let result = first_generations(host, options, config, &load, handed);
    match result {
        Ok(mut supervisor) => {
            if starter.is_some() {
                log::keep_stream();
                fd::drop_streams().map_err(|e| fatal(&StartError::Streams(e)))?;
            }
            log::echo_faults_only();
            log::never_wait();
            if starter.is_some() {
                log::lead_stderr();
            }
            supervisor.starter = starter;
            log::say(&lifecycle::fpm_is_running(std::process::id()));
            Ok(supervisor.run())
        }
        Err(e) => {
            let code = fatal(&e);
            if let Some(tell) = starter {
                daemon::tell(tell, false);
            }
            Err(code)
        }
    }
}

fn fatal(e: &StartError) -> ExitCode {
    log::say(&e.message());
    if matches!(e, StartError::Paths(_) | StartError::AccessLog { .. }) {
        // php-fpm examines these files when it reads the configuration.
        log::say(&rules_broken());
    }
    log::say(&lifecycle::initialization_failed());
    e.exit_code()
}

/// Calls `fork` while the configuration is not on the heap: children that live as long as this process would keep a copy of it.
///
/// # Errors
/// It could not be read again.
fn without_config(config: Config, fork: fn()) -> io::Result<Config> {
    // A path that is not UTF-8 cannot be stored.
    let stored = serde_json::to_vec(&config).ok().and_then(|text| shared::file_of("cgi-fpm-config", &text).ok());
    let Some(stored) = stored else {
        fork();
        return Ok(config);
    };
    drop(config);
    fork();
    let mut config: Config = serde_json::from_slice(&shared::content_of(stored)?)?;
    config.pools.shrink_to_fit();
    Ok(config)
}

fn first_generations(
    host: Host,
    options: Options,
    config: Config,
    load: &LoadOptions,
    Handed { systemd, passed, inherited }: Handed,
) -> Result<Supervisor, StartError> {
    process::become_subreaper()?;
    let nofile = FileLimits::of_process()?;
    // Pipes of all workers and sockets of all pools are open here.
    let _ = setrlimit(Resource::RLIMIT_NOFILE, nofile.hard, nofile.hard);
    let config = without_config(config, core::start_pipe_readers)?;
    let commands = (ResultsWriter::new()?, RequestReader::new()?);
    let bare = Supervisor::bare(host, options, config, nofile, systemd, commands)?;
    let mut supervisor = Supervisor { sockets: inherited.adopt(), ..bare };
    let stored = supervisor.sockets.adopt_passed(passed, &supervisor.config.pools);
    supervisor.systemd.set_stored(stored);
    supervisor.service.set(Fact::Started, clock::wall_seconds());
    supervisor.begin_groups(load, &Scope::All)?;
    supervisor.prepare_all()?;
    if let Some(path) = &supervisor.config.global.pid {
        pid_file::write(path, std::process::id())
            .map_err(|source| StartError::PidFile { path: path.clone(), source })?;
    }
    title::set(&format!("php-fpm: master process ({})", supervisor.config.file.display()));
    Ok(supervisor)
}

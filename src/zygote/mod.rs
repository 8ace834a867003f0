//! A zygote: starts PHP once for all pools of a group, forks workers on order and holds their parked connections.
#![forbid(unsafe_code)]

mod adopt;
pub(crate) mod base;
mod children;
mod connections;
mod demand;
mod error;
mod event_loop;
mod event_source;
mod fork;
mod leaving;
mod parking;
mod pool;
mod privileges;
mod rescue;
mod retained;
mod scaling;
mod state;

use nix::sys::signal::{SigSet, Signal};

use crate::config;
use crate::configured::loaded_files::LoadedFiles;
use crate::configured::{own_ini, start_files};
use crate::engine::{Engine, EngineOptions, FindStartFiles, IniFiles, StartSteps, StepError};
use crate::exit::ExitCode;
use crate::ipc::{PROTOCOL, SPOKEN, ToSupervisor, ZygoteSpec};
use crate::log::{self, messages::zygotes::zygote_started_wrongly};
use crate::sys::ids::Identity;
use crate::sys::{local_time, process, signal, title};
use crate::worker::{self, Place};
use error::StartError;
use event_loop::{FLUSH_TIME, LoopEnd};
use privileges::Privileges;
use state::Zygote;

/// Runs a zygote, and every worker that is forked from it. Returns the exit status of the zygote or worker that this
/// process has become.
pub(crate) fn run(spec: ZygoteSpec, php: &str, engine: &mut impl Engine) -> i32 {
    let (identity, options) = (spec.identity.clone(), spec.engine.clone());
    let tell_files = spec.tell_files;
    let mut zygote = match begin(spec, php) {
        Ok(zygote) => zygote,
        Err(status) => return status,
    };
    let pools: Vec<_> = zygote.pools.iter().map(|pool| &pool.spec.config).collect();
    let started = prepare().and_then(|()| start(engine, &options, identity.as_ref(), &pools));
    let started = started.map(|(places, files)| {
        if tell_files {
            tell(&mut zygote, &files);
        }
        places
    });
    serve(zygote, started, engine, Engine::stop)
}

/// Reports the files that PHP was started with.
fn tell(zygote: &mut Zygote, files: &LoadedFiles) {
    let messages = ToSupervisor::about_files(files.php_ini.as_deref(), &files.marked);
    messages.iter().for_each(|message| zygote.report(message));
}

/// Takes over what the specification names. On failure returns the exit status.
fn begin(spec: ZygoteSpec, php: &str) -> Result<Zygote, i32> {
    title::set(&format!("php-fpm: zygote {} (generation {})", spec.group, spec.generation));
    log::set_level(spec.log_level);
    log::set_format(spec.log_format);
    let (group, protocol) = (spec.group.clone(), spec.protocol);
    let mut zygote = adopt::adopt(spec, php).map_err(|e| {
        log::say(&zygote_started_wrongly(group, e));
        ExitCode::Software.status()
    })?;
    if !zygote.former {
        let protocol = protocol.filter(|one| SPOKEN.contains(one)).unwrap_or(PROTOCOL);
        zygote.report(&ToSupervisor::Hello { protocol, php: php.to_owned() });
    }
    // Read now: in the chroot of a pool there may be no time zone files.
    local_time::renew_zone();
    Ok(zygote)
}

/// Serves, if PHP has started. `stop` ends PHP.
fn serve<E: Engine>(
    mut zygote: Zygote,
    started: Result<Vec<Place>, StartError>,
    engine: &mut E,
    stop: fn(&mut E),
) -> i32 {
    let ready = started.and_then(|places| zygote.ready(places).map_err(StartError::EventLoop));
    if let Err(error) = ready {
        // A long text is cut. PHP has printed the whole text to stderr.
        zygote.report(&ToSupervisor::Failed(error.to_string()));
        log::drain(FLUSH_TIME);
        return ExitCode::Software.status();
    }
    match zygote.run() {
        LoopEnd::Exit(_speaker) => {
            stop(engine);
            engine.exit(0)
        }
        // The regular end of PHP could remove things that the workers still use.
        LoopEnd::ExitBeforeWorkers(_speaker) => process::exit_now(0),
        LoopEnd::Worker(spec) => worker::run(*spec, engine),
    }
}

/// Before PHP starts: sets signals to what a program expects.
fn prepare() -> Result<(), StartError> {
    signal::reset_actions();
    for others in [Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2] {
        signal::handle_by_nothing(others);
    }
    signal::set_mask(&SigSet::empty()).map_err(StartError::Signals)
}

/// Starts PHP. PHP reads php.ini as root, as in php-fpm. Then the zygote becomes the user of its workers, before any
/// extension runs. Returns where the workers of each pool start, and the files that PHP was started with.
fn start(
    engine: &mut impl Engine,
    options: &EngineOptions,
    identity: Option<&Identity>,
    pools: &[&config::PoolConfig],
) -> Result<(Vec<Place>, LoadedFiles), StartError> {
    let privileges = identity.map(|identity| Privileges::new(identity, pools));
    let mut steps = Steps { privileges, pools, is_user: false, files: LoadedFiles::default() };
    if let Some(pool) = pools.first() {
        steps.before_ini(pool)?;
    }
    engine.start(options, &mut steps)?;
    let places = steps.privileges.map(Privileges::into_places);
    Ok((places.unwrap_or_default(), steps.files))
}

/// What a zygote does during PHP's start.
struct Steps<'a> {
    /// `None`: the zygote keeps its user.
    privileges: Option<Privileges<'a>>,
    pools: &'a [&'a config::PoolConfig],
    /// It has become the user of its pools before PHP's start.
    is_user: bool,
    /// The files that PHP is started with.
    files: LoadedFiles,
}

impl Steps<'_> {
    /// Before php.ini is read. If a user can change the file that the pools name, it is read with the rights of their user.
    fn before_ini(&mut self, pool: &config::PoolConfig) -> Result<(), StartError> {
        let root = nix::unistd::geteuid().is_root();
        if root && let Some(changeable) = own_ini::changeable(&pool.engine) {
            let Some(privileges) = &mut self.privileges else { return Err(changeable.error(&pool.name).into()) };
            privileges.become_user()?;
            self.is_user = true;
        }
        Ok(own_ini::require_readable(&pool.engine).map_err(|e| e.error(&pool.name))?)
    }
}

impl StartSteps for Steps<'_> {
    fn ini_read(&mut self, files: &dyn Fn() -> IniFiles) {
        self.files = LoadedFiles::mark(files());
    }

    fn after_ini(&mut self, files: &FindStartFiles<'_>) -> Result<(), StepError> {
        if let Some(privileges) = &mut self.privileges {
            let files = files();
            if !self.is_user {
                privileges.become_user()?;
            }
            // The check of a later reload looks as that user, too.
            self.files.mark_again();
            let user = self.pools.first().and_then(|pool| pool.user.as_deref()).unwrap_or_default();
            start_files::require_readable(&files, user).map_err(StartError::from)?;
        }
        // A change of user clears PR_SET_PDEATHSIG.
        Ok(process::die_with_parent(Signal::SIGQUIT).map_err(StartError::ParentDeathSignal)?)
    }

    fn before_user_code(&mut self) -> Result<(), StepError> {
        Ok(self.privileges.as_mut().map_or(Ok(()), Privileges::before_user_code)?)
    }
}

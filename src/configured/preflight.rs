//! Before a start as root: checks that PHP can read its files as the pools' user. php-fpm starts PHP as root. Children do the
//! check, because this process neither runs PHP nor changes its user. They have a time limit.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::time::{Duration, Instant};

use super::child::in_child;
use super::start_files;
use super::users::identity_of;
use crate::cli::Options;
use crate::config::{self, Config, ConfigError, LoadOptions, Loaded};
use crate::engine::{Engine, EngineOptions, FindStartFiles, StartFile, StartSteps, StepError};
use crate::host::Host;
use crate::log;
use crate::plan::groups;
use crate::sys::fd::{self, Stream};
use crate::sys::ids::{self, Identity};
use crate::sys::limits::Ceilings;
use crate::sys::process;

/// For PHP to read php.ini.
const INI_LIMIT: Duration = Duration::from_secs(15);
/// For the check of one user, who could stop the child that checks; and for all users together.
const LOOK_LIMIT: Duration = Duration::from_secs(1);
const ALL_LIMIT: Duration = Duration::from_secs(6);

/// Reads the configuration and checks the files. `aloud`: PHP's messages about php.ini go to stderr, and warnings are added to
/// errors; otherwise the zygotes log these.
///
/// # Errors
/// The configuration is refused, or a user cannot read a file that PHP cannot start without.
pub(crate) fn load(
    engine: &mut dyn Engine,
    host: &Host,
    options: &Options,
    load: &LoadOptions,
    aloud: bool,
) -> Result<Loaded, ConfigError> {
    let loaded = config::load(&options.config_path(&host.config_file()), load)?;
    let mut start = options.engine.clone();
    host.complete(&mut start);
    let mut remarks = remarks(engine, &start, &loaded.config, load, aloud);
    remarks.retain(|remark| aloud || remark.level() >= log::Level::Error);
    loaded.with_remarks(remarks)
}

/// Messages about files that users cannot read. If one is an error, nothing must be started.
fn remarks(
    engine: &mut dyn Engine,
    options: &EngineOptions,
    config: &Config,
    load: &LoadOptions,
    aloud: bool,
) -> Vec<log::Message> {
    let users = if load.root { users(config, load) } else { Vec::new() };
    if users.is_empty() {
        return Vec::new();
    }
    let files = in_child(INI_LIMIT, |out| {
        let _ = silence(aloud);
        let _ = engine.start(options, &mut TellFiles(out));
    });
    // If PHP fails before that, the zygotes report it.
    let files: Vec<StartFile> = serde_json::from_slice(&files.unwrap_or_default()).unwrap_or_default();
    if files.is_empty() {
        return Vec::new();
    }
    let until = Instant::now() + ALL_LIMIT;
    let limit = || LOOK_LIMIT.min(until.saturating_duration_since(Instant::now()));
    users.iter().flat_map(|(identity, name)| of_user(&files, identity, name, limit())).collect()
}

/// Writes the files that PHP's start reads as JSON, and ends the process.
struct TellFiles<'a>(&'a mut File);

impl StartSteps for TellFiles<'_> {
    fn after_ini(&mut self, files: &FindStartFiles<'_>) -> Result<(), StepError> {
        let said = serde_json::to_vec(&files()).unwrap_or_default();
        let _ = self.0.write_all(&said);
        process::exit_now(0)
    }

    fn before_user_code(&mut self) -> Result<(), StepError> {
        process::exit_now(0)
    }
}

fn of_user(files: &[StartFile], identity: &Identity, name: &str, limit: Duration) -> Vec<log::Message> {
    let said = in_child(limit, |out| {
        if ids::become_identity(identity, name, &[]).is_ok() {
            let unreadable: Vec<&StartFile> = start_files::unreadable(files).collect();
            let _ = out.write_all(&serde_json::to_vec(&unreadable).unwrap_or_default());
        }
    });
    // After a timeout, the user's zygote still checks.
    let unreadable: Vec<StartFile> = serde_json::from_slice(&said.unwrap_or_default()).unwrap_or_default();
    unreadable.iter().map(|file| start_files::message(file, name)).collect()
}

/// The identities that PHP is started with, and the names of their users. Groups of several users start it as root.
fn users(config: &Config, load: &LoadOptions) -> Vec<(Identity, String)> {
    let mut view = Vec::new();
    for pool in &config.pools {
        // The supervisor reports an unknown name.
        let Ok(Ok(identity)) = config::account(pool, load).map(|found| identity_of(&found)) else {
            return Vec::new();
        };
        view.push((pool, identity));
    }
    let mut users: Vec<(Identity, String)> = Vec::new();
    for group in groups::group(&config.global, &view, Ceilings::NONE) {
        let name = group.pools.first().and_then(|&first| view.get(first)).and_then(|(pool, _)| pool.user.clone());
        if let (Some(identity), Some(name)) = (group.identity, name)
            && identity.uid != 0
            && users.iter().all(|(known, _)| *known != identity)
        {
            users.push((identity, name));
        }
    }
    users
}

fn silence(aloud: bool) -> std::io::Result<()> {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    fd::redirect(Stream::Stdin, &null)?;
    fd::redirect(Stream::Stdout, &null)?;
    if aloud { Ok(()) } else { fd::redirect(Stream::Stderr, &null) }
}

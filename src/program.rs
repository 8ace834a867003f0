//! `php-cgi --fpm`: from the arguments to the exit status. The engine is PHP, or a stub in tests.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::os::fd::RawFd;

use serde::de::DeserializeOwned;

use crate::cli::{self, Command, Options, Role};
use crate::configured::{self, Inquiry};
use crate::engine::{Engine, NoSteps, Topic};
use crate::exit::ExitCode;
use crate::host::Host;
use crate::ipc::{BaseSpec, Introduction, MonitorSpec, SPOKEN, ZygoteSpec};
use crate::log::messages::terminal::zygote_by_hand;
use crate::sys::{inherited, shared};
use crate::{control, log, monitor, supervisor, zygote};

/// Runs the command that the arguments ask for; returns the exit status.
#[must_use]
pub fn run(host: Host, engine: &mut impl Engine) -> i32 {
    let arguments = host.args.get(1..).unwrap_or_default();
    match cli::parse(arguments) {
        Ok(Command::Run(options)) => supervisor::start(host, options, engine),
        Ok(Command::Control { verb, at, part, options }) => {
            let mut start = arguments.to_vec();
            start.remove(at);
            control::run((verb, part), &host, &options, &start, engine)
        }
        Ok(Command::Health { check, options }) => control::health::run(check, &host, &options),
        Ok(Command::Top { top, options }) => control::top::run(top, &host, &options),
        Ok(Command::Caches { command, options }) => control::caches::run(command, &host, &options),
        Ok(Command::Test { dump, options }) => configured::test(&host, engine, &options, dump),
        Ok(Command::Convert { file, options }) => configured::convert(&host, &file, &options),
        Ok(Command::Describe { topic, options }) => match &options.pool {
            Some(pool) => configured::describe_pool(&host, engine, &options, topic, pool),
            None => describe(&host, engine, topic, options),
        },
        Ok(Command::Help) => usage(&host, ExitCode::Ok),
        Ok(Command::Hello) => hello(&host),
        Ok(Command::Role { role: Role::Zygote, fd, .. }) => start_zygote(fd, &host, engine),
        Ok(Command::Role { role: Role::Base, fd, .. }) => start_base(fd, &host, engine),
        Ok(Command::Role { role: Role::Monitor, fd, .. }) => match specification::<MonitorSpec>(fd) {
            Ok(spec) => monitor::run(spec),
            Err(e) => started_by_hand(e),
        },
        Ok(Command::Role { role: Role::Check, fd, options }) => supervisor::check(&host, engine, &options, fd),
        Ok(Command::Role { role: Role::Inquiry, fd, .. }) => {
            let Ok(mut inquiry) = specification::<Inquiry>(fd) else { return ExitCode::Usage.status() };
            host.complete(&mut inquiry.engine);
            configured::answer_inquiry(&inquiry, engine)
        }
        Ok(Command::Role { role: Role::Resume, fd, options }) => supervisor::resume(host, options, fd),
        Err(cli::Usage) => usage(&host, ExitCode::Usage),
    }
}

/// php-fpm prints its usage to stdout, asked or not.
fn usage(host: &Host, code: ExitCode) -> i32 {
    let _ = std::io::stdout().write_all(cli::usage("php-fpm", &host.php_prefix).as_bytes());
    code.status()
}

/// `--fpm-role=hello`: what a supervisor that is perhaps of another build has to know.
fn hello(host: &Host) -> i32 {
    let introduction = Introduction {
        protocol: SPOKEN.to_vec(),
        cgi_fpm: env!("CARGO_PKG_VERSION").to_owned(),
        php: host.php_version.clone(),
        api: host.module_api,
        zts: false,
        library: host.library.clone(),
    };
    let said = serde_json::to_string(&introduction).unwrap_or_default();
    match writeln!(std::io::stdout(), "{said}") {
        Ok(()) => ExitCode::Ok.status(),
        Err(_) => ExitCode::Software.status(),
    }
}

fn describe(host: &Host, engine: &mut impl Engine, topic: Topic, mut options: Options) -> i32 {
    host.complete(&mut options.engine);
    configured::described(engine.describe(topic, &options.engine, &mut NoSteps))
}

fn start_zygote(raw: RawFd, host: &Host, engine: &mut impl Engine) -> i32 {
    match specification::<ZygoteSpec>(raw) {
        Ok(mut spec) => {
            host.complete(&mut spec.engine);
            zygote::run(spec, &host.php_version, engine)
        }
        Err(e) => started_by_hand(e),
    }
}

fn start_base(raw: RawFd, host: &Host, engine: &mut impl Engine) -> i32 {
    match specification::<BaseSpec>(raw) {
        Ok(mut spec) => {
            host.complete(&mut spec.engine);
            zygote::base::run(&spec, &host.php_version, engine)
        }
        Err(e) => started_by_hand(e),
    }
}

/// What a role is to do, in the memfd that its parent has passed.
fn specification<T: DeserializeOwned>(raw: RawFd) -> io::Result<T> {
    let bytes = inherited::adopt(raw).and_then(shared::content_of)?;
    Ok(serde_json::from_slice(&bytes)?)
}

fn started_by_hand(e: io::Error) -> i32 {
    log::say(&zygote_by_hand(e));
    ExitCode::Usage.status()
}

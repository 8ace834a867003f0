//! The control script of the original php-fpm: `php-fpm {start|stop|quit|restart|reload|logrotate|status|configtest}`.
//! It finds the running supervisor by the pid file of the configuration, and prints the result of what it asked for.
#![forbid(unsafe_code)]

pub(crate) mod caches;
mod error;
mod found;
mod groups;
pub(crate) mod health;
mod monitor_client;
mod reload;
mod say;
mod start;
mod status;
pub(crate) mod top;

use std::ffi::OsString;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::cli::{Options, Part, Verb};
use crate::config::Messages;
use crate::configured;
use crate::engine::Engine;
use crate::host::Host;
use crate::ipc::{CommandResults, Request, ResultsReader};
use crate::log::messages::terminal as texts;
use crate::sys::pidfd::Process;
use error::Failure;
use found::Found;
use say::{Progress, complain, say};
use status::Status;

/// SIGTERM cuts requests short; a process that takes longer than this hangs.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// So long a reload may make no step: the check may take 30 s and the start of PHP a minute.
const RELOAD_LIMIT: Duration = Duration::from_secs(180);
const REOPEN_LIMIT: Duration = Duration::from_secs(30);
/// How often the results of the supervisor are read.
const LOOK: Duration = Duration::from_millis(50);

/// Carries out a command; returns the exit status. `arguments`: those of a start, without the program's name and the command.
pub(crate) fn run(
    (verb, part): (Verb, Part),
    host: &Host,
    options: &Options,
    arguments: &[OsString],
    engine: &mut dyn Engine,
) -> i32 {
    let script = Script { host, options, arguments };
    let ended = match verb {
        Verb::Start => script.start(),
        Verb::Stop => script.end(Signal::SIGTERM),
        Verb::Quit => script.end(Signal::SIGQUIT),
        Verb::Restart => script.restart(engine),
        Verb::Reload => script.reload(part),
        Verb::Logrotate => script.logrotate(),
        Verb::Status => script.status(),
        Verb::Configtest => return configured::test(host, engine, options, false),
    };
    match ended {
        Ok(status) => status as i32,
        Err(failure) => {
            failure.messages().into_iter().for_each(configured::say);
            failure.text().lines().for_each(complain);
            failure.exit_status()
        }
    }
}

struct Script<'a> {
    host: &'a Host,
    options: &'a Options,
    arguments: &'a [OsString],
}

impl Script<'_> {
    fn find(&self) -> Result<Found, Failure> {
        let load = configured::load_options(self.host, self.options);
        found::find(&self.options.config_path(&self.host.config_file()), &load)
    }

    /// The supervisor, for a command that needs one.
    fn running(&self) -> Result<Process, Failure> {
        match self.find()? {
            Found::Running(process) => Ok(process),
            Found::Stopped | Found::Dead(_) => Err(Failure::NotRunning),
        }
    }

    fn start(&self) -> Result<Status, Failure> {
        if let Found::Running(process) = self.find()? {
            say(&texts::already_running(process.pid));
            return Ok(Status::Done);
        }
        start::start(self.host, self.arguments)
    }

    fn end(&self, signal: Signal) -> Result<Status, Failure> {
        let Found::Running(process) = self.find()? else {
            say(&texts::not_running());
            return Ok(Status::Done);
        };
        let (text, limit) = match signal {
            Signal::SIGQUIT => (texts::quitting(), None),
            _ => (texts::stopping(), Some(STOP_LIMIT)),
        };
        let mut progress = Progress::begin(&text);
        if let Err(source) = process.signal(signal) {
            return progress.fail(Failure::Signal { pid: process.pid, source });
        }
        let begun = Instant::now();
        while !process.ends_within(LOOK) {
            if limit.is_some_and(|limit| begun.elapsed() > limit) {
                return progress.fail(Failure::StillRunning(process.pid));
            }
            progress.go_on();
        }
        progress.done()
    }

    /// Stops nothing if the configuration could not be started with.
    fn restart(&self, engine: &mut dyn Engine) -> Result<Status, Failure> {
        self.test(engine).map_err(Failure::NotRestarted)?;
        self.end(Signal::SIGTERM)?;
        self.start()
    }

    fn test(&self, engine: &mut dyn Engine) -> Result<(), Messages> {
        let load = configured::load_options(self.host, self.options);
        let loaded = configured::load(engine, self.host, self.options, &load, false);
        loaded.and_then(|loaded| loaded.test(false)).map(drop).map_err(|e| e.messages)
    }

    fn reload(&self, part: Part) -> Result<Status, Failure> {
        let request = (part != Part::default())
            .then(|| Request::Reload { changed: part.changed, pools: part.names.into_iter().collect() });
        let settled = |before: &CommandResults, now: &CommandResults| {
            (now.reloads_settled > before.reloads_asked).then(|| reload::ended(now))
        };
        self.ask(&texts::reload_requested(), RELOAD_LIMIT, &|process| reload::ask(process, request.as_ref()), &settled)
    }

    fn logrotate(&self) -> Result<Status, Failure> {
        let settled = |before: &CommandResults, now: &CommandResults| {
            let reopened = || now.not_reopened.clone().map_or(Ok(Vec::new()), |reason| Err(Failure::Refused(reason)));
            (now.reopened > before.reopened).then(reopened)
        };
        self.ask(&texts::reopening(), REOPEN_LIMIT, &|process| signal(process, Signal::SIGUSR1), &settled)
    }

    /// Asks the supervisor for something and waits until it confirms that the work is done, or says why it failed. `limit` is how
    /// long it may make no progress. `settled` compares the results from before the request with the current ones.
    fn ask(
        &self,
        text: &str,
        limit: Duration,
        send: &dyn Fn(&Process) -> Result<(), Failure>,
        settled: &dyn Fn(&CommandResults, &CommandResults) -> Option<Ended>,
    ) -> Result<Status, Failure> {
        let process = self.running()?;
        let mut progress = Progress::begin(text);
        let results = ResultsReader::find(process.pid);
        let before = results.as_ref().and_then(|results| first_results(results, &process));
        if let Err(failure) = send(&process) {
            return progress.fail(failure);
        }
        let (Some(results), Some(before)) = (results, before) else {
            return progress.sent();
        };
        let (mut moved, mut step) = (Instant::now(), before.progress);
        loop {
            let now = results.read();
            match now.as_ref().and_then(|now| settled(&before, now)) {
                Some(Ok(remarks)) => {
                    return progress.done().inspect(|_| remarks.iter().for_each(|line| complain(line)));
                }
                Some(Err(failure)) => return progress.fail(failure),
                None => {}
            }
            if now.is_some_and(|now| std::mem::replace(&mut step, now.progress) != now.progress) {
                moved = Instant::now();
            }
            if process.ends_within(LOOK) {
                return progress.fail(Failure::Ended(process.pid));
            }
            if moved.elapsed() > limit {
                return progress.fail(Failure::TimedOut);
            }
            progress.go_on();
        }
    }

    fn status(&self) -> Result<Status, Failure> {
        let (text, status) = match self.find()? {
            Found::Running(process) => {
                say(&texts::running(process.pid));
                groups::table(&process).into_iter().flatten().for_each(|line| say(&line));
                return Ok(Status::Done);
            }
            Found::Dead(file) => (texts::stopped_with_pid_file(file.display()), Status::Failed),
            Found::Stopped => (texts::stopped(), Status::Stopped),
        };
        say(&text);
        Ok(status)
    }
}

/// How what was asked for has ended: remarks, or why it failed.
type Ended = Result<Vec<String>, Failure>;

fn signal(process: &Process, signal: Signal) -> Result<(), Failure> {
    process.signal(signal).map_err(|source| Failure::Signal { pid: process.pid, source })
}

/// Reads the results. While the supervisor writes them, for a moment, they cannot be read.
fn first_results(results: &ResultsReader, process: &Process) -> Option<CommandResults> {
    (0..20).find_map(|_| {
        let read = results.read();
        if read.is_none() {
            // If the process has ended, the caller notices it later.
            let _ = process.ends_within(LOOK);
        }
        read
    })
}

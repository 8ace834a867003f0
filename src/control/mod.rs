//! The control script of the original php-fpm: `php-fpm {start|stop|quit|restart|reload|logrotate|status|configtest}`.
//! It finds the running supervisor by the pid file of the configuration, and says how what it asked for went.
#![forbid(unsafe_code)]

mod found;
mod say;
mod start;
mod status;

use std::ffi::OsString;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::cli::{Options, Verb};
use crate::config::Messages;
use crate::configured;
use crate::engine::Engine;
use crate::exit::ExitCode;
use crate::host::Host;
use crate::ipc::{CommandResults, ResultsReader};
use crate::sys::pidfd::Process;
use found::{Found, Unknown};
use say::{Progress, complain, say};
use status::Status;

/// SIGTERM ends requests; what takes longer than this is stuck.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// The check may take 30 s, PHP a minute to start; then there may be three generations to wait for.
const RELOAD_LIMIT: Duration = Duration::from_secs(180);
const REOPEN_LIMIT: Duration = Duration::from_secs(30);
/// How often is looked at what the supervisor tells.
const LOOK: Duration = Duration::from_millis(50);

/// Carries it out; returns the exit status. `arguments`: those of a start, without the program's name and the verb.
pub fn run(verb: Verb, host: &Host, options: &Options, arguments: &[OsString], engine: &mut dyn Engine) -> i32 {
    let script = Script { host, options, arguments };
    match verb {
        Verb::Start => script.start(),
        Verb::Stop => script.end(Signal::SIGTERM) as i32,
        Verb::Quit => script.end(Signal::SIGQUIT) as i32,
        Verb::Restart => script.restart(engine),
        Verb::Reload => script.reload() as i32,
        Verb::Logrotate => script.logrotate() as i32,
        Verb::Status => script.status() as i32,
        Verb::Configtest => configured::test(host, engine, options, false),
    }
}

struct Script<'a> {
    host: &'a Host,
    options: &'a Options,
    arguments: &'a [OsString],
}

impl Script<'_> {
    fn find(&self) -> Result<Found, Status> {
        let load = configured::load_options(self.host, self.options);
        match found::find(&self.options.config_path(&self.host.config_file()), &load) {
            Ok(found) => Ok(found),
            Err(Unknown::Configuration(messages)) => {
                configured::say(&messages);
                Err(Status::Forbidden)
            }
            Err(Unknown::NoPidFile) => {
                complain("no pid file is configured: set pid in [global], or name one with -g");
                Err(Status::NotConfigured)
            }
            Err(Unknown::PidFile(reason)) => {
                complain(&reason);
                Err(Status::Forbidden)
            }
        }
    }

    fn start(&self) -> i32 {
        match self.find() {
            Err(status) => return status as i32,
            Ok(Found::Running(process)) => {
                say(&format!("php-fpm is running already, pid {}\n", process.pid));
                return Status::Done as i32;
            }
            Ok(Found::Stopped | Found::Dead(_)) => {}
        }
        start::start(self.host, self.arguments)
    }

    fn end(&self, signal: Signal) -> Status {
        let process = match self.find() {
            Ok(Found::Running(process)) => process,
            Ok(Found::Stopped | Found::Dead(_)) => {
                say("php-fpm is not running\n");
                return Status::Done;
            }
            Err(status) => return status,
        };
        let (text, limit) = match signal {
            Signal::SIGQUIT => ("Gracefully shutting down php-fpm", None),
            _ => ("Shutting down php-fpm", Some(STOP_LIMIT)),
        };
        let mut progress = Progress::begin(text);
        if let Err(e) = process.signal(signal) {
            return progress.fail(&format!("pid {}: {e}", process.pid), Status::Forbidden);
        }
        let begun = Instant::now();
        while !process.ends_within(LOOK) {
            if limit.is_some_and(|limit| begun.elapsed() > limit) {
                return progress.fail(&format!("pid {} has not ended by now", process.pid), Status::Failed);
            }
            progress.go_on();
        }
        progress.done()
    }

    /// If the new start would fail, the server continues to run.
    fn restart(&self, engine: &mut dyn Engine) -> i32 {
        if let Err(messages) = self.check(engine) {
            configured::say(&messages);
            complain("not restarted: the configuration is refused, and what runs goes on");
            return ExitCode::Config.status();
        }
        match self.end(Signal::SIGTERM) {
            Status::Done => self.start(),
            status => status as i32,
        }
    }

    fn check(&self, engine: &mut dyn Engine) -> Result<(), Messages> {
        let load = configured::load_options(self.host, self.options);
        let loaded = configured::load(engine, self.host, self.options, &load, false);
        loaded.and_then(|loaded| loaded.test(false)).map(drop).map_err(|e| e.messages)
    }

    fn reload(&self) -> Status {
        let settled = |before: &CommandResults, now: &CommandResults| {
            (now.reloads_settled > before.reloads_asked).then(|| now.refusal.clone())
        };
        self.ask("Reload service php-fpm", Signal::SIGUSR2, RELOAD_LIMIT, &settled)
    }

    fn logrotate(&self) -> Status {
        let settled = |before: &CommandResults, now: &CommandResults| {
            (now.reopened > before.reopened).then(|| now.not_reopened.clone())
        };
        self.ask("Re-opening php-fpm log file", Signal::SIGUSR1, REOPEN_LIMIT, &settled)
    }

    /// Sends a signal and waits until the supervisor tells that what it asks for was done, or why not. What was there
    /// before the first look is read by whatever is done after it.
    fn ask(
        &self,
        text: &str,
        signal: Signal,
        limit: Duration,
        settled: &dyn Fn(&CommandResults, &CommandResults) -> Option<Option<String>>,
    ) -> Status {
        let process = match self.find() {
            Ok(Found::Running(process)) => process,
            Ok(Found::Stopped | Found::Dead(_)) => {
                complain("no process of the pid file: php-fpm is not running");
                return Status::NotRunning;
            }
            Err(status) => return status,
        };
        let mut progress = Progress::begin(text);
        let posted = ResultsReader::find(process.pid);
        let before = posted.as_ref().and_then(|posted| patient(posted, &process));
        if let Err(e) = process.signal(signal) {
            return progress.fail(&format!("pid {}: {e}", process.pid), Status::Forbidden);
        }
        let (Some(posted), Some(before)) = (posted, before) else {
            progress.fail("asked for; this php-fpm doesn't tell how it goes: see its log", Status::Done);
            return Status::Done;
        };
        let begun = Instant::now();
        loop {
            match posted.read().and_then(|now| settled(&before, &now)) {
                Some(None) => return progress.done(),
                Some(Some(reason)) => return progress.fail(&reason, Status::Failed),
                None => {}
            }
            if process.ends_within(LOOK) {
                return progress.fail(&format!("pid {} has ended", process.pid), Status::Failed);
            }
            if begun.elapsed() > limit {
                return progress.fail("timed out waiting for php-fpm to confirm; see its log", Status::Failed);
            }
            progress.go_on();
        }
    }

    fn status(&self) -> Status {
        match self.find() {
            Ok(Found::Running(process)) => {
                say(&format!("php-fpm is running, pid {}\n", process.pid));
                Status::Done
            }
            Ok(Found::Dead(file)) => {
                say(&format!("php-fpm is stopped, although there is a pid file {}\n", file.display()));
                Status::Failed
            }
            Ok(Found::Stopped) => {
                say("php-fpm is stopped\n");
                Status::Stopped
            }
            Err(status) => status,
        }
    }
}

/// A bulletin is being written for a moment only.
fn patient(posted: &ResultsReader, process: &Process) -> Option<CommandResults> {
    (0..20).find_map(|_| {
        let read = posted.read();
        if read.is_none() {
            // The end of the process shows later, too.
            let _ = process.ends_within(LOOK);
        }
        read
    })
}

//! The interface between the process manager and the language that serves requests. `php::Php` is the real engine;
//! process tests use a stub.
#![forbid(unsafe_code)]

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::{EngineKey, PhpIni, PoolConfig};
use crate::exchange::Exchange;
use crate::request::{Description, NotRun, Outcome, Stage};
use crate::status::Snapshot;
use crate::sys::process;

/// How a zygote starts PHP: the php.ini options of the command line and of the entry point (patched or stock
/// php-cgi).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineOptions {
    /// `-c`: php.ini, or the directory to look for it in.
    pub ini_path: Option<PathBuf>,
    /// `-n`: no php.ini at all.
    pub no_ini: bool,
    /// `-d name[=value]`, in order, as given.
    pub defines: Vec<String>,
    /// The directory to scan for further ini files instead of the compiled-in one (with a stock php-cgi: php-fpm's).
    pub scan_dir: Option<PathBuf>,
    /// `-e`: extended information for debuggers and profilers.
    pub extended_info: bool,
}

/// A directory in which no php.ini can be.
const NOWHERE: &str = "/dev/null/none";

impl EngineOptions {
    /// The options for a pool: what it says itself replaces what the command line says. Its defines come last, so they count.
    #[must_use]
    pub fn of_pool(&self, own: &EngineKey) -> Self {
        let mut options = self.clone();
        match &own.ini {
            None => {}
            Some(PhpIni::Nothing) => (options.ini_path, options.no_ini) = (None, true),
            Some(PhpIni::At(path)) => (options.ini_path, options.no_ini) = (Some(path.clone()), false),
        }
        if let Some(directories) = &own.scan_dir {
            // With `-n` PHP would not scan them.
            if options.no_ini && !directories.as_os_str().is_empty() {
                options.no_ini = false;
                options.ini_path.get_or_insert_with(|| NOWHERE.into());
            }
            options.scan_dir = Some(directories.clone());
        }
        options.defines.extend(own.defines.iter().map(|(name, value)| format!("{name}={}", quoted(value))));
        options
    }
}

/// A value as PHP's ini parser reads it back. In single quotes it replaces nothing; a single quote itself needs double ones.
fn quoted(value: &str) -> String {
    let parts: Vec<String> = value.split('\'').map(|part| format!("'{part}'")).collect();
    // PHP knows no empty text in single quotes.
    match parts.join("\"'\"").replace("''", "") {
        empty if empty.is_empty() => "\"\"".to_owned(),
        text => text,
    }
}

/// A php-cgi to execute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Absolute path.
    pub path: PathBuf,
    /// The library to load into it by `LD_PRELOAD`; `None`: it finds its own.
    pub preload: Option<PathBuf>,
}

/// A file that PHP or an extension reads only when it starts. It exists, and this process could read it when it was
/// looked up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartFile {
    /// The setting of php.ini that names it.
    pub setting: String,
    /// Where it is.
    pub path: PathBuf,
    /// PHP certainly reads it when it starts, and must not serve without it.
    pub needed: bool,
}

/// The files and directories that a PHP depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IniFiles {
    /// php.ini, if it has read one.
    pub php_ini: Option<PathBuf>,
    /// This file, the directories of further ini files and these files, and what they name to be loaded at the start.
    pub all: Vec<PathBuf>,
    /// A directory for compiled scripts, which the engine uses only if it is open when it starts.
    pub file_cache: Option<PathBuf>,
}

/// Finds the files that the rest of the engine's start will read.
pub type FindStartFiles<'a> = dyn Fn() -> Vec<StartFile> + 'a;

/// What the process does at points of the engine's start. It may change its user and its root directory there.
pub trait StartSteps {
    /// php.ini has been read; `after_ini` follows. `files` finds the files that this PHP depends on.
    fn ini_read(&mut self, files: &dyn Fn() -> IniFiles) {
        let _ = files;
    }

    /// php.ini has been read, and nothing that it names is loaded yet.
    ///
    /// # Errors
    /// The engine must not be started.
    fn after_ini(&mut self, files: &FindStartFiles<'_>) -> Result<(), StepError>;

    /// All extensions are loaded. The opcode cache maps its memory next.
    ///
    /// # Errors
    /// The engine must not be started.
    fn extensions_loaded(&mut self) -> Result<(), StepError> {
        Ok(())
    }

    /// Before preloading; without it, at the end of the start.
    ///
    /// # Errors
    /// The engine must not run any code.
    fn before_user_code(&mut self) -> Result<(), StepError>;
}

/// No steps: the process stays as it is.
#[derive(Debug, Clone, Copy)]
pub struct NoSteps;

impl StartSteps for NoSteps {
    fn after_ini(&mut self, _files: &FindStartFiles<'_>) -> Result<(), StepError> {
        Ok(())
    }

    fn before_user_code(&mut self) -> Result<(), StepError> {
        Ok(())
    }
}

/// Why a step failed. The code that passes the steps knows the type.
pub type StepError = Box<dyn std::error::Error>;

/// Why the engine could not be started, or not serve a pool. The text is the reason at the end of a log line.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The engine's own last message.
    #[error("{0}")]
    Failed(String),
    /// The engine has failed without a message.
    #[error("PHP gave no reason; see its output in the log")]
    NoReason,
    /// One of the [`StartSteps`] has failed.
    #[error(transparent)]
    Step(#[from] StepError),
    /// PHP has started its extensions in an unknown way, so `StartSteps::after_ini` was not called.
    #[error("PHP started its extensions at an unexpected point, while it was still root")]
    AfterIniMissed,
    /// PHP has started without a call of `StartSteps::extensions_loaded`.
    #[error("an extension has removed the callback that PHP calls after the start of its extensions")]
    ExtensionsLoadedMissed,
    /// An option cannot be passed on to PHP.
    #[error("an option for PHP contains a NUL byte")]
    NulByte,
    /// The request that prints for the command line could not be started.
    #[error("PHP could not start a request")]
    Request,
    /// The standard streams could not be restored.
    #[error("cannot restore the standard streams: {0}")]
    Streams(#[source] io::Error),
}

/// What the worker has to do after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// Serve the next one.
    Ready,
    /// Exit: the script has changed the process in a way that can't be undone, and no other request must see it.
    Changed,
    /// Exit: the engine must not run another request in this process.
    Spent,
}

/// What the engine can print for the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Topic {
    /// `-v`.
    Version,
    /// `-i`.
    Info,
    /// `-m`.
    Modules,
}

/// Reads the list of calls of a script while the script runs.
pub trait Tracer: Send {
    /// Appends the script's file and its innermost calls, at most `depth` (0: all), as lines of php-fpm's slow log.
    ///
    /// # Errors
    /// A part could not be read. What could be read stays in `out`.
    fn trace(&self, depth: u32, out: &mut Vec<u8>) -> io::Result<()>;
}

/// Where an engine reports the progress of its request. A worker publishes it in its scoreboard slot and writes the
/// access log.
pub trait Tracker {
    /// The request has entered a stage.
    fn stage(&self, stage: Stage);

    /// Reports who asks for what, before the script runs.
    fn describe(&self, request: &Description<'_>);

    /// Reports how the script has ended: once for each request, before its answer is finished.
    fn outcome(&self, outcome: &Outcome<'_>);

    /// Reports that the script doesn't run.
    fn not_run(&self, why: NotRun);

    /// Counts a setting of the request that was refused. Returns the number of refusals since the last log line if a
    /// line is due, so that requests can't fill the log.
    fn setting_refused(&self) -> Option<u64>;

    /// The state of the pool with all its workers; `None` if it isn't known.
    fn pool_status(&self) -> Option<Snapshot>;
}

/// A request that an engine is to serve.
pub struct Request<'a> {
    /// Its connection: parameters and body come from it, the answer goes to it.
    pub exchange: &'a mut Exchange,
    /// Where the engine reports its progress.
    pub tracker: &'a (dyn Tracker + 'static),
}

impl Request<'_> {
    /// Finishes the answer, unless it is finished. Every request ends here. The stage is published before the last
    /// write, because the client that has the answer may look at the status page at once.
    pub fn finish(&mut self) -> bool {
        self.enter_last_stage(Stage::Answered);
        self.exchange.finish()
    }

    /// The same for a script that continues after its answer: `fastcgi_finish_request()`.
    pub fn finish_early(&mut self) -> bool {
        self.enter_last_stage(Stage::Finishing);
        self.exchange.release()
    }

    fn enter_last_stage(&self, stage: Stage) {
        // In a process that a script has forked, the slot belongs to the parent.
        if !self.exchange.finished() && !process::was_forked_by_script() {
            self.tracker.stage(stage);
        }
    }
}

/// A language that answers FastCGI requests. The functions are in the order in which they are called.
pub trait Engine {
    /// In the zygote, once. Reads php.ini as the present user and then starts extensions, opcode cache and preloading.
    /// In between it takes `steps`, which may change the user of the process. The process is single-threaded
    /// afterwards.
    ///
    /// # Errors
    /// The engine can't serve, or a step fails. The zygote reports it and exits.
    fn start(&mut self, options: &EngineOptions, steps: &mut dyn StartSteps) -> Result<(), EngineError>;

    /// In a worker, once, with its final identity and environment. Applies the pool's php_value settings.
    ///
    /// # Errors
    /// The pool's settings can't be applied.
    fn enter_pool(&mut self, pool: &PoolConfig) -> Result<(), EngineError>;

    /// In a worker, for each request whose parameters are complete. Reads the body, writes the answer, reports the
    /// outcome and finishes the answer. The worker finishes what the engine has left unfinished.
    fn serve(&mut self, request: Request<'_>) -> Served;

    /// The value of `X-Powered-By`; `None` if `expose_php` is off.
    fn powered_by(&self) -> Option<String>;

    /// Major and minor version number. What php-fpm shows depends on it.
    fn release(&self) -> (u16, u16);

    /// For the command line: starts with these steps, prints to stdout, stops.
    ///
    /// # Errors
    /// The engine can't be started, or a step fails.
    fn describe(
        &mut self,
        topic: Topic,
        options: &EngineOptions,
        steps: &mut dyn StartSteps,
    ) -> Result<(), EngineError>;

    /// In a worker, for its tracer thread.
    ///
    /// # Errors
    /// This process can't read its own memory.
    fn tracer(&self) -> io::Result<Box<dyn Tracer>>;

    /// Before a regular exit, in the process that called `start` and in workers.
    fn stop(&mut self);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command_line() -> EngineOptions {
        EngineOptions {
            ini_path: Some("/etc/php.ini".into()),
            scan_dir: Some("/etc/conf.d".into()),
            defines: vec!["a=1".to_owned()],
            extended_info: true,
            ..EngineOptions::default()
        }
    }

    #[test]
    fn a_pool_without_settings_has_those_of_the_command_line() {
        assert_eq!(command_line().of_pool(&EngineKey::default()), command_line());
    }

    #[test]
    fn the_pools_own_settings_win() {
        let key = EngineKey {
            ini: Some(PhpIni::At("/own.ini".into())),
            scan_dir: Some("".into()),
            defines: vec![("a".to_owned(), "x y".to_owned())],
            ..EngineKey::default()
        };
        let given = EngineOptions { no_ini: true, ..command_line() };
        let of_pool = EngineOptions {
            ini_path: Some("/own.ini".into()),
            no_ini: false,
            scan_dir: Some("".into()),
            defines: vec!["a=1".to_owned(), "a='x y'".to_owned()],
            extended_info: true,
        };
        assert_eq!(given.of_pool(&key), of_pool);
    }

    #[test]
    fn without_php_ini_only_the_pools_own_directories_are_scanned() {
        let none = EngineKey { ini: Some(PhpIni::Nothing), ..EngineKey::default() };
        let options = command_line().of_pool(&none);
        assert_eq!((options.ini_path, options.no_ini), (None, true));
        let scanned = EngineKey { scan_dir: Some("/own.d".into()), ..none };
        let options = command_line().of_pool(&scanned);
        assert_eq!((options.ini_path, options.no_ini), (Some(NOWHERE.into()), false));
        assert_eq!(options.scan_dir, Some("/own.d".into()));
    }

    #[test]
    fn values_are_quoted() {
        for (value, text) in
            [("", "\"\""), ("On", "'On'"), ("a\"b", "'a\"b'"), ("it's", "'it'\"'\"'s'"), ("'", "\"'\"")]
        {
            assert_eq!(quoted(value), text);
        }
    }
}

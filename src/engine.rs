//! What the process manager asks of the language inside. `php::Php` is the real one; process tests use a stub.
#![forbid(unsafe_code)]

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::PoolConfig;
use crate::exchange::Exchange;
use crate::request::{Description, NotRun, Outcome, Stage};
use crate::status::Snapshot;
use crate::sys::process;

/// How PHP is to be started in a zygote: the php.ini options of the command line and of the door.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineOptions {
    /// `-c`: php.ini, or the directory to look for it in.
    pub ini_path: Option<PathBuf>,
    /// `-n`: no php.ini at all.
    pub no_ini: bool,
    /// `-d name[=value]`, in order, as given.
    pub defines: Vec<String>,
    /// The directory to scan for further ini files in place of the compiled-in one (stock door: php-fpm's).
    pub scan_dir: Option<PathBuf>,
    /// `-e`: extended information for debuggers and profilers.
    pub extended_info: bool,
}

/// A file that PHP, or an extension, reads at its start only: it is there, and this process could read it when it was looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartFile {
    /// The setting of php.ini that names it.
    pub setting: String,
    /// Where it is.
    pub path: PathBuf,
    /// It is certain to be read at the start, and PHP must not serve without.
    pub needed: bool,
}

/// What is to be done when php.ini has been read and nothing that it names is loaded. The argument looks for the files that
/// the rest of the start will read.
pub type Settled<'a> = dyn FnMut(&dyn Fn() -> Vec<StartFile>) -> Result<(), SettledError> + 'a;

/// Why that failed; its caller knows the type.
pub type SettledError = Box<dyn std::error::Error>;

/// Why the engine could not be started, or not serve a pool. The text follows the words "could not be started:".
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// It says so itself: its last message.
    #[error("{0}")]
    Failed(String),
    /// It has failed and said nothing.
    #[error("PHP gave no reason; see its output in the log")]
    NoReason,
    /// What was to be done when php.ini was read has failed.
    #[error(transparent)]
    Settled(#[from] SettledError),
    /// Its extensions were started in a way that this program does not know, before anything could be done when php.ini was read.
    #[error("PHP started its extensions at an unexpected point, while it was still root")]
    NotSettled,
    /// An option for it cannot be passed on.
    #[error("an option for PHP contains a NUL byte")]
    NulByte,
    /// No request could be started, for the command line.
    #[error("PHP could not start a request")]
    Request,
    /// Its standard streams could not be restored.
    #[error("cannot restore the standard streams: {0}")]
    Streams(#[source] io::Error),
}

/// What the worker does after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// Ready for the next one.
    Ready,
    /// The script has changed the process in a way that can't be taken back: no other request should find it so; the worker leaves.
    Changed,
    /// The engine must not run another request in this process; the worker leaves.
    Spent,
}

/// What the command line can ask the engine about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// `-v`.
    Version,
    /// `-i`.
    Info,
    /// `-m`.
    Modules,
}

/// Tells where a script is, while it runs.
pub trait Tracer: Send {
    /// Appends the script's file and its innermost calls, `depth` at most (0: all), as lines of php-fpm's slow log.
    ///
    /// # Errors
    /// What could not be read; what could stays in `out`.
    fn trace(&self, depth: u32, out: &mut Vec<u8>) -> io::Result<()>;
}

/// Where an engine reports how far its request has come. A worker publishes it in its scoreboard slot and writes the access log.
pub trait Tracker {
    /// The request has entered a stage.
    fn stage(&self, stage: Stage);

    /// Who asks for what. Before the script runs.
    fn describe(&self, request: &Description<'_>);

    /// The script has ended so. Once for each request, before its answer is finished.
    fn outcome(&self, outcome: &Outcome<'_>);

    /// The script doesn't run, for that reason.
    fn not_run(&self, why: NotRun);

    /// A setting that came with the request was refused. If that is to be logged now: how many others were since the last time.
    fn setting_refused(&self) -> Option<u64>;

    /// The state of the pool, all workers included; `None` where it isn't known.
    fn pool_status(&self) -> Option<Snapshot>;
}

/// A request that an engine is to serve.
pub struct Request<'a> {
    /// Its connection: parameters and body come from it, the answer goes to it.
    pub exchange: &'a mut Exchange,
    /// Where its progress is reported.
    pub tracker: &'a (dyn Tracker + 'static),
}

impl Request<'_> {
    /// Finishes the answer, unless that is done: the one place where requests end. The stage first, because the client that has the
    /// answer may look at the status page.
    pub fn finish(&mut self) -> bool {
        self.enter_last_stage(Stage::Answered);
        self.exchange.finish()
    }

    /// The same where the script goes on after its answer: `fastcgi_finish_request()`.
    pub fn finish_early(&mut self) -> bool {
        self.enter_last_stage(Stage::Finishing);
        self.exchange.release()
    }

    fn enter_last_stage(&self, stage: Stage) {
        // In a process that a script has forked, the slot is its parent's.
        if !self.exchange.finished() && !process::was_forked_by_script() {
            self.tracker.stage(stage);
        }
    }
}

/// A language that answers FastCGI requests, in the order of the calls.
pub trait Engine {
    /// In the zygote, once: reads php.ini as whoever this process is; calls `settled`, which may make it another user's; and as
    /// whoever it is then, starts extensions, opcode cache, preloading. Single-threaded afterwards.
    ///
    /// # Errors
    /// When the engine can't serve, or `settled` fails; the zygote reports it and leaves.
    fn start(&mut self, options: &EngineOptions, settled: &mut Settled<'_>) -> Result<(), EngineError>;

    /// In a worker, once, with its final identity and environment: the pool's php_value settings.
    ///
    /// # Errors
    /// When the pool's settings can't be applied.
    fn enter_pool(&mut self, pool: &PoolConfig) -> Result<(), EngineError>;

    /// In a worker, per request: parameters are complete. Reads the body, writes the answer, reports the outcome, finishes it.
    /// What the engine leaves unfinished, the worker finishes.
    fn serve(&mut self, request: Request<'_>) -> Served;

    /// What `X-Powered-By` says of it, if it may be told (`expose_php`).
    fn powered_by(&self) -> Option<String>;

    /// Major and minor number of its release: what php-fpm shows depends on it.
    fn release(&self) -> (u16, u16);

    /// For the command line: starts, prints to stdout, stops.
    ///
    /// # Errors
    /// When the engine can't be started.
    fn describe(&mut self, topic: Topic, options: &EngineOptions) -> Result<(), EngineError>;

    /// In a worker, for another thread of it: tells where the script is.
    ///
    /// # Errors
    /// When this process can't be looked into.
    fn tracer(&self) -> io::Result<Box<dyn Tracer>>;

    /// In whoever called `start`, or a worker, before a regular exit.
    fn stop(&mut self);
}

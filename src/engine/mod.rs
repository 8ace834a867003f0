//! The interface between the process manager and the language that serves requests. `php::Php` is the real engine;
//! process tests use a stub.
#![forbid(unsafe_code)]

mod code_cache;
mod start;

use std::io;

use serde::{Deserialize, Serialize};

use crate::config::PoolConfig;
use crate::exchange::Exchange;
use crate::request::{Description, NotRun, Outcome, Stage};
use crate::status::Snapshot;
use crate::sys::process;

pub use code_cache::{CacheNumber, CodeCache};
pub use start::{EngineOptions, FindStartFiles, IniFiles, NoSteps, Program, StartFile, StartSteps, StepError};

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

    /// In a worker without work, before its first request: does once what would make the first request slower than later ones, as far
    /// as scripts cannot notice.
    fn warm_up(&mut self) -> Served {
        Served::Ready
    }

    /// In a worker, between two requests: forgets what it has cached about files.
    fn clear_file_caches(&mut self) {}

    /// In a worker, between two requests, when none has come for a while: returns memory to the kernel.
    fn release_memory(&mut self);

    /// In a worker, between two requests, after one that `serve` has served: the numbers of the opcode cache. Scripts do not notice it.
    /// `None`: there is no cache.
    fn code_cache(&mut self) -> Option<CodeCache> {
        None
    }

    /// Before a regular exit, in the process that called `start` and in workers.
    fn stop(&mut self);

    /// Ends the process after `stop`, or returns the status for its exit.
    fn exit(&mut self, status: i32) -> i32 {
        status
    }
}

//! What a php-cgi is asked about PHP, without serving: which files its start reads (`-t`), or `-v`, `-i` and `-m` for a pool. If a pool
//! has another program, that one is executed in the role `inquiry`.
#![forbid(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, RawFd};

use serde::{Deserialize, Serialize};

use super::own_ini;
use crate::config::{EngineKey, PoolConfig};
use crate::engine::{Engine, EngineError, EngineOptions, FindStartFiles, Program, StartSteps, StepError, Topic};
use crate::exit::ExitCode;
use crate::host::preload_list;
use crate::log;
use crate::log::messages::{programs::ProgramError, terminal::cannot_start_php};
use crate::sys::fd::{self, Stream};
use crate::sys::ids::{self, Identity};
use crate::sys::{inherited, process, shared, single_threaded};

/// A question, and how PHP is to be started for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inquiry {
    /// The options of the group.
    pub engine: EngineOptions,
    /// What its pools say about PHP.
    pub own: EngineKey,
    /// The first of its pools, for messages.
    pub pool: String,
    /// The user to become, and its name; `None`: this process stays what it is.
    pub user: Option<(Identity, String)>,
    /// The user reads php.ini. Otherwise this process reads it before it becomes the user.
    pub as_user: bool,
    /// What to tell.
    pub question: Question,
}

impl Inquiry {
    /// About the PHP of a pool, which starts as `user`; `options`: of the command line.
    ///
    /// # Errors
    /// As root: PHP would start as root with an ini file that another user can change.
    pub(super) fn about(
        pool: &PoolConfig,
        user: Option<(Identity, String)>,
        options: &EngineOptions,
        root: bool,
        question: Question,
    ) -> Result<Self, ProgramError> {
        let own = pool.engine.clone();
        let changeable = if root { own_ini::changeable(&own) } else { None };
        let as_user = changeable.is_some();
        if let Some(changeable) = changeable.filter(|_| user.is_none()) {
            return Err(changeable.error(&pool.name));
        }
        Ok(Self { engine: options.of_pool(&own), own, pool: pool.name.clone(), user, as_user, question })
    }
}

/// What to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Question {
    /// The files that PHP's start reads, as JSON.
    Files {
        /// The descriptor to write to.
        output: RawFd,
        /// PHP's messages about php.ini go to stderr.
        aloud: bool,
    },
    /// `-v`, `-i`, `-m`.
    Describe(Topic),
}

/// The role `inquiry`: answers the question. Returns the exit status.
pub(crate) fn run(inquiry: &Inquiry, engine: &mut dyn Engine) -> i32 {
    match inquiry.question {
        Question::Describe(topic) => describe(engine, topic, inquiry),
        Question::Files { output, aloud } => match inherited::adopt(output) {
            Ok(output) => tell_files(engine, inquiry, aloud, &mut File::from(output)),
            Err(_) => ExitCode::Usage.status(),
        },
    }
}

/// Prints about PHP. Returns the exit status.
pub(crate) fn describe(engine: &mut dyn Engine, topic: Topic, inquiry: &Inquiry) -> i32 {
    let mut steps = BecomeUser { inquiry };
    described(steps.first().and_then(|()| engine.describe(topic, &inquiry.engine, &mut steps)))
}

/// The exit status after an engine has printed about itself. A failure is reported.
pub(crate) fn described(result: Result<(), EngineError>) -> i32 {
    match result {
        Ok(()) => ExitCode::Ok.status(),
        Err(e) => {
            log::say(&cannot_start_php(e));
            ExitCode::Software.status()
        }
    }
}

/// Writes the files that PHP's start reads, and exits. Returns only if PHP does not start, which the pool's zygote reports.
pub(super) fn tell_files(engine: &mut dyn Engine, inquiry: &Inquiry, aloud: bool, output: &mut File) -> i32 {
    let _ = silence(aloud);
    if (BecomeUser { inquiry }).first().is_ok() {
        let _ = engine.start(&inquiry.engine, &mut TellFiles(output));
    }
    ExitCode::Software.status()
}

/// Executes a program that answers. Returns only if that fails.
pub(crate) fn execute(program: &Program, inquiry: &Inquiry) -> io::Error {
    let content = serde_json::to_vec(inquiry).map_err(io::Error::from);
    let content = match content.and_then(|content| shared::file_of("cgi-fpm-inquiry", &content)) {
        Ok(content) => content,
        Err(e) => return e,
    };
    let output = match inquiry.question {
        Question::Files { output, .. } => Some(output),
        Question::Describe(_) => None,
    };
    if let Err(e) = output.into_iter().chain([content.as_raw_fd()]).try_for_each(fd::survive_exec) {
        return e;
    }
    if let Some(library) = &program.preload {
        single_threaded::set_variable("LD_PRELOAD", &preload_list(library));
    }
    let descriptor = format!("--fpm-fd={}", content.as_raw_fd());
    process::exec(&program.path, &["php-fpm: inquiry", "--fpm", "--fpm-role=inquiry", &descriptor])
}

fn silence(aloud: bool) -> io::Result<()> {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    fd::redirect(Stream::Stdin, &null)?;
    fd::redirect(Stream::Stdout, &null)?;
    if aloud { Ok(()) } else { fd::redirect(Stream::Stderr, &null) }
}

/// Becomes the user of the inquiry, before or after php.ini is read.
struct BecomeUser<'a> {
    inquiry: &'a Inquiry,
}

impl BecomeUser<'_> {
    fn first(&self) -> Result<(), EngineError> {
        if self.inquiry.as_user {
            self.change()?;
        }
        let readable = own_ini::require_readable(&self.inquiry.own);
        Ok(readable.map_err(|e| StepError::from(e.error(&self.inquiry.pool)))?)
    }

    fn change(&self) -> Result<(), StepError> {
        let Some((identity, name)) = &self.inquiry.user else { return Ok(()) };
        Ok(ids::become_identity(identity, name, &[])?)
    }
}

impl StartSteps for BecomeUser<'_> {
    fn after_ini(&mut self, _files: &FindStartFiles<'_>) -> Result<(), StepError> {
        if self.inquiry.as_user { Ok(()) } else { self.change() }
    }

    fn before_user_code(&mut self) -> Result<(), StepError> {
        Ok(())
    }
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

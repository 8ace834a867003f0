//! Why the supervisor, or a generation of pools, cannot start.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::configured::LogError;
use crate::exit::ExitCode;
use crate::log::messages::accounts::AccountError;
use crate::log::messages::config_pools::PoolError;
use crate::log::messages::programs::ProgramError;
use crate::log::{Message, messages::lifecycle, messages::pools};
use crate::supervisor::sockets::SocketError;
use crate::sys::failure::reason;
use crate::sys::limits::LimitError;

/// Why a start fails. At a reload the generation that runs goes on.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.message())]
pub(crate) enum StartError {
    /// A pool cannot listen.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The error log cannot be opened.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The configuration is refused; the check has said why.
    Configuration,
    /// A pool's user or group is unknown, or root.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// A pool's php-cgi cannot be used.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The groups of a pool's user cannot be looked up.
    Groups {
        /// Whose user it is.
        pool: String,
        /// The system's error.
        source: io::Error,
    },
    /// A name service has not answered.
    NoAnswer {
        /// The first pool of the group that has asked.
        pool: String,
        /// How long was waited for it.
        limit: Duration,
    },
    /// A pool's counters cannot be made.
    Counters {
        /// Whose counters they are.
        pool: String,
        /// The system's error.
        source: io::Error,
    },
    /// A directory that a pool names does not exist, or its slow log cannot be opened.
    Paths(#[from] PoolError),
    /// A directory that a pool names cannot be reached.
    Directory {
        /// The directive that names it.
        directive: String,
        /// Its path.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A pool's access log cannot be opened.
    AccessLog {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// There are too few file descriptors to serve all pools.
    Descriptors {
        /// How many are needed.
        least: u64,
        /// How many there may be.
        limit: u64,
    },
    /// A resource limit of `[global]` cannot be set.
    Limit(#[from] LimitError),
    /// `process.priority` of `[global]` cannot be set.
    Priority(io::Error),
    /// The process cannot go into the background.
    Background(io::Error),
    /// The standard streams cannot be opened.
    Streams(io::Error),
    /// The pid file cannot be written.
    PidFile {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Another system call failed.
    System(#[from] io::Error),
}

impl From<nix::Error> for StartError {
    fn from(e: nix::Error) -> Self {
        Self::System(e.into())
    }
}

impl StartError {
    /// The line for the log.
    #[must_use]
    pub(crate) fn message(&self) -> Message {
        match self {
            Self::Socket(e) => e.message(),
            Self::Log(e) => e.message(),
            Self::Configuration => lifecycle::configuration_refused(),
            Self::Account(error) => error.message(),
            Self::Program(error) => error.message(),
            Self::Groups { pool, source } => pools::groups_unknown(pool, reason(source)),
            Self::NoAnswer { pool, limit } => pools::names_not_known(pool, limit.as_secs()),
            Self::Counters { pool, source } => pools::no_counters(pool, reason(source)),
            Self::Paths(error) => error.message(),
            Self::Directory { directive, path, reason } => {
                pools::directory_not_reached(directive, path.display(), reason)
            }
            Self::AccessLog { path, source } => pools::access_log_not_opened(path.display(), reason(source)),
            Self::Descriptors { least, limit } => pools::too_few_descriptors(least, limit),
            Self::Limit(text) => pools::limit_not_set(text),
            Self::Priority(source) => lifecycle::priority_not_set(reason(source)),
            Self::Background(source) => lifecycle::no_background(reason(source)),
            Self::Streams(source) => lifecycle::streams_not_opened(reason(source)),
            Self::PidFile { path, source } => lifecycle::pid_file_not_written(path.display(), reason(source)),
            Self::System(source) => lifecycle::start_failed(reason(source)),
        }
    }

    /// The exit status. php-fpm has the same for all of these.
    #[must_use]
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::Config
    }
}

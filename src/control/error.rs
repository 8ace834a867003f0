//! Why a command of the control script fails: its text and its exit status.

use std::io;
use std::path::PathBuf;

use nix::unistd::Pid;

use super::status::Status;
use crate::config::Messages;
use crate::exit::ExitCode;
use crate::log::messages::terminal as texts;

/// Why a command fails.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.text())]
pub(super) enum Failure {
    /// The configuration cannot be read as far as the pid file.
    Configuration(Messages),
    /// The configuration names no pid file.
    NoPidFile,
    /// It names no control socket.
    NoControlSocket,
    /// This user may not do that, for this reason.
    Forbidden(String),
    /// The pid file cannot be read.
    PidFile {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no supervisor to signal.
    NotRunning,
    /// The supervisor cannot be signalled.
    Signal {
        /// Its process id.
        pid: Pid,
        /// What the system said.
        source: io::Error,
    },
    /// The supervisor takes no requests.
    NoRequests,
    /// The request cannot be written.
    NotRequested(io::Error),
    /// The supervisor has not ended in time.
    StillRunning(Pid),
    /// The supervisor has ended before it confirmed.
    Ended(Pid),
    /// The supervisor has refused, for this reason.
    Refused(String),
    /// The supervisor has neither confirmed nor refused in time.
    TimedOut,
    /// The program that was started has ended, with this status.
    Start(Option<i32>),
    /// The program cannot be executed.
    Program {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// `restart`: the configuration is refused.
    NotRestarted(Messages),
}

impl Failure {
    /// Messages of the configuration that say more.
    pub(super) fn messages(&self) -> Option<&Messages> {
        match self {
            Self::Configuration(messages) | Self::NotRestarted(messages) => Some(messages),
            _ => None,
        }
    }

    /// The reason, which may have several lines, or none.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Configuration(_) => String::new(),
            Self::NoPidFile => texts::no_pid_file(),
            Self::NoControlSocket => texts::no_control_socket(),
            Self::Forbidden(reason) => reason.clone(),
            Self::PidFile { path, source } => texts::pid_file_not_read(path.display(), source),
            Self::NotRunning => texts::no_process(),
            Self::Signal { pid, source } => texts::not_signalled(pid, source),
            Self::NoRequests => texts::no_requests(),
            Self::NotRequested(e) if e.kind() == io::ErrorKind::QuotaExceeded => texts::request_too_long(),
            Self::NotRequested(e) => texts::not_requested(e),
            Self::StillRunning(pid) => texts::still_running(pid),
            Self::Ended(pid) => texts::ended_early(pid),
            Self::Refused(reason) => reason.clone(),
            Self::TimedOut => texts::timed_out(),
            Self::Start(_) => texts::not_started(),
            Self::Program { path, source } => texts::program_not_executed(path.display(), source),
            Self::NotRestarted(_) => texts::not_restarted(),
        }
    }

    /// The exit status: the LSB's for init scripts, except where the program itself has ended or been asked.
    pub(super) fn exit_status(&self) -> i32 {
        let status = match self {
            Self::Start(Some(status)) => return *status,
            Self::NotRestarted(_) => return ExitCode::Config.status(),
            Self::Configuration(_) | Self::PidFile { .. } | Self::Signal { .. } | Self::Forbidden(_) => {
                Status::Forbidden
            }
            Self::NoPidFile | Self::NoControlSocket => Status::NotConfigured,
            Self::NotRunning => Status::NotRunning,
            Self::NoRequests
            | Self::NotRequested(_)
            | Self::StillRunning(_)
            | Self::Ended(_)
            | Self::Refused(_)
            | Self::TimedOut
            | Self::Start(None)
            | Self::Program { .. } => Status::Failed,
        };
        status as i32
    }
}

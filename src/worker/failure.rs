//! Why a worker could not be set up. It must not serve; the supervisor logs the line.
#![forbid(unsafe_code)]

use std::io;
use std::path::PathBuf;

use crate::engine::EngineError;
use crate::log::{Message, messages::worker_setup as messages};
use crate::sys::failure::reason;
use crate::sys::ids::IdentityError;

/// The step that failed, with what the system said.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.message("").text())]
pub(super) enum SetupFailure {
    /// Its standard streams could not be redirected.
    Streams(io::Error),
    /// The capabilities that its zygote has kept could not be made effective.
    RaiseCapabilities(io::Error),
    /// Its capabilities could not be given up.
    DropCapabilities(io::Error),
    /// `chroot`
    Chroot(PathBuf, io::Error),
    /// `chdir`, or the root of `chroot`
    Chdir(PathBuf, io::Error),
    /// `process.priority`
    Priority(io::Error),
    /// `user` and `group`
    Identity(#[from] IdentityError),
    /// PR_SET_PDEATHSIG was refused.
    ParentDeathSignal(io::Error),
    /// The zygote has ended meanwhile.
    ZygoteGone,
    /// `apparmor_hat`: the present profile is not known.
    ConfinementUnknown(io::Error),
    /// `apparmor_hat`: the change to the hat was refused.
    Confinement {
        /// The profile with its hat.
        wanted: String,
        /// The present profile.
        present: String,
        /// What the system said.
        source: io::Error,
    },
    /// Signals could not be unblocked.
    Signals(io::Error),
    /// The engine refused the settings of the pool.
    Engine(#[from] EngineError),
}

impl SetupFailure {
    /// The line for the log.
    pub(super) fn message(&self, pool: &str) -> Message {
        match self {
            Self::Streams(e) => messages::streams_not_redirected(pool, reason(e)),
            Self::RaiseCapabilities(e) => messages::capabilities_not_raised(pool, reason(e)),
            Self::DropCapabilities(e) => messages::capabilities_not_dropped(pool, reason(e)),
            Self::Chroot(path, e) => messages::chroot_failed(pool, path.display(), reason(e)),
            Self::Chdir(path, e) => messages::chdir_failed(pool, path.display(), reason(e)),
            Self::Priority(e) => messages::worker_priority_not_set(pool, reason(e)),
            Self::Identity(e) => messages::user_not_changed(pool, e),
            Self::ParentDeathSignal(e) => messages::not_tied_to_the_zygote(pool, reason(e)),
            Self::ZygoteGone => messages::zygote_gone_during_setup(pool),
            Self::ConfinementUnknown(e) => messages::confinement_unknown(pool, reason(e)),
            Self::Confinement { wanted, present, source } => {
                messages::confinement_not_changed(pool, wanted, present, reason(source))
            }
            Self::Signals(e) => messages::signals_not_unblocked(pool, reason(e)),
            Self::Engine(e) => messages::pool_settings_failed(pool, e),
        }
    }
}

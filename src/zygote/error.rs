//! Why a zygote could not start.
#![forbid(unsafe_code)]

use std::io;

use super::base::error::BaseError;
use crate::configured::start_files::Unreadable;
use crate::engine::EngineError;
use crate::log::messages::programs::ProgramError;
use crate::sys::directory_changer::ChangeError;
use crate::sys::ids::IdentityError;

/// Why a zygote could not start. The supervisor logs the text after "PHP could not be started:".
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    /// The signals of a zygote could not be set up.
    #[error("cannot set up the signals of the zygote: {0}")]
    Signals(#[source] io::Error),
    /// The kernel does not promise to tell that the supervisor has ended.
    #[error("cannot tie the zygote to the supervisor by PR_SET_PDEATHSIG: {0}")]
    ParentDeathSignal(#[source] io::Error),
    /// The limits of resources are not known.
    #[error("[pool {pool}] cannot read the limits of the process: {source}")]
    Limits {
        /// The first pool of the group.
        pool: String,
        /// What the system said.
        source: io::Error,
    },
    /// It could not become the user of its pools.
    #[error("[pool {pool}] {source}")]
    Identity {
        /// The first pool of the group.
        pool: String,
        /// Which call failed, and why.
        source: IdentityError,
    },
    /// The child that changes the root directory could not be started.
    #[error("[pool {pool}] cannot start the process that changes the root directory: {source}")]
    Changer {
        /// The first pool of the group.
        pool: String,
        /// What the system said.
        source: io::Error,
    },
    /// The pools' `chroot` could not be made the root directory.
    #[error("[pool {pool}] {source}")]
    Root {
        /// The first pool of the group.
        pool: String,
        /// Which call failed, and why.
        source: ChangeError,
    },
    /// Capabilities that are needed could not be made effective.
    #[error("[pool {pool}] cannot make capabilities effective: {source}")]
    Capabilities {
        /// The first pool of the group.
        pool: String,
        /// What the system said.
        source: io::Error,
    },
    /// The php.ini that its pools name cannot be used.
    #[error(transparent)]
    OwnIni(#[from] ProgramError),
    /// The user of its pools cannot read a file that PHP reads when it starts.
    #[error(transparent)]
    StartFile(#[from] Unreadable),
    /// PHP did not start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// It was forked from a base zygote, and the rest of PHP's start has failed.
    #[error(transparent)]
    Base(BaseError),
    /// What the zygote waits for could not be set up.
    #[error("cannot set up the event loop of the zygote: {0}")]
    EventLoop(#[source] io::Error),
}

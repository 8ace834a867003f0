//! Why a base zygote is of no use.
#![forbid(unsafe_code)]

use std::io;

use caps::Capability;

use crate::engine::EngineError;
use crate::sys::ids::IdentityError;
use crate::sys::private_copy::Obstacle;

/// Why a base zygote cannot fork zygotes. The supervisor logs the text.
#[derive(Debug, thiserror::Error)]
pub(in crate::zygote) enum BaseError {
    /// The signals could not be set up.
    #[error("cannot set up its signals: {0}")]
    Signals(#[source] io::Error),
    /// It could not become its user.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// It could not become another user later.
    #[error("the supervisor lacks {0}")]
    Capability(Capability),
    /// Other processes of its user could look into it.
    #[error("cannot close it to other processes by PR_SET_DUMPABLE: {0}")]
    Dumpable(#[source] io::Error),
    /// The kernel does not promise to end it with the supervisor.
    #[error("cannot tie it to the supervisor by PR_SET_PDEATHSIG: {0}")]
    ParentDeathSignal(#[source] io::Error),
    /// The supervisor has ended.
    #[error("the supervisor has ended")]
    Orphan,
    /// PHP did not start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// php.ini names a file which runs code of the users when PHP starts.
    #[error("{setting} is set")]
    UserCode {
        /// The setting.
        setting: String,
    },
    /// A user could change the php.ini that the pools name.
    #[error("a user can change the php.ini that the pools name")]
    OwnIni,
    /// The php.ini that the pools name cannot be read or has a syntax error. Their zygotes say why.
    #[error("the php.ini that the pools name cannot be read, or has a syntax error")]
    OwnIniUnreadable,
    /// Users other than root could change a file that PHP reads when it starts, or not all users may read it.
    #[error("{path} is not a file of root's that all users may read")]
    File {
        /// The file, or a directory above it.
        path: String,
    },
    /// The directory of opcache's file cache is closed to the base's user, who has started opcache.
    #[error("its user cannot use the directory of opcache.file_cache, {path}")]
    FileCache {
        /// The directory.
        path: String,
    },
    /// Memory that PHP shares between processes cannot be copied.
    #[error(transparent)]
    Memory(#[from] Obstacle),
}

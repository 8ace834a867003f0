//! Why a pool cannot listen, or a passed socket cannot be used.

use std::io;
use std::os::fd::RawFd;
use std::path::PathBuf;

use crate::log::messages::accounts::AddressError;
use crate::log::{Message, messages::sockets as messages};
use crate::sys::failure::reason;

/// Why a pool cannot listen. Its group does not start; at a reload it keeps what it had.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.message())]
pub(crate) enum SocketError {
    /// The address cannot be bound, or its socket not be set up.
    Bind {
        /// As the configuration names it.
        address: String,
        /// The system's error.
        source: io::Error,
    },
    /// An address has no valid port, or its host name is unknown.
    #[error(transparent)]
    Unresolved(#[from] AddressError),
    /// Another process accepts connections there.
    Served(PathBuf),
    /// The pool has another user than before, and processes of the former one keep its new socket from being bound.
    Held {
        /// Whose address it is.
        pool: String,
        /// As the configuration names it.
        address: String,
    },
    /// Another address of the configuration is the same.
    NamedTwice {
        /// Whose address it is.
        pool: String,
        /// The address.
        address: String,
    },
    /// The file at the socket's path is another's.
    Replaced {
        /// Whose socket it is.
        pool: String,
        /// Its path.
        path: PathBuf,
    },
    /// It cannot be proved that the file at the socket's path is ours.
    Unproved {
        /// Whose socket it is.
        pool: String,
        /// Its path.
        path: PathBuf,
    },
    /// The file's owner, mode or access list cannot be set.
    SetAccess {
        /// Whose socket it is.
        pool: String,
        /// Its path.
        path: PathBuf,
        /// The operation, such as `chown`.
        what: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The backlog of a socket that listens cannot be changed.
    Backlog {
        /// Whose socket it is.
        pool: String,
        /// The address.
        address: String,
        /// The system's error.
        source: io::Error,
    },
}

impl SocketError {
    /// An address that cannot be bound.
    #[must_use]
    pub(crate) fn bind(address: &str, source: io::Error) -> Self {
        Self::Bind { address: address.to_owned(), source }
    }

    /// The line for the log.
    #[must_use]
    pub(crate) fn message(&self) -> Message {
        match self {
            Self::Bind { address, source } => messages::cannot_bind(address, reason(source)),
            Self::Unresolved(error) => error.message(),
            Self::Served(path) => messages::served_by_another(path.display()),
            Self::Held { pool, address } => messages::held_by_former_user(pool, address),
            Self::NamedTwice { pool, address } => messages::address_named_twice(pool, address),
            Self::Replaced { pool, path } => messages::new_socket_was_replaced(pool, path.display()),
            Self::Unproved { pool, path } => messages::socket_access_cannot_be_changed(pool, path.display()),
            Self::SetAccess { pool, path, what, source } => {
                messages::socket_access_failed(pool, what, path.display(), reason(source))
            }
            Self::Backlog { pool, address, source } => messages::backlog_not_changed(pool, address, reason(source)),
        }
    }
}

/// Why an entry of `FPM_SOCKETS` is ignored.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the texts say it")]
pub(super) enum Ignored {
    #[error("'{0}={1}' was named before")]
    NamedBefore(String, RawFd),
    #[error("'{0}' names no descriptor (address=number)")]
    Incomplete(String),
    #[error("'{0}' names no address (address=number)")]
    NoAddress(String),
    #[error("'{0}' names no descriptor (address=number, {1} or more)")]
    NoDescriptor(String, RawFd),
    #[error("descriptor {0} of '{1}' can't be used: {reason}", reason = reason(.2))]
    Unusable(RawFd, String, io::Error),
    #[error("descriptor {0} of '{1}' is no listening socket")]
    NotListening(RawFd, String),
}

/// Why a socket that systemd has passed is closed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the texts say it")]
pub(super) enum Unused {
    #[error("it is no listening stream socket (Accept=no, ListenStream= in a .socket unit)")]
    NotListening,
    #[error("it was passed twice")]
    PassedTwice,
    #[error("no pool listens there; name it in a pool's listen, or take it out of the .socket unit")]
    NoPool,
    #[error("{}", reason(.0))]
    Unusable(io::Error),
}

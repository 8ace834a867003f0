//! What name services know of a group: its users and groups, the hosts that it listens at.

use std::io;

use serde::{Deserialize, Serialize};

use crate::config::{self, Account, LoadOptions, PoolConfig};
use crate::configured;
use crate::log::messages::accounts::AccountError;
use crate::supervisor::generation::error::StartError;
use crate::supervisor::sockets::{SocketError, SocketNames, UnknownName};
use crate::sys::ids::Identity;

/// The answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Names {
    /// The users of the pools, in the same order.
    pub(super) users: Vec<PoolUser>,
    /// Of their sockets.
    pub(super) sockets: SocketNames,
}

/// Why there is no answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Unknown {
    /// A user or group is unknown, or a pool would run as root.
    Account(AccountError),
    /// The groups of a pool's user cannot be looked up.
    Groups {
        /// Whose user it is.
        pool: String,
        /// The system's error.
        errno: i32,
    },
    /// A name of a socket is unknown.
    Socket(UnknownName),
}

/// The users of the pools of a group, or why one of them is unknown.
pub(super) type KnownUsers = Result<Vec<PoolUser>, Unknown>;

impl From<AccountError> for Unknown {
    fn from(error: AccountError) -> Self {
        Self::Account(error)
    }
}

impl From<UnknownName> for Unknown {
    fn from(error: UnknownName) -> Self {
        Self::Socket(error)
    }
}

impl From<Unknown> for StartError {
    fn from(unknown: Unknown) -> Self {
        match unknown {
            Unknown::Account(error) | Unknown::Socket(UnknownName::Account(error)) => Self::Account(error),
            Unknown::Groups { pool, errno } => Self::Groups { pool, source: io::Error::from_raw_os_error(errno) },
            Unknown::Socket(UnknownName::Host(error)) => Self::Socket(SocketError::Unresolved(error)),
        }
    }
}

/// The user of a pool.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PoolUser {
    /// The user of its workers; `None`: the supervisor's.
    pub identity: Option<Identity>,
    /// What the database of users has about it.
    pub account: Account,
}

impl PoolUser {
    /// `env[]`, with USER and HOME of the pool's user unless given.
    #[must_use]
    pub(crate) fn environment(&self, pool: &PoolConfig) -> Vec<(String, String)> {
        let mut variables = pool.env.clone();
        for (name, value) in [("USER", &self.account.user), ("HOME", &self.account.home)] {
            if let Some(value) = value.as_ref().filter(|_| !pool.env.iter().any(|(n, _)| n == name)) {
                variables.push((name.to_owned(), value.clone()));
            }
        }
        variables
    }
}

/// Looks up the user of a pool.
///
/// # Errors
/// The user is unknown.
pub(super) fn user_of(pool: &PoolConfig, load: &LoadOptions) -> Result<PoolUser, Unknown> {
    let account = config::account(pool, load)?;
    let identity = configured::identity_of(&account)
        .map_err(|e| Unknown::Groups { pool: pool.name.clone(), errno: e.raw_os_error().unwrap_or_default() })?;
    Ok(PoolUser { identity, account })
}

/// Looks up the names of these pools, except their users if those are known. That can take as long as a name service does not answer.
///
/// # Errors
/// The first name that is unknown.
pub(super) fn look_up(
    pools: &[PoolConfig],
    users: Option<Vec<PoolUser>>,
    load: &LoadOptions,
) -> Result<Names, Unknown> {
    let found = || pools.iter().map(|pool| user_of(pool, load)).collect::<Result<Vec<_>, _>>();
    let users = users.map_or_else(found, Ok)?;
    Ok(Names { users, sockets: SocketNames::look_up(pools)? })
}

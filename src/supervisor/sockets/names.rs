//! What name services know about the sockets of a group: the users and groups of unix sockets, and the addresses of hosts.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::config::{self, ListenAddr, PoolConfig, SocketAccess};
use crate::log::messages::accounts::{AccountError, AddressError};

/// The answers of name services for the pools of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SocketNames {
    /// By pool, of those that have unix sockets.
    access: BTreeMap<String, SocketAccess>,
    /// By address as the configuration has it, of those that name a host.
    hosts: BTreeMap<String, Vec<SocketAddr>>,
}

/// A name that is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum UnknownName {
    /// A user or group.
    Account(AccountError),
    /// A host.
    Host(AddressError),
}

impl From<AccountError> for UnknownName {
    fn from(error: AccountError) -> Self {
        Self::Account(error)
    }
}

impl SocketNames {
    /// Asks for the names of these pools. That can take as long as a name service does not answer.
    ///
    /// # Errors
    /// The first name that is unknown.
    pub(crate) fn look_up(pools: &[PoolConfig]) -> Result<Self, UnknownName> {
        let mut names = Self::default();
        for pool in pools {
            if pool.listen.iter().any(|address| matches!(address, ListenAddr::Unix(_))) {
                names.access.insert(pool.name.clone(), config::socket_access(pool)?);
            }
            for spec in hosts(pool) {
                let found = config::resolve(spec).map_err(UnknownName::Host)?;
                names.hosts.insert(spec.to_owned(), found);
            }
        }
        Ok(names)
    }

    /// Who may use the unix sockets of that pool. `None`: it has none.
    #[must_use]
    pub(super) fn access_to(&self, pool: &PoolConfig) -> Option<SocketAccess> {
        self.access.get(&pool.name).cloned()
    }

    /// The addresses of a host and port. `None`: it names no host.
    #[must_use]
    pub(super) fn addresses(&self, spec: &str) -> Option<Vec<SocketAddr>> {
        self.hosts.get(spec).cloned()
    }
}

/// The addresses of that pool that name a host.
fn hosts(pool: &PoolConfig) -> impl Iterator<Item = &str> {
    pool.listen.iter().filter_map(|address| match address {
        ListenAddr::Tcp { spec, addrs } if addrs.is_empty() && config::names_host(spec) => Some(spec.as_str()),
        ListenAddr::Tcp { .. } | ListenAddr::Unix(_) => None,
    })
}

/// Whether one of the pools listens at a host that it names.
#[must_use]
pub(crate) fn name_hosts(pools: &[PoolConfig]) -> bool {
    pools.iter().any(|pool| hosts(pool).next().is_some())
}

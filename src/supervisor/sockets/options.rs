//! A pool's settings of its listening sockets: which users may connect, how many connections may wait.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::unistd::Uid;
use serde::{Deserialize, Serialize};

use crate::config::{self, ListenAddr, PoolConfig, SocketAccess};
use crate::log::{self, messages::sockets as messages};
use crate::supervisor::sockets::error::SocketError;
use crate::sys::failure::reason;
use crate::sys::listen;
use crate::sys::socket_file::{Access, Failure, Proof, Search, SocketFile};

/// `listen.owner` and so on of one pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SocketOptions {
    pub(super) pool: String,
    pub(super) backlog: i32,
    /// Ports on which the pool names all IPv4 addresses: its `[::]` of that port leaves them to that one.
    pub(super) v4_ports: Vec<u16>,
    pub(super) mode: u32,
    access: SocketAccess,
}

impl SocketOptions {
    /// The options of that pool. `access`: of its unix sockets, if it has any.
    #[must_use]
    pub(super) fn of(pool: &PoolConfig, access: Option<SocketAccess>) -> Self {
        if access.is_some() {
            config::ignored_owners(pool).iter().for_each(log::say);
        }
        Self {
            pool: pool.name.clone(),
            backlog: pool.listen_backlog,
            v4_ports: v4_ports(pool),
            mode: pool.listen_mode,
            access: access.unwrap_or_default(),
        }
    }

    /// Sets owner, group, mode and access list of a socket that listens already, whose path has been looked at. A file at its path that
    /// is not its own is left alone.
    ///
    /// # Errors
    /// The option that could not be set, and why.
    pub(super) fn apply(&self, name: &str, fd: &OwnedFd, search: Search) -> Result<(), SocketError> {
        match search.wait() {
            Ok(file) => match file.is_of(fd) {
                Proof::Foreign => {
                    log::say(&messages::socket_was_replaced(&self.pool, name));
                    Ok(())
                }
                proof => self.give_access(Path::new(name), &file, proof),
            },
            Err(e) => {
                log::say(&messages::socket_cannot_be_examined(&self.pool, name, reason(&e)));
                Ok(())
            }
        }
    }

    /// Sets the backlog of a socket that listens already.
    ///
    /// # Errors
    /// Why it could not be set.
    pub(super) fn apply_backlog(&self, name: &str, fd: &OwnedFd) -> Result<(), SocketError> {
        listen::listen(fd, self.backlog).map_err(|source| SocketError::Backlog {
            pool: self.pool.clone(),
            address: name.to_owned(),
            source,
        })
    }

    /// Owner, group, mode and access list of the file of a unix socket. `proof`: whether it is bound to this file.
    ///
    /// # Errors
    /// The option that could not be set, and why.
    pub(super) fn give_access(&self, path: &Path, file: &SocketFile, proof: Proof) -> Result<(), SocketError> {
        let access = Access {
            uid: self.access.uid.unwrap_or_else(|| Uid::effective().as_raw()),
            gid: self.access.gid,
            mode: self.mode,
            acl_users: &self.access.acl_users,
            acl_groups: &self.access.acl_groups,
        };
        let (pool, path) = (self.pool.clone(), path.to_owned());
        match proof {
            Proof::Ours => file.set_access(&access).map_err(|Failure { what, error: source }| SocketError::SetAccess {
                pool,
                path,
                what,
                source,
            }),
            Proof::Foreign => Err(SocketError::Replaced { pool, path }),
            Proof::None if file.has(&access) => Ok(()),
            Proof::None => Err(SocketError::Unproved { pool, path }),
        }
    }
}

fn v4_ports(pool: &PoolConfig) -> Vec<u16> {
    let addresses = pool.listen.iter().filter_map(|address| match address {
        ListenAddr::Tcp { spec, .. } => spec.parse::<SocketAddr>().ok(),
        ListenAddr::Unix(_) => None,
    });
    addresses.filter(|address| address.ip() == Ipv4Addr::UNSPECIFIED).map(|address| address.port()).collect()
}

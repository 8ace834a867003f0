//! What a listening socket is to be like: who may connect, how many may wait.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use nix::unistd::Uid;

use super::{Listener, open};
use crate::config::{self, ListenAddr, Pool, SocketAccess};
use crate::log;
use crate::sys::failure::reason;
use crate::sys::listen;
use crate::sys::socket_file::{self, Access};

/// What a pool says of its sockets.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub(super) pool: String,
    pub(super) backlog: i32,
    /// Ports on which the pool names all IPv4 addresses: its `[::]` of that port leaves them to that one.
    pub(super) v4_ports: Vec<u16>,
    mode: u32,
    access: SocketAccess,
}

impl Wish {
    /// Users and groups are looked up.
    ///
    /// # Errors
    /// A line for the log.
    pub(super) fn of(pool: &Pool) -> Result<Self, String> {
        let unix = pool.listen.iter().any(|address| matches!(address, ListenAddr::Unix(_)));
        let (access, warnings) = if unix {
            config::socket_access(pool).map_err(|e| format!("[pool {}] {e}", pool.name))?
        } else {
            Default::default()
        };
        warnings.into_iter().for_each(|w| log::warning(format!("[pool {}] {w}", pool.name)));
        Ok(Self {
            pool: pool.name.clone(),
            backlog: pool.listen_backlog,
            v4_ports: v4_ports(pool),
            mode: pool.listen_mode,
            access,
        })
    }

    /// On a socket that listens already.
    ///
    /// # Errors
    /// A line for the log.
    pub(super) fn apply(&self, listener: &Listener) -> Result<(), String> {
        if open::is_path(&listener.name) {
            self.give_access(Path::new(&listener.name))?;
        }
        listen::listen(&listener.fd, self.backlog).map_err(|e| {
            format!("[pool {}] failed to change the backlog of '{}': {}", self.pool, listener.name, reason(&e))
        })
    }

    /// Owner, group, mode and access list of a unix socket.
    ///
    /// # Errors
    /// A line for the log.
    pub(super) fn give_access(&self, path: &Path) -> Result<(), String> {
        let access = Access {
            uid: self.access.uid.unwrap_or_else(|| Uid::effective().as_raw()),
            gid: self.access.gid,
            mode: self.mode,
            acl_users: &self.access.acl_users,
            acl_groups: &self.access.acl_groups,
        };
        socket_file::set_access(path, &access).map_err(|e| {
            format!("[pool {}] failed to {} the socket '{}': {}", self.pool, e.what, path.display(), reason(&e.error))
        })
    }
}

fn v4_ports(pool: &Pool) -> Vec<u16> {
    let addresses = pool.listen.iter().filter_map(|address| match address {
        ListenAddr::Tcp { spec, .. } => spec.parse::<SocketAddr>().ok(),
        ListenAddr::Unix(_) => None,
    });
    addresses.filter(|address| address.ip() == Ipv4Addr::UNSPECIFIED).map(|address| address.port()).collect()
}

//! What a listening socket is to be like: who may connect, how many may wait.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::unistd::Uid;

use super::{Listener, open};
use crate::config::{self, ListenAddr, PoolConfig, SocketAccess};
use crate::log;
use crate::sys::failure::reason;
use crate::sys::listen;
use crate::sys::socket_file::{self, Access, Failure, Proof, SocketFile};

/// What a pool says of its sockets.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub(super) pool: String,
    pub(super) backlog: i32,
    /// Ports on which the pool names all IPv4 addresses: its `[::]` of that port leaves them to that one.
    pub(super) v4_ports: Vec<u16>,
    pub(super) mode: u32,
    access: SocketAccess,
}

impl Wish {
    /// Users and groups are looked up.
    ///
    /// # Errors
    /// A line for the log.
    pub(super) fn of(pool: &PoolConfig) -> Result<Self, String> {
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

    /// On a socket that listens already. What is no longer that socket's file is left alone.
    ///
    /// # Errors
    /// A line for the log.
    pub(super) fn apply(&self, listener: &Listener) -> Result<(), String> {
        if open::is_path(&listener.name) {
            let path = Path::new(&listener.name);
            match socket_file::find(path) {
                Ok(file) if file.is_of(&listener.fd) == Proof::Foreign => log::warning(format!(
                    "[pool {}] another socket has taken the place of '{}': it is left as it is; remove it, and reload to have ours made anew",
                    self.pool, listener.name
                )),
                Ok(file) => self.give_access(path, &listener.fd, &file)?,
                Err(e) => log::warning(format!(
                    "[pool {}] the socket '{}' can't be looked at: {}. It serves on, and its owner and mode stay as they are; \
                     clear the way to it, or remove what is in its place, and reload",
                    self.pool,
                    listener.name,
                    reason(&e)
                )),
            }
        }
        listen::listen(&listener.fd, self.backlog).map_err(|e| {
            format!("[pool {}] failed to change the backlog of '{}': {}", self.pool, listener.name, reason(&e))
        })
    }

    /// Owner, group, mode and access list of a unix socket that is bound to this file.
    ///
    /// # Errors
    /// A line for the log.
    pub(super) fn give_access(&self, path: &Path, fd: &OwnedFd, file: &SocketFile) -> Result<(), String> {
        let access = Access {
            uid: self.access.uid.unwrap_or_else(|| Uid::effective().as_raw()),
            gid: self.access.gid,
            mode: self.mode,
            acl_users: &self.access.acl_users,
            acl_groups: &self.access.acl_groups,
        };
        let name = path.display();
        match file.is_of(fd) {
            Proof::Ours => file.set_access(&access).map_err(|e| self.failed(path, &e)),
            Proof::Foreign => Err(format!("[pool {}] another socket has taken the place of '{name}'", self.pool)),
            Proof::None if file.has(&access) => Ok(()),
            Proof::None => Err(format!(
                "[pool {}] the owner or mode of the socket '{name}' can't be changed: others than root can put files into its \
                 directory, and this kernel doesn't tell (sock_diag) which is ours. Use a directory of root's, or have \
                 listen.owner, listen.group and listen.mode name what it has there",
                self.pool
            )),
        }
    }

    fn failed(&self, path: &Path, e: &Failure) -> String {
        format!("[pool {}] failed to {} the socket '{}': {}", self.pool, e.what, path.display(), reason(&e.error))
    }
}

fn v4_ports(pool: &PoolConfig) -> Vec<u16> {
    let addresses = pool.listen.iter().filter_map(|address| match address {
        ListenAddr::Tcp { spec, .. } => spec.parse::<SocketAddr>().ok(),
        ListenAddr::Unix(_) => None,
    });
    addresses.filter(|address| address.ip() == Ipv4Addr::UNSPECIFIED).map(|address| address.port()).collect()
}

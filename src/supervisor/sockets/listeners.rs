//! The list of listening sockets. `ownership.rs` says which generations name them.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use serde::{Deserialize, Serialize};

use crate::plan::fleet::GenerationId;
use crate::supervisor::sockets::background::{Background, Waited};
use crate::supervisor::sockets::options::SocketOptions;
use crate::supervisor::sockets::paths;
use crate::supervisor::sockets::waits::Waits;
use crate::sys::backlog::{Backlog, Inspector};
use crate::sys::{listen, message};

/// One listening socket.
#[derive(Debug)]
pub(crate) struct Listener {
    /// The address, as the configuration of the latest generation that serves has it.
    pub name: String,
    /// The socket.
    pub fd: OwnedFd,
    /// systemd has opened it and listens on it again after we have ended. Owner, mode, backlog and path are left to systemd, and
    /// connections that wait may wait.
    pub passed: bool,
    /// Its inode number.
    pub(super) inode: Option<u64>,
    /// Where a TCP socket listens.
    pub(super) bound: Option<SocketAddr>,
    /// The generations that name it, in the order in which they took it.
    pub(super) owners: Vec<Owner>,
    /// One of its owners has served, or another process has handed it over.
    pub(super) used: bool,
    /// Its path has been removed.
    pub(super) unlinked: bool,
    /// Others have removed its file, so a later generation has opened another socket at that path.
    pub(super) replaced: bool,
    /// It waits beside the socket of a former user at the same address.
    pub(super) waits: Option<Waits>,
    /// Whose processes may have it open (`Trust::fingerprint`). `None`: that is not known.
    pub user: Option<u64>,
    /// Its accept queue at the last look. `None`: its limit may have changed since, or other counters show it.
    pub(super) queue: Option<Backlog>,
    /// The supervisor waits for connections to it: its queue is empty until the next one arrives.
    pub(super) watched: bool,
}

/// A generation that names a socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owner {
    /// Which.
    pub(super) id: GenerationId,
    /// The address, as its configuration has it.
    pub(super) name: String,
    /// To be applied when the generation serves.
    pub(super) options: Option<SocketOptions>,
    /// Another generation serves in its place: it takes no new connections.
    pub(super) leaving: bool,
}

/// What the next image has to know about a socket, beside its address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ownership {
    /// The socket.
    pub fd: RawFd,
    owners: Vec<Owner>,
    used: bool,
    unlinked: bool,
    replaced: bool,
    /// A former version opened none of these.
    #[serde(default)]
    waits: Option<Waits>,
    /// A former version did not know it.
    #[serde(default)]
    user: Option<u64>,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    /// In the order of opening.
    pub(super) all: Vec<Listener>,
    pub(super) inspector: Inspector,
    /// Work at paths that goes on.
    pub(super) background: Vec<Background>,
    pub(super) waited: Waited,
}

impl Listener {
    /// A socket that another process, or a former image of this one, has opened.
    #[must_use]
    pub(crate) fn inherited(name: String, fd: OwnedFd) -> Self {
        let listener = Self { used: true, ..Self::opened(name, fd) };
        if listener.bound.is_none() {
            // As `UnixOpening::begin`.
            message::refuse_descriptors(&listener.fd);
        }
        listener
    }

    /// A socket that has just been opened.
    #[must_use]
    pub(super) fn opened(name: String, fd: OwnedFd) -> Self {
        let (bound, inode) = (listen::local(&fd), listen::inode(&fd));
        let (passed, used, unlinked, replaced) = (false, false, false, false);
        let owners = Vec::new();
        let (waits, user, queue, watched) = (None, None, None, false);
        Self { name, fd, passed, inode, bound, owners, used, unlinked, replaced, waits, user, queue, watched }
    }

    /// The same; `passed`: systemd has opened it.
    #[must_use]
    pub(crate) fn passed_if(self, passed: bool) -> Self {
        Self { passed, ..self }
    }

    /// The same, of that user.
    #[must_use]
    pub(super) fn of_user(self, user: Option<u64>) -> Self {
        Self { user, ..self }
    }

    /// The same, named by that generation, which serves.
    #[must_use]
    pub(crate) fn named_by(mut self, id: GenerationId) -> Self {
        self.add_owner(Owner::new(id, self.name.clone()));
        self
    }

    /// The same, as a former image has left it.
    #[must_use]
    pub(crate) fn resumed(self, ownership: &Ownership) -> Self {
        let Ownership { fd: _, owners, used, unlinked, replaced, waits, user } = ownership.clone();
        Self { owners, used, unlinked, replaced, waits, user, ..self }
    }

    /// A further generation names it.
    pub(super) fn add_owner(&mut self, owner: Owner) {
        // Most of the time there is one, and push would make room for four.
        self.owners.reserve_exact(1);
        self.owners.push(owner);
        self.queue = None;
    }

    /// That generation names it no more.
    pub(super) fn forget_owner(&mut self, id: GenerationId) {
        if self.is_of(id) {
            self.owners.retain(|owner| owner.id != id);
            self.queue = None;
        }
    }

    /// The supervisor waits for connections to it, or does so no more.
    pub(crate) fn watch(&mut self, watched: bool) {
        self.watched = watched;
    }

    pub(super) fn is_of(&self, id: GenerationId) -> bool {
        self.owners.iter().any(|owner| owner.id == id)
    }

    /// Each generation that names it has a successor that doesn't.
    pub(super) fn is_left(&self) -> bool {
        !self.owners.is_empty() && self.owners.iter().all(|owner| owner.leaving)
    }

    /// Begins to remove its path.
    pub(super) fn begin_unlink(&mut self) -> Option<Background> {
        if self.replaced {
            // At its path is another socket of ours, or none.
            return None;
        }
        let first = !std::mem::replace(&mut self.unlinked, true);
        if !first || self.passed {
            return None;
        }
        let name = match &self.waits {
            Some(Waits::As(file)) => file.to_string_lossy().into_owned(),
            _ => self.name.clone(),
        };
        let removal = paths::unlink(&name, &self.fd)?;
        Some(Background::Removal { name, removal })
    }
}

impl Owner {
    /// That generation, without options to apply.
    #[must_use]
    pub(super) fn new(id: GenerationId, name: String) -> Self {
        Self { id, name, options: None, leaving: false }
    }
}

impl Sockets {
    /// Adds one that was open already.
    pub(crate) fn add(&mut self, listener: Listener) {
        self.all.push(listener);
    }

    /// Those with these descriptors.
    pub(crate) fn of<'a>(&'a self, fds: &'a [RawFd]) -> impl Iterator<Item = &'a Listener> {
        self.all.iter().filter(|listener| fds.contains(&listener.fd.as_raw_fd()))
    }

    /// Those that systemd hasn't opened and that new connections go to.
    pub(crate) fn own(&self) -> impl Iterator<Item = &Listener> {
        self.all.iter().filter(|listener| !listener.passed && !listener.replaced && listener.waits.is_none())
    }

    /// The same, to change what the supervisor waits for.
    pub(crate) fn of_mut<'a>(&'a mut self, fds: &'a [RawFd]) -> impl Iterator<Item = &'a mut Listener> {
        self.all.iter_mut().filter(|listener| fds.contains(&listener.fd.as_raw_fd()))
    }

    /// Names and descriptors, for the next image.
    #[must_use]
    pub(crate) fn state(&self) -> Vec<(String, RawFd)> {
        self.all.iter().map(|listener| (listener.name.clone(), listener.fd.as_raw_fd())).collect()
    }

    /// Who names each of them, for the next image.
    #[must_use]
    pub(crate) fn ownership(&self) -> Vec<Ownership> {
        let of = |listener: &Listener| {
            let Listener { fd, owners, used, unlinked, replaced, waits, user, inode, .. } = listener;
            let waits = waits.clone().or_else(|| self.background.iter().find_map(|work| work.waits_for(*inode)));
            let (fd, owners) = (fd.as_raw_fd(), owners.clone());
            Ownership { fd, owners, used: *used, unlinked: *unlinked, replaced: *replaced, waits, user: *user }
        };
        self.all.iter().map(of).collect()
    }

    /// The descriptors of those that systemd has opened.
    #[must_use]
    pub(crate) fn passed(&self) -> Vec<RawFd> {
        self.all.iter().filter(|listener| listener.passed).map(|listener| listener.fd.as_raw_fd()).collect()
    }
}

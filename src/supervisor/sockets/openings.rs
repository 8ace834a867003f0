//! The unix sockets of a group that is being prepared. Their paths may be in directories of users, which may hang, so no wait is
//! necessary: a child looks whether the file of a socket that is open already has gone, and another one binds a new socket.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::config::{self, ListenAddr, PoolConfig};
use crate::log::{
    self,
    messages::{accounts, sockets as messages},
};
use crate::supervisor::sockets::advance::close_all;
use crate::supervisor::sockets::background::Background;
use crate::supervisor::sockets::claim::Claim;
use crate::supervisor::sockets::error::SocketError;
use crate::supervisor::sockets::listeners::{Listener, Sockets};
use crate::supervisor::sockets::names::SocketNames;
use crate::supervisor::sockets::open::UnixOpening;
use crate::supervisor::sockets::options::SocketOptions;
use crate::supervisor::sockets::paths;
use crate::supervisor::sockets::waits::{self, Opened, Waits};
use crate::sys::socket_file::{self, Search};

/// Most sockets of a group that are worked at at the same time.
const AT_ONCE: usize = 8;

/// The unix sockets of a group.
#[derive(Debug, Default)]
pub(crate) struct Openings {
    list: Vec<Opening>,
    /// By pool.
    options: BTreeMap<String, SocketOptions>,
    names: SocketNames,
}

#[derive(Debug)]
struct Opening {
    name: String,
    path: PathBuf,
    /// The name of the file of a socket that waits beside that of a former user.
    temporary: Option<PathBuf>,
    options: SocketOptions,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing has begun.
    Waiting,
    /// The socket is open. It is looked whether its file has gone.
    Searching(Search),
    /// The same, and the file is there.
    Known,
    /// It is being bound.
    Binding(UnixOpening),
    /// It listens.
    Open(OwnedFd),
}

impl Openings {
    /// Those of these pools, whose names have been looked up.
    ///
    /// # Errors
    /// Two pools have the same path.
    pub(crate) fn of(pools: &[PoolConfig], names: SocketNames) -> Result<Self, SocketError> {
        let (mut list, mut all) = (Vec::<Opening>::new(), BTreeMap::new());
        for pool in pools {
            let options = SocketOptions::of(pool, names.access_to(pool));
            for address in &pool.listen {
                let ListenAddr::Unix(path) = address else { continue };
                let (path, warning) = config::unix_path(path);
                warning.into_iter().for_each(|w| log::say(&accounts::path_cut(&pool.name, w)));
                let name = path.to_string_lossy().into_owned();
                if list.iter().any(|other| other.name == name) {
                    return Err(SocketError::NamedTwice { pool: pool.name.clone(), address: name });
                }
                list.push(Opening { name, path, temporary: None, options: options.clone(), state: State::Waiting });
            }
            all.insert(pool.name.clone(), options);
        }
        Ok(Self { list, options: all, names })
    }

    /// Goes on until then. Whether all are open.
    ///
    /// # Errors
    /// Why a pool cannot listen.
    pub(crate) fn advance(
        &mut self,
        sockets: &mut Sockets,
        claim: Claim<'_>,
        until: Instant,
    ) -> Result<bool, SocketError> {
        let mut busy = 0;
        for opening in &mut self.list {
            if busy >= AT_ONCE {
                break;
            }
            if !opening.advance(sockets, claim, until)? {
                busy += 1;
            }
        }
        Ok(busy == 0)
    }

    /// The options of a pool.
    pub(super) fn options(&self, pool: &PoolConfig) -> SocketOptions {
        self.options.get(&pool.name).cloned().unwrap_or_else(|| SocketOptions::of(pool, self.names.access_to(pool)))
    }

    /// The socket addresses of `host:port` or `port`.
    ///
    /// # Errors
    /// The port is wrong.
    pub(super) fn addresses(&self, spec: &str) -> Result<Vec<SocketAddr>, SocketError> {
        self.names.addresses(spec).map_or_else(|| Ok(config::resolve(spec)?), Ok)
    }

    /// Takes the socket of that name, if it was opened.
    pub(super) fn take(&mut self, name: &str) -> Option<Opened> {
        let is_open = |opening: &Opening| opening.name == name && matches!(opening.state, State::Open(_));
        let at = self.list.iter().position(is_open)?;
        match self.list.swap_remove(at) {
            Opening { state: State::Open(fd), temporary, .. } => Some((fd, temporary.map(Waits::As))),
            _ => None,
        }
    }
}

impl Opening {
    fn advance(&mut self, sockets: &mut Sockets, claim: Claim<'_>, until: Instant) -> Result<bool, SocketError> {
        loop {
            let over = match &mut self.state {
                State::Searching(search) => search.is_over(until),
                State::Binding(binding) => binding.is_over(until),
                State::Waiting | State::Known | State::Open(_) => true,
            };
            if !over {
                return Ok(false);
            }
            self.state = match std::mem::replace(&mut self.state, State::Waiting) {
                State::Waiting => match sockets.known(&self.name) {
                    Some(known) if known.is_of(claim.owner) => State::Known,
                    Some(_) => State::Searching(Search::begin(&self.path)),
                    None => State::Binding(UnixOpening::begin(&self.path, &self.options)?),
                },
                State::Searching(search) => {
                    let gone = socket_file::has_gone(search);
                    if let Some(listener) = sockets.known(&self.name).filter(|_| gone) {
                        log::say(&messages::socket_was_removed(&self.options.pool, &self.name));
                        listener.replaced = true;
                    }
                    State::Known
                }
                // It may have been closed since.
                State::Known if sockets.known(&self.name).is_none() => State::Waiting,
                State::Known if self.is_of_another_user(sockets, claim) => {
                    let temporary = waits::temporary(&self.path);
                    let binding = UnixOpening::begin_beside(&temporary, &self.options)?;
                    self.temporary = Some(temporary);
                    State::Binding(binding)
                }
                State::Binding(binding) => match binding.finish(self.file(), &self.options) {
                    Ok(fd) => State::Open(fd),
                    Err((refusal, bound)) => {
                        // `abandon` removes its file.
                        self.state = bound.map_or(State::Waiting, State::Open);
                        return Err(refusal);
                    }
                },
                over @ (State::Known | State::Open(_)) => {
                    self.state = over;
                    return Ok(true);
                }
            };
        }
    }

    /// Whether a socket of a former user has the path, so that another one is to be bound.
    fn is_of_another_user(&self, sockets: &mut Sockets, claim: Claim<'_>) -> bool {
        let known = sockets.known(&self.name);
        known.is_some_and(|known| !known.passed && known.is_of_another_user(claim, &self.options.pool))
    }

    /// The path at which it is bound.
    fn file(&self) -> &Path {
        self.temporary.as_deref().unwrap_or(&self.path)
    }

    /// The socket, if it is bound to a file, and the removal of that.
    fn removal(self) -> Option<(OwnedFd, Option<Background>)> {
        let name = self.file().to_string_lossy().into_owned();
        let fd = match self.state {
            State::Binding(binding) => binding.into_bound()?,
            State::Open(fd) => fd,
            State::Waiting | State::Searching(_) | State::Known => return None,
        };
        let removal = paths::unlink(&name, &fd).map(|removal| Background::Removal { name, removal });
        Some((fd, removal))
    }
}

impl Sockets {
    /// The socket that is bound to this path.
    pub(super) fn known(&mut self, name: &str) -> Option<&mut Listener> {
        self.all.iter_mut().rev().find(|listener| !listener.replaced && listener.name == name)
    }

    /// The group is not prepared after all: removes the files of sockets that were opened for it. `withdraw` does the rest.
    pub(crate) fn abandon(&mut self, openings: Openings) {
        let (sockets, removals): (Vec<_>, Vec<_>) = openings.list.into_iter().filter_map(Opening::removal).unzip();
        self.background.extend(removals.into_iter().flatten());
        close_all(sockets);
    }
}

//! Sockets that systemd passes at the start (sd_listen_fds(3)): those of a .socket unit, and our own ones that it
//! has kept in its store. Pools that name their addresses listen on them; nothing is bound.

use std::collections::BTreeMap;
use std::env;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use crate::config::{self, ListenAddr, PoolConfig};
use crate::log::{self, messages::sockets as messages};
use crate::plan::systemd::{passed_names, socket_name, user_in_name};
use crate::supervisor::sockets::error::Unused;
use crate::supervisor::sockets::listeners::{Listener, Sockets};
use crate::sys::named_file::{self, Answer, Rules};
use crate::sys::socket_file::{self, Proof};
use crate::sys::{inherited, listen, single_threaded};

/// The first descriptor that is passed.
const FIRST: RawFd = 3;
/// The variables that describe them.
const VARIABLES: [&str; 4] = ["LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES"];

/// A descriptor that was passed, and its name.
#[derive(Debug)]
pub(crate) struct Passed {
    fd: OwnedFd,
    name: String,
}

impl Passed {
    /// Its number.
    #[must_use]
    pub(crate) fn number(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// Takes what was passed to this process, and the variables out of its environment: no other process is to take them for its own.
#[must_use]
pub(crate) fn take() -> Vec<Passed> {
    let [whose, _, count, names] = VARIABLES.map(|name| env::var(name).ok());
    let names = passed_names(whose.as_deref(), count.as_deref(), names.as_deref(), std::process::id());
    VARIABLES.into_iter().for_each(single_threaded::remove_variable);
    let mut passed = Vec::new();
    for (raw, name) in (FIRST..).zip(names) {
        match inherited::adopt(raw) {
            Ok(fd) => passed.push(Passed { fd, name }),
            Err(_) => log::say(&messages::passed_socket_missing(raw)),
        }
    }
    passed
}

/// The name under which systemd stores a socket of ours. A unix socket may have another address than its path, the temporary name of
/// its file. `user` is that of `Listener`.
#[must_use]
pub(crate) fn stored_name(name: &str, socket: &OwnedFd, user: Option<u64>) -> Option<String> {
    match listen::local(socket) {
        Some(address) => socket_name(&address.to_string(), user),
        None => socket_name(name, user),
    }
}

/// An address of a pool: as it is written, and as sockets are bound.
struct Wanted {
    written: String,
    path: Option<PathBuf>,
    addrs: Vec<SocketAddr>,
}

impl Sockets {
    /// Adds those that a pool names; the others are closed, with a line for each. Returns the names and inodes of all that came
    /// from systemd's store.
    pub(crate) fn adopt_passed(&mut self, passed: Vec<Passed>, pools: &[PoolConfig]) -> BTreeMap<String, u64> {
        let wanted: Vec<Wanted> = if passed.is_empty() {
            Vec::new()
        } else {
            pools.iter().flat_map(|pool| &pool.listen).map(Wanted::of).collect()
        };
        let mut stored = BTreeMap::new();
        for Passed { fd, name } in passed {
            let place = self.place_of(&fd, &wanted);
            let user = user_in_name(&name);
            let is_stored = |written: &str| stored_name(written, &fd, user).is_some_and(|stored| stored == name);
            let address = || listen::address(&fd).is_some_and(|address| is_stored(&address));
            let ours = place.as_ref().is_ok_and(|written| is_stored(written)) || address();
            if let Some(inode) = listen::inode(&fd).filter(|_| ours) {
                stored.insert(name.clone(), inode);
            }
            match place {
                Ok(written) => {
                    log::say(&messages::passed_socket_used(fd.as_raw_fd(), &written));
                    let listener = Listener::inherited(written, fd).passed_if(!ours);
                    self.all.push(listener.of_user(user.filter(|_| ours)));
                }
                Err(why) => say_unused(&fd, &name, &why),
            }
        }
        stored
    }

    /// The address that the socket is for, as the configuration has it; or why it can't be used.
    fn place_of(&self, fd: &OwnedFd, wanted: &[Wanted]) -> Result<String, Unused> {
        if !listen::is_listening(fd) {
            return Err(Unused::NotListening);
        }
        let bound = listen::address(fd);
        if self.all.iter().any(|listener| listen::address(&listener.fd) == bound) {
            return Err(Unused::PassedTwice);
        }
        let wanted = wanted.iter().find(|wanted| wanted.is_that_of(fd)).ok_or(Unused::NoPool)?;
        listen::prepare(fd).map_err(Unused::Unusable)?;
        Ok(wanted.written.clone())
    }
}

impl Wanted {
    fn of(address: &ListenAddr) -> Self {
        match address {
            ListenAddr::Unix(path) => {
                let (path, _) = config::unix_path(path);
                let written = path.to_string_lossy().into_owned();
                Self { written, path: Some(real(&path)), addrs: Vec::new() }
            }
            ListenAddr::Tcp { spec, addrs } => {
                let resolved = if addrs.is_empty() { config::resolve(spec).unwrap_or_default() } else { addrs.clone() };
                Self { written: spec.clone(), path: None, addrs: resolved }
            }
        }
    }

    fn is_that_of(&self, fd: &OwnedFd) -> bool {
        match (&self.path, listen::local_path(fd)) {
            (Some(wanted), Some(bound)) => *wanted == real(&bound) || has_file(wanted, fd),
            (None, None) => listen::local(fd).is_some_and(|bound| self.addrs.contains(&bound)),
            _ => false,
        }
    }
}

/// Whether the socket's file is the one at that path. Then it had another name at first.
fn has_file(path: &Path, socket: &OwnedFd) -> bool {
    socket_file::can_prove(socket) && socket_file::find(path).is_ok_and(|file| file.is_of(socket) == Proof::Ours)
}

/// The path with the real name of its directory: /var/run is /run. The directory may be a user's and not answer.
fn real(path: &Path) -> PathBuf {
    let held = named_file::run(path, Rules::default(), |spot| {
        let directory = spot.directory()?;
        Ok(Answer { file: Some(directory), note: 0 })
    });
    let directory = held.ok().and_then(|held| held.answer.file);
    let directory = directory.and_then(|directory| std::fs::read_link(named_file::name_of(&directory)).ok());
    directory.zip(path.file_name()).map_or_else(|| path.to_owned(), |(directory, name)| directory.join(name))
}

/// One line about a socket from systemd that is closed.
fn say_unused(fd: &OwnedFd, name: &str, why: &Unused) {
    let what = listen::address(fd).unwrap_or_else(|| format!("descriptor {}", fd.as_raw_fd()));
    log::say(&messages::passed_socket_closed(what, name, why));
}

//! Which generations name which sockets. A socket is opened for the first generation that names it, and closed when no generation
//! does any more. Each generation names its sockets on its own: one that cannot start changes nothing for the others.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;

use nix::errno::Errno;

use crate::config::{self, ListenAddr, PoolConfig};
use crate::log::{self, messages::sockets as messages};
use crate::plan::fleet::GenerationId;
use crate::supervisor::sockets::advance::close_all;
use crate::supervisor::sockets::background::Background;
use crate::supervisor::sockets::claim::Claim;
use crate::supervisor::sockets::error::SocketError;
use crate::supervisor::sockets::listeners::{Listener, Owner, Sockets};
use crate::supervisor::sockets::open;
use crate::supervisor::sockets::openings::Openings;
use crate::supervisor::sockets::options::SocketOptions;
use crate::supervisor::sockets::paths;
use crate::supervisor::sockets::waits::Opened;
use crate::sys::socket_file::Search;
use crate::sys::{fd, listen, shared_port};

/// Most paths whose removal is begun before they are waited for.
const AT_ONCE: usize = 32;

impl Sockets {
    /// The descriptors that a pool of a generation listens on. `openings` has opened its unix sockets; TCP sockets are opened where they
    /// aren't yet. If one cannot be opened, the generation must `withdraw`.
    ///
    /// # Errors
    /// Why the pool cannot listen.
    pub(crate) fn open(
        &mut self,
        claim: Claim<'_>,
        pool: &PoolConfig,
        openings: &mut Openings,
    ) -> Result<Vec<RawFd>, SocketError> {
        let options = openings.options(pool);
        pool.listen.iter().map(|address| self.open_one(claim, address, &options, openings)).collect()
    }

    fn open_one(
        &mut self,
        claim: Claim<'_>,
        address: &ListenAddr,
        options: &SocketOptions,
        openings: &mut Openings,
    ) -> Result<RawFd, SocketError> {
        match address {
            ListenAddr::Unix(path) => {
                let name = config::unix_path(path).0.to_string_lossy().into_owned();
                let at = self.all.iter().rposition(|l| !l.replaced && l.name == name);
                let open = |_: Option<&Listener>| {
                    openings.take(&name).ok_or_else(|| SocketError::bind(&name, Errno::EBADF.into()))
                };
                self.take_or_open(claim, at, &name, options, open)
            }
            ListenAddr::Tcp { spec, addrs } => {
                // Host names are resolved when the socket is opened.
                let addrs = if addrs.is_empty() { openings.addresses(spec)? } else { addrs.clone() };
                let known = |addr: &SocketAddr| self.all.iter().rposition(|l| !l.replaced && l.bound == Some(*addr));
                let at = addrs.iter().find_map(known);
                let open = |former: Option<&Listener>| match former {
                    Some(former) => former.open_beside(spec, options),
                    None => open::first(spec, &addrs, options).map(|fd| (fd, None)),
                };
                self.take_or_open(claim, at, spec, options, open)
            }
        }
    }

    /// A generation names the same sockets as one that serves, and changes none of them.
    pub(crate) fn share(&mut self, of: GenerationId, with: GenerationId) {
        for listener in &mut self.all {
            if let Some(owner) = listener.owners.iter().find(|owner| owner.id == of) {
                let owner = Owner::new(with, owner.name.clone());
                listener.add_owner(owner);
            }
        }
    }

    /// The socket at that place of the list, or a new one: if there is none, or if it is of another user.
    fn take_or_open(
        &mut self,
        claim: Claim<'_>,
        at: Option<usize>,
        name: &str,
        options: &SocketOptions,
        open: impl FnOnce(Option<&Listener>) -> Result<Opened, SocketError>,
    ) -> Result<RawFd, SocketError> {
        let Claim { owner: id, leaves, .. } = claim;
        let mut former = None;
        if let Some(listener) = at.and_then(|at| self.all.get_mut(at)) {
            if listener.owners.iter().any(|owner| !owner.leaving && !leaves(owner.id)) {
                return Err(SocketError::NamedTwice { pool: options.pool.clone(), address: name.to_owned() });
            }
            let is_foreign = listener.is_of_another_user(claim, &options.pool);
            if !is_foreign || listener.passed {
                if is_foreign {
                    log::say(&messages::socket_stays_with_former_user(&options.pool, name));
                }
                listener.user = (claim.user)(&options.pool);
                let options = Some(options.clone()).filter(|_| !listener.passed);
                listener.add_owner(Owner { options, ..Owner::new(id, name.to_owned()) });
                return Ok(listener.fd.as_raw_fd());
            }
            if listener.owners.is_empty() {
                log::say(&messages::stored_for_another_user(&options.pool, name));
            }
            former = Some(&*listener);
        }
        let (fd, waits) = open(former)?;
        fd::set_nonblocking(&fd, true).map_err(|e| SocketError::bind(name, e))?;
        let raw = fd.as_raw_fd();
        let listener = Listener::opened(name.to_owned(), fd).of_user((claim.user)(&options.pool));
        self.all.push(Listener { waits, ..listener.named_by(id) });
        Ok(raw)
    }

    /// That generation serves: sockets that were open before get the options of its configuration.
    pub(crate) fn serve(&mut self, id: GenerationId) {
        self.switch(|other| other == id);
        for listener in &mut self.all {
            let Some(owner) = listener.owners.iter_mut().find(|owner| owner.id == id) else { continue };
            listener.used = true;
            listener.name.clone_from(&owner.name);
            let Some(options) = owner.options.take() else { continue };
            let name = listener.name.clone();
            options.apply_backlog(&name, &listener.fd).unwrap_or_else(|e| log::say(&e.message()));
            listener.queue = None;
            if paths::is_path(&name)
                && let Ok(socket) = listener.fd.try_clone()
            {
                let search = Search::begin(Path::new(&name));
                self.background.push(Background::Access { name, socket, options, search });
            }
        }
        self.close_superseded();
    }

    /// Closes those that another process has handed over and that others have replaced: no generation will ever drop them.
    fn close_superseded(&mut self) {
        let serves_for = |l: &Listener| {
            let mut serving = self.all.iter().filter(|one| one.used && !one.replaced && one.waits.is_none());
            serving.any(|one| if l.bound.is_some() { one.bound == l.bound } else { one.name == l.name })
        };
        let superseded = self.all.iter().filter(|l| l.replaced && l.owners.is_empty() && serves_for(l));
        let superseded: Vec<RawFd> = superseded.map(|l| l.fd.as_raw_fd()).collect();
        self.close(|l| superseded.contains(&l.fd.as_raw_fd()));
    }

    /// That generation can't start: what was opened for it alone is closed, the rest stays as it is.
    pub(crate) fn withdraw(&mut self, id: GenerationId) {
        self.forget_owner(id);
        let unused: Vec<Listener> = self.all.extract_if(.., |l| l.owners.is_empty() && !l.used).collect();
        self.close_those(unused);
        // A socket that was to be replaced stays, also if no other could be opened at its path.
        for at in (0..self.all.len()).rev() {
            let listener = &self.all[at];
            if listener.replaced && !self.all.iter().any(|l| !l.replaced && l.name == listener.name) {
                self.all[at].replaced = false;
            }
        }
        self.wait_briefly();
    }

    /// Others serve in place of these generations, which take no new connections: sockets that only they name are about to close.
    pub(crate) fn leave(&mut self, ids: &[GenerationId]) {
        let owners = self.all.iter_mut().flat_map(|l| &mut l.owners);
        owners.filter(|owner| ids.contains(&owner.id)).for_each(|owner| owner.leaving = true);
    }

    /// That generation needs its sockets no more: those that no other generation names are closed.
    pub(crate) fn drop_owner(&mut self, id: GenerationId) {
        let named: Vec<RawFd> = self.all.iter().filter(|l| l.is_of(id)).map(|l| l.fd.as_raw_fd()).collect();
        self.forget_owner(id);
        self.close(|l| l.owners.is_empty() && named.contains(&l.fd.as_raw_fd()));
    }

    /// Closes those that another process has handed over and that no pool of the configuration names.
    pub(crate) fn close_unnamed(&mut self, pools: &[PoolConfig]) {
        let names = |l: &Listener| {
            pools.iter().flat_map(|pool| &pool.listen).any(|address| match address {
                ListenAddr::Unix(path) => config::unix_path(path).0.to_string_lossy() == l.name,
                ListenAddr::Tcp { spec, addrs } => {
                    *spec == l.name || l.bound.is_some_and(|bound| addrs.contains(&bound))
                }
            })
        };
        self.close(|l| l.owners.is_empty() && !names(l));
    }

    fn forget_owner(&mut self, id: GenerationId) {
        self.all.iter_mut().for_each(|l| l.forget_owner(id));
    }

    fn close(&mut self, which: impl Fn(&Listener) -> bool) {
        let gone: Vec<Listener> = self.all.extract_if(.., |l| which(l)).collect();
        for listener in &gone {
            if listener.passed {
                say_no_longer_used(listener);
            } else {
                log::say(&messages::socket_closed(&listener.name));
            }
        }
        self.close_those(gone);
        self.wait_briefly();
    }

    fn close_those(&mut self, mut gone: Vec<Listener>) {
        self.background.extend(gone.iter_mut().filter_map(Listener::begin_unlink));
        for listener in gone.iter().filter(|l| !l.passed && l.bound.is_some()) {
            // Processes of its user may keep it open. They must not take the connections of a socket that gets its port.
            if listener.replaced {
                // Clients that still wait are reset. The supervisor cannot accept them for the new user: those processes can make the
                // socket blocking at any moment, and accept would wait. With `net.ipv4.tcp_migrate_req` the kernel moves them.
                shared_port::abandon(&listener.fd);
            } else {
                // Its workers still serve the connections in its queue.
                shared_port::give_away(&listener.fd);
            }
        }
        close_all(gone.into_iter().map(|listener| listener.fd));
    }

    /// Removes the paths of unix sockets that are about to close, so that no new client connects: of those that only generations
    /// name which leave, or of all.
    pub(crate) fn unlink(&mut self, all: bool) {
        let closing = |l: &&mut Listener| all || l.is_left();
        let count = self.all.iter_mut().filter(closing).count();
        for at in 0..count.div_ceil(AT_ONCE) {
            let some = self.all.iter_mut().filter(closing).skip(at * AT_ONCE).take(AT_ONCE);
            self.background.extend(some.filter_map(Listener::begin_unlink));
            self.wait_briefly();
        }
    }

    /// Which of a pool's sockets will be closed, a bit for each: those that only generations name which leave, or all. Those from
    /// the 32nd on share the last bit, which is set if all of them close.
    #[must_use]
    pub(crate) fn closing(&self, pool: &[RawFd], all: bool) -> u32 {
        let closes = |raw: &RawFd| {
            let listener = self.all.iter().find(|l| l.fd.as_raw_fd() == *raw);
            listener.is_some_and(|l| !l.passed && (all || l.is_left()))
        };
        let mut bits = pool.iter().map(closes);
        let first = bits.by_ref().take(31).zip(0..).map(|(closes, at)| u32::from(closes) << at).sum::<u32>();
        let rest = bits.len() > 0 && bits.all(|closes| closes);
        first | u32::from(rest) << 31
    }
}

/// A socket of systemd's that was in use is closed.
fn say_no_longer_used(listener: &Listener) {
    let what = listen::address(&listener.fd).unwrap_or_else(|| listener.name.clone());
    log::say(&messages::passed_socket_no_longer_used(what));
}

#[cfg(test)]
#[path = "ownership_tests.rs"]
mod tests;

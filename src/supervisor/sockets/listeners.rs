//! The list of listening sockets, and how it changes from one generation to the next.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use crate::config::{self, ListenAddr, PoolConfig};
use crate::log::{
    self,
    messages::{accounts, sockets as messages},
};
use crate::supervisor::sockets::error::SocketError;
use crate::supervisor::sockets::options::SocketOptions;
use crate::supervisor::sockets::{open, paths};
use crate::sys::backlog::Inspector;
use crate::sys::socket_file::{self, Removal};
use crate::sys::{fd, listen};

/// Most paths that are removed at the same time.
const AT_ONCE: usize = 64;

/// One listening socket.
#[derive(Debug)]
pub(crate) struct Listener {
    /// The address, as the configuration has it.
    pub name: String,
    /// The socket.
    pub fd: OwnedFd,
    /// systemd has opened it and listens on it again after we have ended. Owner, mode, backlog and path are left to systemd, and
    /// connections that wait may wait.
    pub passed: bool,
    /// Its path has been removed.
    unlinked: bool,
    /// Named by the present configuration.
    wanted: bool,
    /// Its file has been removed by others: the generation that starts gets a new socket at that path. If it can't start, this one
    /// stays.
    replaced: bool,
    /// The name that it had before the generation that starts.
    former: Option<String>,
    /// Opened for the generation that starts.
    fresh: bool,
    /// To be applied when that generation serves.
    options: Option<SocketOptions>,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    /// In the order of opening.
    pub(super) all: Vec<Listener>,
    pub(super) inspector: Inspector,
}

impl Listener {
    /// A socket that is open already.
    #[must_use]
    pub(crate) fn inherited(name: String, fd: OwnedFd) -> Self {
        let (passed, unlinked, wanted, replaced, fresh) = (false, false, false, false, false);
        Self { name, fd, passed, unlinked, wanted, replaced, former: None, fresh, options: None }
    }

    /// The same; `passed`: systemd has opened it.
    #[must_use]
    pub(crate) fn passed_if(self, passed: bool) -> Self {
        Self { passed, ..self }
    }

    fn unlink(&mut self) {
        if let Some(removal) = self.begin_unlink() {
            paths::finish_unlink(&self.name, removal);
        }
    }

    /// Several can be removed at once: each may have to wait for a directory that doesn't answer.
    fn begin_unlink(&mut self) -> Option<Removal> {
        if self.replaced {
            // At its path is another socket of ours, or none.
            return None;
        }
        let first = !std::mem::replace(&mut self.unlinked, true);
        if first && !self.passed { paths::unlink(&self.name, &self.fd) } else { None }
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

    /// Those that systemd hasn't opened.
    pub(crate) fn own(&self) -> impl Iterator<Item = &Listener> {
        self.all.iter().filter(|listener| !listener.passed)
    }

    /// Names and descriptors, for the next image.
    #[must_use]
    pub(crate) fn state(&self) -> Vec<(String, RawFd)> {
        self.all.iter().map(|listener| (listener.name.clone(), listener.fd.as_raw_fd())).collect()
    }

    /// The descriptors of those that systemd has opened.
    #[must_use]
    pub(crate) fn passed(&self) -> Vec<RawFd> {
        self.all.iter().filter(|listener| listener.passed).map(|listener| listener.fd.as_raw_fd()).collect()
    }

    /// A generation is about to name its sockets with `open`.
    pub(crate) fn begin_generation(&mut self) {
        for listener in &mut self.all {
            (listener.wanted, listener.fresh, listener.options) = (false, false, None);
            (listener.replaced, listener.former) = (false, None);
        }
    }

    /// The descriptors a pool listens on, opened where they aren't yet.
    ///
    /// # Errors
    /// Why the pool cannot listen.
    pub(crate) fn open(&mut self, pool: &PoolConfig) -> Result<Vec<RawFd>, SocketError> {
        let options = SocketOptions::of(pool)?;
        pool.listen.iter().map(|address| self.open_one(address, &options)).collect()
    }

    fn open_one(&mut self, address: &ListenAddr, options: &SocketOptions) -> Result<RawFd, SocketError> {
        match address {
            ListenAddr::Unix(path) => {
                let (path, warning) = config::unix_path(path);
                warning.into_iter().for_each(|w| log::say(&accounts::path_cut(&options.pool, w)));
                let name = path.to_string_lossy().into_owned();
                let known = |all: &[Listener]| all.iter().position(|l| !l.replaced && l.name == name);
                if let Some(gone) = known(&self.all).and_then(|at| self.all.get_mut(at))
                    && socket_file::has_gone(&path)
                {
                    log::say(&messages::socket_was_removed(&options.pool, &name));
                    gone.replaced = true;
                }
                let at = known(&self.all);
                self.keep_or_open(at, &name, options, || open::unix(&path, options))
            }
            ListenAddr::Tcp { spec, addrs } => {
                // Host names are resolved when the socket is opened.
                let addrs = if addrs.is_empty() { config::resolve(spec)? } else { addrs.clone() };
                let bound = |addr: &SocketAddr| self.all.iter().position(|l| listen::local(&l.fd) == Some(*addr));
                let at = addrs.iter().find_map(bound);
                self.keep_or_open(at, spec, options, || open::first(spec, &addrs, options))
            }
        }
    }

    /// The socket at that place of the list, or a new one.
    fn keep_or_open(
        &mut self,
        at: Option<usize>,
        name: &str,
        options: &SocketOptions,
        open: impl FnOnce() -> Result<OwnedFd, SocketError>,
    ) -> Result<RawFd, SocketError> {
        if let Some(listener) = at.and_then(|at| self.all.get_mut(at)) {
            if listener.wanted {
                return Err(SocketError::NamedTwice { pool: options.pool.clone(), address: name.to_owned() });
            }
            if listener.name != name {
                listener.former = Some(std::mem::replace(&mut listener.name, name.to_owned()));
            }
            (listener.wanted, listener.options) = (true, Some(options.clone()).filter(|_| !listener.passed));
            return Ok(listener.fd.as_raw_fd());
        }
        let fd = open()?;
        fd::set_nonblocking(&fd, true).map_err(|e| SocketError::bind(name, e))?;
        let raw = fd.as_raw_fd();
        self.all.push(Listener { wanted: true, fresh: true, ..Listener::inherited(name.to_owned(), fd) });
        Ok(raw)
    }

    /// The generation serves: sockets that were open before get the options that the configuration has now, and those that it no
    /// longer names are closed.
    pub(crate) fn commit(&mut self) {
        for listener in &mut self.all {
            listener.former = None;
            if let Some(options) = listener.options.take() {
                options.apply(&listener.name, &listener.fd).unwrap_or_else(|e| log::say(&e.message()));
            }
        }
        for mut gone in self.all.extract_if(.., |l| !l.wanted) {
            if gone.passed {
                say_no_longer_used(&gone);
                continue;
            }
            gone.unlink();
            log::say(&messages::socket_closed(&gone.name));
        }
    }

    /// The generation can't start: what was opened for it is closed, the rest stays as it is.
    pub(crate) fn roll_back(&mut self) {
        self.all.extract_if(.., |l| l.fresh).for_each(|mut gone| gone.unlink());
        for listener in &mut self.all {
            if let Some(former) = listener.former.take() {
                listener.name = former;
            }
        }
        self.begin_generation();
    }

    /// Removes the paths of unix sockets that are about to close, so that no new client connects: of those that the generation
    /// which takes over doesn't name, or of all.
    pub(crate) fn unlink(&mut self, all: bool) {
        for some in self.all.chunks_mut(AT_ONCE) {
            let closing = some.iter_mut().filter(|l| all || !l.wanted);
            let begun: Vec<_> = closing.filter_map(|l| Some((l.name.clone(), l.begin_unlink()?))).collect();
            begun.into_iter().for_each(|(name, removal)| paths::finish_unlink(&name, removal));
        }
    }

    /// Which of a pool's sockets will be closed, a bit for each. Those from the 32nd on share the last bit, which is set if all of
    /// them close.
    #[must_use]
    pub(crate) fn closing(&self, pool: &[RawFd], all: bool) -> u32 {
        let closes = |raw: &RawFd| {
            let listener = self.all.iter().find(|l| l.fd.as_raw_fd() == *raw);
            listener.is_some_and(|l| !l.passed && (all || !l.wanted))
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
mod tests {
    use super::*;

    fn sockets(wanted: &[bool]) -> (Sockets, Vec<RawFd>) {
        let file = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let all = wanted.iter().map(|&wanted| Listener { wanted, ..Listener::inherited("/a".to_owned(), file()) });
        let sockets = Sockets { all: all.collect(), ..Sockets::default() };
        let fds = sockets.all.iter().map(|l| l.fd.as_raw_fd()).collect();
        (sockets, fds)
    }

    #[test]
    fn sockets_that_close_have_a_bit() {
        let (mut sockets, fds) = sockets(&[true, false, true, false]);
        assert_eq!(sockets.closing(&fds, false), 0b1010);
        assert_eq!(sockets.closing(&fds, true), 0b1111);
        sockets.all[3].passed = true;
        assert_eq!(sockets.closing(&fds, false), 0b0010);
        assert_eq!(sockets.closing(&[fds[3], fds[1]], true), 0b0010, "by their place in the pool");
    }

    #[test]
    fn from_the_32nd_on_all_close_or_none() {
        let (mut sockets, fds) = sockets(&[false; 40]);
        assert_eq!(sockets.closing(&fds, false), u32::MAX);
        sockets.all[35].wanted = true;
        assert_eq!(sockets.closing(&fds, false), u32::MAX >> 1);
        assert_eq!(sockets.closing(&fds[..31], false), u32::MAX >> 1);
    }
}

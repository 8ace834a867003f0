//! A pool that changes its user gets new sockets at its addresses. Processes of the former user have the old ones open and could accept
//! connections that are meant for the new user. A new socket waits beside the old one until its generation serves, then new
//! connections go to it.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{getsockopt, setsockopt, sockopt};

use crate::plan::fleet::GenerationId;
use crate::supervisor::sockets::background::{Background, Placed};
use crate::supervisor::sockets::claim::Claim;
use crate::supervisor::sockets::error::SocketError;
use crate::supervisor::sockets::listeners::{Listener, Sockets};
use crate::supervisor::sockets::open;
use crate::supervisor::sockets::options::SocketOptions;
use crate::supervisor::sockets::waits::{Opened, Waits};
use crate::sys::{listen, shared_port};

impl Listener {
    /// Whether another user's pool names it, or has named it before it was stored, whose processes may have it open for as long as they run.
    pub(super) fn is_of_another_user(&self, claim: Claim<'_>, pool: &str) -> bool {
        let raw = self.fd.as_raw_fd();
        let stored_for_another = self.owners.is_empty() && self.user.is_some() && self.user != (claim.user)(pool);
        stored_for_another
            || self.owners.iter().any(|owner| owner.id != claim.owner && (claim.is_foreign)(pool, owner.id, raw))
    }

    /// Opens another TCP socket at its address.
    ///
    /// # Errors
    /// Why that is not possible.
    pub(super) fn open_beside(&self, spec: &str, options: &SocketOptions) -> Result<Opened, SocketError> {
        let opened = self.open_at_port(options).map_err(|e| match e.raw_os_error() {
            Some(libc::EADDRINUSE) => SocketError::Held { pool: options.pool.clone(), address: spec.to_owned() },
            _ => SocketError::bind(spec, e),
        })?;
        Ok((opened, Some(Waits::AtPort)))
    }

    fn open_at_port(&self, options: &SocketOptions) -> io::Result<OwnedFd> {
        let address = self.bound.ok_or(Errno::EADDRNOTAVAIL)?;
        let fd = open::tcp_socket(address)?;
        if address.is_ipv6() {
            setsockopt(&fd, sockopt::Ipv6V6Only, &getsockopt(&self.fd, sockopt::Ipv6V6Only)?)?;
        }
        shared_port::share(&fd)?;
        shared_port::beside(&self.fd, || open::bind_at(address, &fd))?;
        shared_port::beside(&self.fd, || listen::listen(&fd, options.backlog))?;
        // Otherwise the new socket gets some connections already, or all, which wait in its queue.
        let _ = shared_port::choose(&fd, 0);
        Ok(fd)
    }
}

impl Sockets {
    /// Whether others listen in place of TCP sockets of that generation.
    pub(crate) fn has_replaced(&self, id: GenerationId) -> bool {
        self.all.iter().any(|l| l.replaced && l.bound.is_some() && l.is_of(id))
    }

    /// Those generations serve from now on: new connections go to their sockets, and no longer to those of former users.
    pub(crate) fn switch(&mut self, serves: impl Fn(GenerationId) -> bool) {
        for at in 0..self.all.len() {
            let listener = &mut self.all[at];
            if listener.waits.is_none() || !listener.owners.iter().any(|owner| serves(owner.id)) {
                continue;
            }
            let Some(waits) = listener.waits.take() else { continue };
            let (name, bound) = (listener.name.clone(), listener.bound);
            // An address may have several names.
            let is_same = |l: &Listener| if bound.is_some() { l.bound == bound } else { l.name == name };
            // A former image of the supervisor may have begun this already.
            let is_former = |l: &Listener| l.waits.is_none() && is_same(l);
            let former = (0..at).rfind(|other| is_former(&self.all[*other]));
            if let Some(former) = former {
                self.all[former].replaced = true;
            }
            let former = former.and_then(|former| self.all[former].fd.try_clone().ok());
            self.take_place(at, waits, former);
        }
        self.wait_briefly();
    }

    fn take_place(&mut self, at: usize, waits: Waits, former: Option<OwnedFd>) {
        let Listener { name, fd, .. } = &self.all[at];
        match waits {
            // If the kernel refuses, both sockets get connections until the former one is closed.
            Waits::AtPort => drop(shared_port::choose(fd, 1)),
            Waits::As(file) => {
                if let Ok(socket) = fd.try_clone() {
                    let placed = Placed { name: name.clone(), file, socket, former, cleared: false };
                    self.background.push(Background::place(placed));
                }
            }
        }
    }
}

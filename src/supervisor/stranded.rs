//! Clients that wait at an address which a reload takes from their pool. Its workers serve them before they leave; but they may all have
//! died, or be inside long requests. So when others serve in place of their generation, those that still wait go to these.

use std::os::fd::{OwnedFd, RawFd};

use crate::config::AllowedClients;
use crate::ipc::ToZygote;
use crate::log::{self, messages::sockets as messages};
use crate::plan::fleet::{Event, GenerationId, PoolKey, ZygoteKey};
use crate::supervisor::core::Supervisor;
use crate::supervisor::generation::GroupRuntime;
use crate::sys::message;

/// A socket whose clients go to another pool.
struct Stranded {
    socket: RawFd,
    allowed: AllowedClients,
    to: PoolKey,
}

impl Supervisor {
    /// Others serve in place of that generation: sockets that only it names close.
    pub(super) fn replaced(&mut self, id: GenerationId) {
        for Stranded { socket, allowed, to } in self.stranded(id) {
            if let Err(e) = self.hand_over(socket, &allowed, to) {
                log::say(&messages::waiting_clients_lost(self.runtimes.pool_name(to), e));
            }
        }
        self.sockets.drop_owner(id);
    }

    fn stranded(&mut self, id: GenerationId) -> Vec<Stranded> {
        let Self { fleet, runtimes, sockets, .. } = self;
        let serving = || fleet.generations().iter().filter(|g| g.serves()).map(|g| g.id).collect::<Vec<_>>();
        let groups = runtimes.get(id).into_iter().flat_map(|runtime| &runtime.groups);
        let mut all = Vec::new();
        for (spec, (pool, _)) in groups.flat_map(|g| GroupRuntime::pools(g).map(|pool| (&g.spec, pool))) {
            let mut closing = pool.listen_fds.iter().filter(|raw| sockets.strands_clients(**raw, id)).peekable();
            if closing.peek().is_none() {
                continue;
            }
            let Some(to) = runtimes.successor_of(&serving(), spec, pool) else { continue };
            let allowed = &pool.config.listen_allowed_clients;
            all.extend(closing.map(|socket| Stranded { socket: *socket, allowed: allowed.clone(), to }));
        }
        all
    }

    fn hand_over(&mut self, socket: RawFd, allowed: &AllowedClients, to: PoolKey) -> std::io::Result<()> {
        let (ours, theirs) = message::pair()?;
        self.sockets.hand_over(socket, allowed, &ours)?;
        self.adopt(to, theirs);
        Ok(())
    }

    /// A pool's zygote takes connections from that link. One that sleeps is started.
    fn adopt(&mut self, PoolKey { zygote, pool }: PoolKey, link: OwnedFd) {
        if self.runtimes.zygote(zygote).is_some() || self.bases.orders_mut(zygote).is_some() {
            self.send(zygote, &ToZygote::Adopt { pool }, vec![link]);
        } else {
            self.links.push((zygote.of_pool(pool), link));
            self.pending.push_back(Event::Connection(zygote));
        }
    }

    /// A zygote is being started: it gets the links that were kept for it.
    pub(super) fn send_links(&mut self, key: ZygoteKey) {
        let links: Vec<_> = self.links.extract_if(.., |(pool, _)| pool.zygote == key).collect();
        links.into_iter().for_each(|(pool, link)| self.adopt(pool, link));
    }
}

//! Generations that drain: their workers accept nothing new, their sockets may close, and their kept connections go to others.

use std::os::fd::OwnedFd;

use crate::ipc::ToZygote;
use crate::plan::fleet::{GenerationId, Goal, PoolKey, ZygoteKey};
use crate::supervisor::core::Supervisor;
use crate::supervisor::generation::GroupRuntime;
use crate::sys::message;

impl Supervisor {
    pub(super) fn drain(&mut self, id: GenerationId) {
        let successors = self.fleet.generation(id).map(|g| g.successors.clone()).unwrap_or_default();
        self.end_listening(id, &successors);
        let finishing = self.fleet.goal() != Goal::Terminate;
        let Some(runtime) = self.runtimes.get_mut(id) else { return };
        for (spec, pool) in runtime.groups.iter().flat_map(GroupRuntime::pools) {
            (0..spec.slots).for_each(|slot| pool.scoreboard.ask_to_drain(slot));
        }
        // Workers that are about to get SIGTERM are not woken before: hundreds of them would shut PHP down at once.
        if finishing {
            runtime.groups.iter_mut().for_each(|group| group.drain.begin());
        }
        self.link_all(id);
    }

    /// Tells the zygotes of a draining generation where their kept connections go.
    pub(super) fn link_all(&mut self, id: GenerationId) {
        let successors = self.fleet.generation(id).map(|g| g.successors.clone()).unwrap_or_default();
        for group in 0..self.runtimes.get(id).map_or(0, |runtime| runtime.groups.len()) {
            let key = ZygoteKey { generation: id, group };
            let (pools, fds) = self.link(key, &successors);
            self.send(key, &ToZygote::Drain { pools }, fds);
        }
    }

    /// Sockets that no later generation serves lose their paths. Before they leave, workers of this one are to serve the connections
    /// that wait there, and those that are inside a pool that ends.
    fn end_listening(&mut self, id: GenerationId, successors: &[GenerationId]) {
        let given_up = self.fleet.generation(id).is_some_and(|g| g.given_up);
        let all = match self.fleet.goal() {
            Goal::Finish => true,
            Goal::Serve if !given_up => false,
            // It could not start: what is open for others stays.
            Goal::Serve => return self.sockets.withdraw(id),
            // It ends at once.
            Goal::Terminate => return,
        };
        if !all {
            self.switch_sockets();
            self.sockets.leave(&[id]);
        }
        self.sockets.unlink(all);
        let Some(runtime) = self.runtimes.get(id) else { return };
        let of_group = |g| GroupRuntime::pools(g).map(move |pool| (&g.spec, pool));
        for (spec, (pool, resources)) in runtime.groups.iter().flat_map(of_group) {
            let closing = self.sockets.closing(&pool.listen_fds, all);
            let goes_on = !all && self.runtimes.successor_of(successors, spec, pool).is_some();
            if closing != 0 || !goes_on {
                (0..pool.slots).for_each(|slot| resources.scoreboard.announce_closing(slot, closing));
            }
        }
    }

    /// New connections go to the sockets of generations that serve, and no longer to those of former users.
    pub(super) fn switch_sockets(&mut self) {
        let generations = self.fleet.generations();
        self.sockets.switch(|id| generations.iter().any(|g| g.id == id && g.serves()));
    }

    /// Socket pairs for kept connections: from each pool of a zygote to the pool of another generation where it goes on. Returns the
    /// indices of the pools that go on, and a socket for each.
    fn link(&mut self, from: ZygoteKey, to: &[GenerationId]) -> (Vec<usize>, Vec<OwnedFd>) {
        let Some(spec) = self.runtimes.group(from).map(|group| &group.spec) else { return Default::default() };
        let of_pools = spec.pools.iter().map(|pool| self.runtimes.successor_of(to, spec, pool)).enumerate();
        let successors: Vec<_> = of_pools.filter_map(|(index, successor)| Some((index, successor?))).collect();
        let (mut pools, mut fds) = (Vec::new(), Vec::new());
        for (index, PoolKey { zygote, pool }) in successors {
            let Ok((ours, theirs)) = message::pair() else { continue };
            self.send(zygote, &ToZygote::Adopt { pool }, vec![theirs]);
            pools.push(index);
            fds.push(ours);
        }
        (pools, fds)
    }
}

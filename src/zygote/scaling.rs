//! Pools whose number of workers changes: notices that a connection waits while no worker of the pool sleeps.
//!
//! The zygote waits for the pool's listening sockets and its hand-over queue, as the last in line: EPOLLEXCLUSIVE
//! wakes in the order of registration, so the zygote is woken only if no sleeping worker takes the connection. It
//! reports that to the supervisor, and checks again a moment later.
#![forbid(unsafe_code)]

use std::os::fd::OwnedFd;

use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};

use super::demand::{DEFERRALS, LATEST, SOONEST, nearest};
use super::event_source::EventSource;
use super::pool::ZygotePool;
use super::state::Zygote;
use crate::ipc::ToSupervisor;
use crate::ipc::handover;
use crate::scoreboard::Readiness;
use crate::sys::clock::{self, Moment};
use crate::sys::socket::has_input;

impl ZygotePool {
    fn connection_sources(&self) -> impl Iterator<Item = &OwnedFd> {
        self.listeners.iter().chain([&self.queue.1])
    }

    /// Registers at the end of the wake-up order. If something waits already, the next `epoll_wait` returns it.
    fn watch(&mut self, epoll: &Epoll, source: EventSource) {
        self.unwatch(epoll);
        let event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE, source.pack());
        for fd in self.connection_sources() {
            let _ = epoll.add(fd, event);
        }
        if let Some(demand) = &mut self.demand {
            demand.watched = true;
            demand.again = None;
        }
    }

    pub(super) fn unwatch(&mut self, epoll: &Epoll) {
        if self.demand.as_ref().is_some_and(|d| d.watched) {
            for fd in self.connection_sources() {
                let _ = epoll.delete(fd);
            }
        }
        if let Some(demand) = &mut self.demand {
            demand.watched = false;
            demand.again = None;
        }
    }
}

impl Zygote {
    pub(super) fn watch_demand(&mut self) {
        for index in 0..self.pools.len() {
            self.watch_again(index);
        }
    }

    /// A worker of that pool has started or ended: registers after it in the wake-up order, and notices what it
    /// didn't take.
    pub(super) fn watch_again(&mut self, index: usize) {
        let Ok(source) = u32::try_from(index).map(EventSource::Demand) else { return };
        if let Some(pool) = self.pools.get_mut(index).filter(|p| p.demand.is_some() && !self.draining) {
            pool.watch(&self.epoll, source);
        }
    }

    /// The zygote was woken: no worker sleeps, or a sleeping one was not woken.
    pub(super) fn demanded(&mut self, pool: u32) {
        let Some(index) = usize::try_from(pool).ok().filter(|i| *i < self.pools.len()) else { return };
        let now = clock::now();
        self.pools[index].unwatch(&self.epoll);
        if self.draining {
            return;
        }
        let Some(demand) = &mut self.pools[index].demand else { return };
        let gap = now.since(demand.last);
        let calm = gap > LATEST * 2;
        if gap > SOONEST * 2 {
            demand.deferred = 0;
        }
        demand.pause = if calm { SOONEST } else { (demand.pause * 2).min(LATEST) };
        demand.last = now;
        demand.again = Some(now + demand.pause);
        let patient = calm && demand.patient;
        if self.has_idle(index) {
            handover::send_rescan(&self.pools[index].queue.0);
        }
        if patient {
            return;
        }
        let (short, coming) = self.short(index);
        let short = short - self.granted(index, short.min(coming), now);
        // If the supervisor reads too slowly, no message is added: the next check comes soon.
        if short > 0 && !self.reports.is_backed_up() {
            self.report(&ToSupervisor::Demand { pool: index, waiting: short });
        }
    }

    /// How many connections wait without a free worker, and how many workers will be free in a moment. Workers are
    /// checked before and after the connections are counted: in between a worker may have taken a connection, or
    /// answered the client that has just come back, or both.
    fn short(&mut self, index: usize) -> (u32, u32) {
        let before = self.readiness(index);
        let waiting = self.waiting(index);
        let after = self.readiness(index);
        let best: Vec<_> = before.into_iter().zip(after).map(|(before, after)| nearest(before, after)).collect();
        let count = |wanted| u32::try_from(best.iter().filter(|r| **r == wanted).count()).unwrap_or(u32::MAX);
        (waiting.saturating_sub(count(Readiness::Free)), count(Readiness::Soon))
    }

    /// The readiness of each worker, and when its last request began.
    fn readiness(&self, index: usize) -> Vec<(Readiness, u64)> {
        let scoreboard = &self.pools[index].scoreboard;
        self.children.of_pool(index).map(|slot| (scoreboard.readiness(slot), scoreboard.begun(slot))).collect()
    }

    /// How many of the `wanted` connections are left for a moment to workers that will soon be free.
    fn granted(&mut self, index: usize, wanted: u32, now: Moment) -> u32 {
        let Some(demand) = &mut self.pools[index].demand else { return 0 };
        if wanted == 0 || demand.deferred >= DEFERRALS {
            return 0;
        }
        demand.deferred += 1;
        demand.again = Some(now + SOONEST);
        wanted
    }

    /// How many connections wait. Those in the hand-over queue count as one.
    fn waiting(&mut self, index: usize) -> u32 {
        let pool = &self.pools[index];
        let mut waiting = u32::from(handover::holds_connection(&pool.queue.1));
        for listener in &pool.listeners {
            let queue = self.inspector.backlog(listener).map(|q| q.waiting);
            let queue = queue.unwrap_or_else(|| u32::from(has_input(listener)));
            waiting = waiting.saturating_add(queue);
        }
        waiting
    }

    fn has_idle(&self, index: usize) -> bool {
        self.pools.get(index).is_some_and(|p| self.children.of_pool(index).any(|slot| p.scoreboard.is_idle(slot)))
    }

    /// Watches the pools again whose time has come; returns the next time.
    pub(super) fn renew_demand(&mut self, now: Moment) -> Option<Moment> {
        let due = |p: &ZygotePool| p.demand.as_ref().and_then(|d| d.again);
        let over: Vec<usize> =
            (0..self.pools.len()).filter(|&i| due(&self.pools[i]).is_some_and(|at| at <= now)).collect();
        over.into_iter().for_each(|index| self.watch_again(index));
        self.pools.iter().filter_map(due).min()
    }

    /// The supervisor doesn't need this zygote: it exits, unless it holds connections or may still get some.
    pub(super) fn release(&mut self) {
        self.sweep();
        let linked = self.pools.iter().any(|p| !p.links.is_empty());
        if linked || self.parking.len() > 0 || !self.children.is_empty() {
            self.report(&ToSupervisor::Stays);
        } else {
            self.leaving = true;
        }
    }
}

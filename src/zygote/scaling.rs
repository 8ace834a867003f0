//! Pools that scale: noticing that a connection waits and that none of the pool's workers sleeps.
//!
//! The zygote waits for the pool's listening sockets and its hand-over queue as the last in line (EPOLLEXCLUSIVE wakes in the
//! order of registration), so it is woken only for what no sleeping worker takes. It says so, and looks again a moment later.
#![forbid(unsafe_code)]

use std::os::fd::{AsFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};

use super::demand::{DEFERRALS, LATEST, SOONEST, nearest};
use super::event_source::EventSource;
use super::pool::ZygotePool;
use super::state::Zygote;
use crate::ipc::ToSupervisor;
use crate::ipc::handover;
use crate::scoreboard::Readiness;
use crate::sys::clock::{self, Moment};

impl ZygotePool {
    fn connection_sources(&self) -> impl Iterator<Item = &OwnedFd> {
        self.listeners.iter().chain([&self.queue.1])
    }

    /// To the end of the line. If something waits already, the next `epoll_wait` tells.
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

/// A connection waits there.
fn has_waiting_connection(listener: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|count| count > 0)
}

impl Zygote {
    pub(super) fn watch_demand(&mut self) {
        for index in 0..self.pools.len() {
            self.watch_again(index);
        }
    }

    /// A worker of that pool has come or gone: behind it in the line, or for what it didn't take.
    pub(super) fn watch_again(&mut self, index: usize) {
        let Ok(source) = u32::try_from(index).map(EventSource::Demand) else { return };
        if let Some(pool) = self.pools.get_mut(index).filter(|p| p.demand.is_some() && !self.draining) {
            pool.watch(&self.epoll, source);
        }
    }

    /// Nobody sleeps, or the one who does was passed over.
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
        // A supervisor that is behind with hearing is not told more: it is looked at again soon.
        if short > 0 && !self.reports.is_backed_up() {
            self.report(&ToSupervisor::Demand { pool: index, waiting: short });
        }
    }

    /// How many wait for whom no worker is free, and how many workers are about to be. Looked at before and behind the count of those who
    /// wait: a worker may have taken one of them meanwhile, or may have answered the one who is back, or both.
    fn short(&mut self, index: usize) -> (u32, u32) {
        let before = self.readiness(index);
        let waiting = self.waiting(index);
        let after = self.readiness(index);
        let best: Vec<_> = before.into_iter().zip(after).map(|(before, after)| nearest(before, after)).collect();
        let count = |wanted| u32::try_from(best.iter().filter(|r| **r == wanted).count()).unwrap_or(u32::MAX);
        (waiting.saturating_sub(count(Readiness::Free)), count(Readiness::Soon))
    }

    /// Of each worker, with its last request.
    fn readiness(&self, index: usize) -> Vec<(Readiness, u64)> {
        let scoreboard = &self.pools[index].scoreboard;
        self.children.of_pool(index).map(|slot| (scoreboard.readiness(slot), scoreboard.begun(slot))).collect()
    }

    /// As many as can be left to workers that are about to be free, for a moment.
    fn granted(&mut self, index: usize, wanted: u32, now: Moment) -> u32 {
        let Some(demand) = &mut self.pools[index].demand else { return 0 };
        if wanted == 0 || demand.deferred >= DEFERRALS {
            return 0;
        }
        demand.deferred += 1;
        demand.again = Some(now + SOONEST);
        wanted
    }

    /// How many connections wait. Of those that were handed over, one tells of all.
    fn waiting(&mut self, index: usize) -> u32 {
        let pool = &self.pools[index];
        let mut waiting = u32::from(handover::holds_connection(&pool.queue.1));
        for listener in &pool.listeners {
            let queue = self.inspector.backlog(listener).map(|q| q.waiting);
            let queue = queue.unwrap_or_else(|| u32::from(has_waiting_connection(listener)));
            waiting = waiting.saturating_add(queue);
        }
        waiting
    }

    fn has_idle(&self, index: usize) -> bool {
        self.pools.get(index).is_some_and(|p| self.children.of_pool(index).any(|slot| p.scoreboard.is_idle(slot)))
    }

    /// Watches again what is due; says when the next one is.
    pub(super) fn renew_demand(&mut self, now: Moment) -> Option<Moment> {
        let due = |p: &ZygotePool| p.demand.as_ref().and_then(|d| d.again);
        let over: Vec<usize> =
            (0..self.pools.len()).filter(|&i| due(&self.pools[i]).is_some_and(|at| at <= now)).collect();
        over.into_iter().for_each(|index| self.watch_again(index));
        self.pools.iter().filter_map(due).min()
    }

    /// Nobody needs this zygote: it goes, unless it keeps connections or some may still come to it.
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

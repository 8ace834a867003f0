//! How a worker waits, and what it does when nothing comes.

use std::io;
use std::time::Duration;

use super::ServeLoop;
use crate::engine::Engine;
use crate::ipc::handover::Connection;
use crate::scoreboard::Counter;
use crate::sys::{clock, idle_memory};
use crate::worker::sources::{Sources, Woken};

/// What the worker was woken for.
pub(super) struct Work {
    /// A connection from the pool's sockets or queue.
    pub(super) next: Option<Connection>,
    /// A bit for each retained connection that is ready to be read.
    pub(super) retained: u32,
}

impl<E: Engine> ServeLoop<'_, E> {
    /// Sleeps until something comes. Serves the held connection itself; returns the others that are to be served.
    pub(super) fn wait(&mut self) -> io::Result<Work> {
        let holding = self.exchange.connection().is_some();
        if let Some(held) = self.exchange.connection() {
            self.sources.list(held)?;
        }
        if holding || !self.retained.is_empty() {
            self.sources.go_last(self.intake.listeners(), &self.intake.queues().queue)?;
        }
        let first_byte = self.first_byte_until.filter(|_| holding);
        let ends = first_byte.into_iter().chain(self.release.due()).map(|at| at.since(clock::now()));
        let woken = self.sleep(ends.chain(self.stop_signal.time_left()).min())?;
        if woken == Woken::default() {
            self.release_memory_if_due();
        }
        if first_byte.is_some_and(|end| woken == Woken::default() && end <= clock::now()) {
            self.close_held();
        }
        if woken.control {
            self.control.hear();
        }
        if woken.held && !holding {
            self.renew_sources()?;
        }
        self.leaving |= woken.drain;
        let mut taken = self.intake.take_woken(&woken);
        if woken.held && holding {
            self.holds.paid();
            taken.into_iter().for_each(|other| self.pass(other));
            self.serve();
            return Ok(Work { next: None, retained: woken.retained });
        }
        let next = taken.pop_front();
        taken.into_iter().for_each(|other| self.pass(other));
        if next.is_some() && holding {
            self.slot.count(Counter::Disrupted);
            self.holds.in_vain();
            if self.holds.is_in_favour() {
                self.sources.forget_place();
            }
        }
        Ok(Work { next, retained: woken.retained })
    }

    /// Waits until something comes, for `limit` at most. A new worker that has nothing to do makes its engine ready before.
    fn sleep(&mut self, limit: Option<Duration>) -> io::Result<Woken> {
        if self.cold && self.stop_signal.time_left().is_none() {
            let woken = self.sources.wait(Some(Duration::ZERO))?;
            if woken != Woken::default() {
                return Ok(woken);
            }
            self.cold = false;
            let served = self.engine.warm_up();
            self.note_served(served);
            if self.leaving {
                return Ok(woken);
            }
        }
        self.sources.wait(limit)
    }

    /// Returns memory that only requests need, and leaves connections that are seldom used to the zygote: as long as there are any, it looks
    /// after them all the time.
    fn release_memory_if_due(&mut self) {
        if self.release.has_come(clock::now()) {
            self.give_retained();
            self.engine.release_memory();
            self.exchange.release_memory();
            idle_memory::release();
        }
    }

    /// Makes a new epoll set. A connection that this worker no longer holds may stay open elsewhere and would still
    /// wake it: in the zygote, if a script has continued after its answer, or in a process that a script has forked.
    pub(super) fn renew_sources(&mut self) -> io::Result<()> {
        let intake = &self.intake;
        self.sources = self
            .control
            .with_descriptor(|fd| Sources::new(intake.listeners(), &intake.queues().queue, &self.drain, fd))?;
        self.retained.move_to(self.sources.epoll())
    }
}

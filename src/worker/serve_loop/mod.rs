//! The main loop of a worker: waits for connections, serves one and hands the others over.
#![forbid(unsafe_code)]

mod connections;
mod partial;
mod remaining;
mod serving;
mod stop_signal;

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::intake::Intake;
use super::lifetime::Lifetime;
use super::pages::Pages;
use super::predictor::Predictor;
use super::sources::{Sources, Woken};
use super::tracker::RequestTracker;
use super::zygote_channel::ZygoteChannel;
use crate::config::PoolConfig;
use crate::engine::Engine;
use crate::exchange::Exchange;
use crate::ipc::WorkerSays;
use crate::ipc::handover::Connection;
use crate::request::Stage;
use crate::scoreboard::{Counter, Slot};
use crate::sys::clock::{self, Moment};
use crate::sys::idle_memory::{self, ReleaseTimer};
use crate::sys::signal;
use stop_signal::StopSignal;

/// One request in so many is a trial to hold the connection, where that was in vain.
const HOLDS_PROBE: u32 = 16;
/// One new connection in so many is a trial to wait for its first byte.
const WAITS_PROBE: u32 = 33;

/// The state of a worker.
pub(super) struct ServeLoop<'a, E> {
    engine: &'a mut E,
    exchange: Exchange,
    tracker: Rc<RequestTracker>,
    pages: Pages,
    slot: Rc<Slot>,
    intake: Intake,
    control: Rc<ZygoteChannel>,
    drain: OwnedFd,
    sources: Sources,
    /// Whether it holds a connection between two requests.
    holds: Predictor,
    /// The supervisor catches stdout and stderr.
    caught: bool,
    /// `request_drop_abandoned`
    drops_abandoned: bool,
    /// Nothing was received yet on the held connection. It is closed at that time.
    first_byte_until: Option<Moment>,
    /// Whether it waits for the first byte of a new connection.
    waits: Predictor,
    lifetime: Lifetime,
    stop_signal: StopSignal,
    leaving: bool,
    /// The engine must not be given another request.
    spent: bool,
    /// It has served no request yet, and its engine is to be made ready when there is nothing else to do.
    cold: bool,
    release: ReleaseTimer,
}

impl<'a, E: Engine> ServeLoop<'a, E> {
    /// Makes the loop.
    ///
    /// # Errors
    /// The epoll set can't be made.
    pub(super) fn new(
        engine: &'a mut E,
        (exchange, tracker): (Exchange, Rc<RequestTracker>),
        slot: Rc<Slot>,
        intake: Intake,
        (control, drain): (Rc<ZygoteChannel>, OwnedFd),
        pool: &PoolConfig,
        (lifetime, cold): (Lifetime, bool),
    ) -> io::Result<Self> {
        let sources =
            control.with_descriptor(|fd| Sources::new(intake.listeners(), &intake.queues().queue, &drain, fd))?;
        let pages = Pages::new(pool, || engine.powered_by());
        let holds = Predictor::new(HOLDS_PROBE);
        Ok(Self {
            engine,
            exchange,
            tracker,
            pages,
            slot,
            intake,
            control,
            drain,
            sources,
            holds,
            caught: pool.catch_workers_output,
            drops_abandoned: pool.request_drop_abandoned,
            first_byte_until: None,
            waits: Predictor::new(WAITS_PROBE),
            lifetime,
            stop_signal: StopSignal::default(),
            leaving: false,
            spent: false,
            cold,
            release: ReleaseTimer::default(),
        })
    }

    /// Serves until the worker has to exit; then it holds no connection, and the zygote knows. Returns false if it
    /// exits because its engine can't serve any more.
    ///
    /// # Errors
    /// The wait failed: the worker can't go on.
    pub(super) fn run(&mut self) -> io::Result<bool> {
        self.slot.stage(Stage::Idle);
        self.control.say(WorkerSays::Accepting);
        self.release.restart();
        while !self.is_leaving() {
            let ahead = if self.sources.is_listed() { None } else { self.intake.take_before_sleep() };
            let next = match ahead {
                Some(next) => Some(next),
                None => self.wait()?,
            };
            if let Some(next) = next {
                self.cold = false;
                self.park_held();
                self.hold(next);
                self.serve();
            }
        }
        if let Some(closing) = self.slot.closing().or_else(|| self.control.is_zygote_leaving().then_some(0)) {
            self.serve_remaining(closing);
        }
        self.park_held();
        if self.control.is_retired() && signal::is_blocked(Signal::SIGQUIT) {
            self.await_kill();
        }
        self.control.say(WorkerSays::Left);
        Ok(!self.spent)
    }

    fn is_leaving(&self) -> bool {
        let control = &self.control;
        let told =
            control.is_zygote_gone() || control.is_retired() || control.is_zygote_leaving() || self.slot.drain_asked();
        self.leaving || told || self.stop_signal.is_due()
    }

    /// Sleeps until something comes. Serves the held connection itself; returns any other one, to be served.
    fn wait(&mut self) -> io::Result<Option<Connection>> {
        let holding = self.exchange.connection().is_some();
        if let Some(held) = self.exchange.connection() {
            self.sources.list(held)?;
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
            return Ok(None);
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
        Ok(next)
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

    /// Returns memory that only requests need.
    fn release_memory_if_due(&mut self) {
        if self.release.has_come(clock::now()) {
            self.engine.release_memory();
            self.exchange.release_memory();
            idle_memory::release();
        }
    }

    /// Makes a new epoll set. A connection that this worker no longer holds may stay open elsewhere and would still
    /// wake it: in the zygote, if a script has continued after its answer, or in a process that a script has forked.
    fn renew_sources(&mut self) -> io::Result<()> {
        let intake = &self.intake;
        self.sources = self
            .control
            .with_descriptor(|fd| Sources::new(intake.listeners(), &intake.queues().queue, &self.drain, fd))?;
        Ok(())
    }

    /// Waits to be killed. A script that has blocked SIGQUIT keeps its process from exiting by itself. As in php-fpm,
    /// the process is then killed a second later, and a new one takes its place.
    fn await_kill(&self) {
        const MOMENT: Duration = Duration::from_millis(100);
        for _ in 0..100 {
            self.control.hear();
            if self.control.is_zygote_gone() {
                return;
            }
            std::thread::sleep(MOMENT);
        }
    }
}

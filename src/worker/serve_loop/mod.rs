//! A worker's life between set-up and exit: wait, take, serve, and pass on what is not for it.
#![forbid(unsafe_code)]

mod aside;
mod farewell;
mod quit;

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::control::Control;
use super::intake::Intake;
use super::lifetime::Lifetime;
use super::pages::Pages;
use super::predictor::Predictor;
use super::sources::{Sources, Woken};
use crate::config::PoolConfig;
use crate::engine::{Engine, Served};
use crate::exchange::{Arrival, Exchange, NotRun};
use crate::ipc::handover::{Connection, ConnectionState};
use crate::ipc::{MARK, WorkerSays};
use crate::log;
use crate::request::{Description, Outcome, Stage};
use crate::scoreboard::{Counter, Slot};
use crate::sys::signal;
use farewell::LAST_CHANCE;
use quit::Quit;

/// A connection that brings no first byte is closed after this (php-fpm's five seconds).
const FIRST_BYTE: Duration = Duration::from_secs(5);

/// What a worker works with.
pub struct ServeLoop<'a, E> {
    engine: &'a mut E,
    exchange: Exchange,
    pages: Pages,
    slot: Rc<Slot>,
    intake: Intake,
    control: Rc<Control>,
    drain: OwnedFd,
    sources: Sources,
    predictor: Predictor,
    /// The supervisor reads stdout and stderr.
    caught: bool,
    /// `request_drop_abandoned`
    drops_abandoned: bool,
    /// Nothing was received on the held connection yet.
    fresh: bool,
    lifetime: Lifetime,
    quit: Quit,
    leaving: bool,
    /// The engine must not be given another request.
    spent: bool,
}

impl<'a, E: Engine> ServeLoop<'a, E> {
    /// Ready to run.
    ///
    /// # Errors
    /// Those of epoll.
    pub fn new(
        engine: &'a mut E,
        exchange: Exchange,
        slot: Rc<Slot>,
        intake: Intake,
        (control, drain): (Rc<Control>, OwnedFd),
        pool: &PoolConfig,
        lifetime: Lifetime,
    ) -> io::Result<Self> {
        let sources =
            control.with_descriptor(|fd| Sources::new(intake.listeners(), &intake.queues().queue, &drain, fd))?;
        let pages = Pages::new(pool, || engine.powered_by());
        let predictor = Predictor::default();
        Ok(Self {
            engine,
            exchange,
            pages,
            slot,
            intake,
            control,
            drain,
            sources,
            predictor,
            caught: pool.catch_workers_output,
            drops_abandoned: pool.request_drop_abandoned,
            fresh: false,
            lifetime,
            quit: Quit::default(),
            leaving: false,
            spent: false,
        })
    }

    /// Serves until the worker is to leave; then nothing is in hand and the zygote has been told. False if it leaves because its
    /// engine is spent.
    ///
    /// # Errors
    /// Those of epoll: the worker can't go on.
    pub fn run(&mut self) -> io::Result<bool> {
        self.slot.stage(Stage::Idle);
        self.control.say(WorkerSays::Accepting);
        while !self.is_leaving() {
            let ahead = if self.sources.is_listed() { None } else { self.intake.look_ahead() };
            let next = match ahead {
                Some(next) => Some(next),
                None => self.wait()?,
            };
            if let Some(next) = next {
                self.park_held();
                self.hold(next);
                self.serve();
            }
        }
        if let Some(closing) = self.slot.closing().or_else(|| self.control.is_parting().then_some(0)) {
            self.say_farewell(closing);
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
        let told = control.is_gone() || control.is_retired() || control.is_parting() || self.slot.drain_asked();
        self.leaving || told || self.quit.is_due()
    }

    /// Sleeps until something comes. Serves the held connection itself; gives any other back to be served.
    fn wait(&mut self) -> io::Result<Option<Connection>> {
        let holding = self.exchange.connection().is_some();
        if let Some(held) = self.exchange.connection() {
            self.sources.list(held)?;
            self.sources.go_last(self.intake.listeners(), &self.intake.queues().queue)?;
        }
        let first_byte = (holding && self.fresh).then_some(FIRST_BYTE);
        let woken = self.sources.wait(first_byte.into_iter().chain(self.quit.patience()).min())?;
        if holding && self.fresh && woken == Woken::default() && !signal::quit_asked() {
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
            self.predictor.held_paid();
            taken.into_iter().for_each(|other| self.pass(other));
            self.serve();
            return Ok(None);
        }
        let next = taken.pop_front();
        taken.into_iter().for_each(|other| self.pass(other));
        if next.is_some() && holding {
            self.slot.count(Counter::Disrupted);
            self.predictor.held_in_vain();
            if self.predictor.favours_holding() {
                self.sources.forget_place();
            }
        }
        Ok(next)
    }

    /// A connection that isn't ours any more lives on elsewhere and would still wake us: with the zygote, where a script
    /// has gone on after its answer, or in a process that a script forked.
    fn renew_sources(&mut self) -> io::Result<()> {
        let intake = &self.intake;
        self.sources = self
            .control
            .with_descriptor(|fd| Sources::new(intake.listeners(), &intake.queues().queue, &self.drain, fd))?;
        Ok(())
    }

    fn hold(&mut self, (fd, kind): Connection) {
        self.fresh = matches!(kind, ConnectionState::New);
        match kind {
            ConnectionState::BetweenRequests | ConnectionState::New => self.exchange.attach(fd),
            ConnectionState::Partial(request) => aside::take_up(&mut self.exchange, fd, request),
        }
    }

    /// Serves what the held connection brings, until it brings no more at once.
    fn serve(&mut self) {
        loop {
            match self.next_request() {
                Arrival::Request => self.serve_one(),
                Arrival::NothingYet | Arrival::Unfinished => return,
                Arrival::Closed => return self.close_held(),
                Arrival::Refused(reason) => {
                    log::warning(format!("request refused: {reason}"));
                    return self.close_held();
                }
            }
            if !self.exchange.keeps() || self.spent {
                return self.close_held();
            }
            if !self.exchange.has_bytes() {
                break;
            }
        }
        if !self.sources.is_listed() && !self.is_leaving() && !self.predictor.hold_next() {
            self.park_held();
        }
    }

    fn serve_one(&mut self) {
        self.fresh = false;
        if !self.pages.serve(&mut self.exchange) && !self.drop_abandoned() {
            match self.engine.serve(&mut self.exchange) {
                Served::Ready => {}
                Served::Changed => self.leaving = true,
                Served::Spent => (self.spent, self.leaving) = (true, true),
            }
        }
        self.exchange.finish();
        if self.exchange.gave_away() && self.sources.is_listed() && self.renew_sources().is_err() {
            self.leaving = true;
        }
        self.mark_output();
        self.slot.stage(Stage::Idle);
        self.leaving |= self.lifetime.is_over();
    }

    /// `request_drop_abandoned`: whether nobody waits for the answer any more. Then it is noted, and no script runs.
    fn drop_abandoned(&self) -> bool {
        /// nginx's status for a client that has closed the connection.
        const CLIENT_CLOSED: u16 = 499;
        if !self.drops_abandoned || !self.exchange.is_abandoned() {
            return false;
        }
        let params = self.exchange.params();
        self.exchange.described(&Description::of(params));
        self.exchange.not_run(NotRun::Abandoned);
        let variable = |name: &[u8]| params.get_c(name).map(CStr::to_bytes);
        let none = |_: &[u8]| None;
        self.exchange.ended(&Outcome { status: CLIENT_CLOSED, memory_peak: 0, header: &none, variable: &variable });
        true
    }

    /// Where the supervisor reads what is written to stderr: the request's part of it ends here.
    fn mark_output(&self) {
        if self.caught {
            let _ = nix::unistd::write(std::io::stderr(), MARK);
        }
    }

    fn close_held(&mut self) {
        self.sources.unlist(self.exchange.connection());
        self.exchange.close();
        self.slot.stage(Stage::Idle);
    }

    /// Gives the held connection to the zygote. Where that is gone, the peer may still send: it is served until it closes.
    fn park_held(&mut self) {
        self.sources.unlist(self.exchange.connection());
        let kind = if self.fresh { ConnectionState::New } else { ConnectionState::BetweenRequests };
        let Some(fd) = self.exchange.detach() else { return };
        match self.intake.queues().park((fd, kind)) {
            Ok(()) => self.slot.count(Counter::Parked),
            Err(connection) => self.see_off(connection),
        }
    }

    fn pass(&mut self, connection: Connection) {
        if let Err(connection) = self.intake.queues().pass(connection) {
            self.see_off(connection);
        }
    }

    /// Nobody else takes it: one second for a last request.
    fn see_off(&mut self, connection: Connection) {
        if self.exchange.connection().is_some() {
            return;
        }
        self.hold(connection);
        while !self.spent && self.exchange.arrive(LAST_CHANCE) == Arrival::Request {
            self.serve_one();
            if !self.exchange.keeps() {
                break;
            }
        }
        self.close_held();
    }

    /// A script that has blocked SIGQUIT in its process doesn't want it to leave by itself. As under php-fpm the
    /// process is then killed a second later, and another takes its place.
    fn await_kill(&self) {
        const MOMENT: Duration = Duration::from_millis(100);
        for _ in 0..100 {
            self.control.hear();
            if self.control.is_gone() {
                return;
            }
            std::thread::sleep(MOMENT);
        }
    }
}

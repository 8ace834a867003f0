//! The main loop of a worker: waits for connections, serves one and hands the others over.
#![forbid(unsafe_code)]

mod connections;
mod partial;
mod remaining;
mod retained;
mod serving;
mod stop_signal;
mod waiting;

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::intake::Intake;
use super::lifetime::Lifetime;
use super::pages::Pages;
use super::predictor::Predictor;
use super::retained::Retained;
use super::sources::Sources;
use super::tracker::RequestTracker;
use super::zygote_channel::ZygoteChannel;
use crate::config::{PoolConfig, ProcessManager};
use crate::engine::Engine;
use crate::exchange::Exchange;
use crate::ipc::WorkerSays;
use crate::ipc::retained::Holders;
use crate::request::Stage;
use crate::scoreboard::Slot;
use crate::sys::clock::Moment;
use crate::sys::idle_memory::ReleaseTimer;
use crate::sys::signal;
use stop_signal::StopSignal;
use waiting::Work;

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
    retained: Rc<Retained>,
    /// How many workers the pool may have, if their number changes.
    grows_to: u32,
    /// When a retained connection is next put into the queue because the pool can grow; in microseconds of the monotonic clock.
    shows_demand_at: u64,
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
    /// How many times its caches were cleared.
    caches_cleared: u64,
    /// When its zygote was ready.
    born: Moment,
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
        (slot, holders): (Rc<Slot>, &'static Holders),
        intake: Intake,
        (control, drain): (Rc<ZygoteChannel>, OwnedFd),
        pool: &PoolConfig,
        (lifetime, born, cold): (Lifetime, Moment, bool),
    ) -> io::Result<Self> {
        let sources =
            control.with_descriptor(|fd| Sources::new(intake.listeners(), &intake.queues().queue, &drain, fd))?;
        let pages = Pages::new(pool, || engine.powered_by());
        let retained = Rc::new(Retained::new(holders, slot.index(), Rc::clone(sources.epoll())));
        let (closing, parking) = (Rc::clone(&retained), connections::parking(&retained, &intake, &slot));
        let exchange = exchange.with_closing(Box::new(move |fd| closing.closing(fd))).with_parking(parking);
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
            retained,
            grows_to: if pool.pm == ProcessManager::Static { 0 } else { pool.pm_max_children },
            shows_demand_at: 0,
            holds,
            caught: pool.catch_workers_output,
            drops_abandoned: pool.request_drop_abandoned,
            first_byte_until: None,
            waits: Predictor::new(WAITS_PROBE),
            lifetime,
            // Not the present number: what the zygote has cached may be as old as itself.
            caches_cleared: 0,
            born,
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
            let waits = self.sources.is_listed() || !self.retained.is_empty();
            let ahead = if waits { None } else { self.intake.take_before_sleep() };
            let work = match ahead {
                Some(next) => Work { next: Some(next), retained: 0 },
                None => self.wait()?,
            };
            if let Some(next) = work.next {
                self.cold = false;
                self.put_away();
                self.hold(next);
                self.serve();
            }
            self.serve_retained(work.retained);
        }
        let closing = self.slot.closing().or_else(|| self.control.is_zygote_leaving().then_some(0));
        self.leave_retained(closing.is_some());
        if let Some(closing) = closing {
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

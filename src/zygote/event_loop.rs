//! The event loop of a zygote: orders of the supervisor, messages of workers, parked connections, workers that have
//! ended.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{EpollEvent, EpollTimeout};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;

use super::children::Child;
use super::connections::TURN;
use super::event_source::EventSource;
use super::fork::ForkedWorker;
use super::state::{Sender, Zygote};
use crate::ipc::handover;
use crate::ipc::{Incoming, ReportSender, ToSupervisor, ToWorker, ToZygote, WorkerSays};
use crate::log;
use crate::log::messages::{pools::access_log_not_passed_on, zygotes::zygote_cannot_wait};
use crate::sys::private_copy::CopiedPages;
use crate::sys::process_limits::{self, ProcessLimits};
use crate::sys::{clock, fd, idle_memory, process, processor, signal};
use crate::worker::{Place, WorkerSpec};

/// How long a zygote that exits waits until the supervisor has read its messages.
pub(super) const FLUSH_TIME: Duration = Duration::from_millis(100);
/// The time until a full queue is tried again.
const RETRY: Duration = Duration::from_millis(5);
/// The time until the log is tried again, if the supervisor doesn't read it.
const LOG_RETRY: Duration = Duration::from_millis(50);

/// How the event loop ended.
#[derive(Debug)]
pub(super) enum LoopEnd {
    /// The zygote exits. Its pipe to the supervisor stays open until then, because the supervisor kills a zygote
    /// without one.
    Exit(Box<ReportSender>),
    /// The zygote exits while workers are still inside requests.
    ExitBeforeWorkers(Box<ReportSender>),
    /// This process is a forked worker. It has dropped the zygote's state.
    Worker(Box<WorkerSpec>),
}

impl Zygote {
    /// PHP has started: reports `Ready` and registers everything that the event loop waits for. `places`: where
    /// the workers of each pool start; without them, at the default place.
    pub(super) fn ready(&mut self, places: Vec<Place>) -> io::Result<()> {
        for (pool, place) in self.pools.iter_mut().zip(places) {
            pool.place = place;
        }
        let signals = signal::descriptor(&[Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGQUIT])?;
        self.watch(&signals, EventSource::Signals)?;
        self.signals = Some(signals);
        self.watch(&self.orders, EventSource::Control)?;
        for (pool, p) in (0u32..).zip(&self.pools) {
            self.watch(&p.park.1, EventSource::Park(pool))?;
        }
        // Forks of the zygote count as its user's, those of php-fpm's master as root's. No code of the user runs in the
        // zygote any more.
        if self.processes.is_some_and(ProcessLimits::is_limited) {
            let _ = process_limits::raise_to_hard();
            self.report(&ToSupervisor::RemoveProcessLimit);
        }
        // A zygote from a base zygote has mapped few pages of files.
        if self.copied.is_none() {
            idle_memory::release_files();
        }
        self.report(&ToSupervisor::Ready);
        self.ready_at = Some(clock::now());
        // For the workers.
        processor::ask();
        self.watch_demand();
        self.release.restart();
        Ok(())
    }

    pub(super) fn run(mut self) -> LoopEnd {
        let mut events = [EpollEvent::empty(); 128];
        loop {
            let patience = self.patience();
            let count = match self.epoll.wait(&mut events, patience) {
                Ok(count) => count,
                Err(Errno::EINTR) => 0,
                Err(e) => {
                    log::say(&zygote_cannot_wait(e));
                    return LoopEnd::Exit(Box::new(self.reports));
                }
            };
            for event in &events[..count] {
                if let Some(forked) = EventSource::unpack(event.data()).and_then(|source| self.act(source)) {
                    return LoopEnd::Worker(forked.into_spec(self));
                }
            }
            self.reports.flush();
            self.children.flush();
            self.parking.flush(self.pools.as_slice());
            if self.leaving && (!self.parking.is_backed_up() || self.waits_no_longer(clock::now())) {
                let childless = self.children.is_empty();
                if childless || self.may_leave_workers(clock::now()) {
                    // Workers that stay must not keep their clients waiting.
                    self.settle_all_retained(clock::now());
                    if !childless {
                        self.parking.send_ready(&self.epoll, self.pools.as_slice());
                    }
                    if self.parking.is_backed_up() && !self.waits_no_longer(clock::now()) {
                        continue;
                    }
                    self.parking.close_all(&self.epoll);
                    log::drain(FLUSH_TIME);
                    let reports = Box::new(self.reports);
                    return if childless { LoopEnd::Exit(reports) } else { LoopEnd::ExitBeforeWorkers(reports) };
                }
            }
        }
    }

    fn patience(&mut self) -> EpollTimeout {
        let now = clock::now();
        let leave = self.follow_leave_request(now);
        let retained = self.look_at_retained(now);
        let closing = self.close_when_due(now);
        let demand = self.renew_demand(now);
        let expiry = self.parking.expire(&self.epoll, now, self.pools.as_slice());
        let backed_up = self.parking.is_backed_up() || self.reports.is_backed_up() || self.children.is_backed_up();
        let retry = backed_up.then(|| now + RETRY);
        log::flush();
        let log = log::is_behind().then(|| now + LOG_RETRY);
        if self.release.has_come(now) {
            idle_memory::release();
            // Not earlier: a reload of hundreds of groups has no time for it.
            self.copied.take().into_iter().for_each(CopiedPages::map);
        }
        let release = self.release.due();
        let due = expiry
            .into_iter()
            .chain(retained)
            .chain(release)
            .chain(retry)
            .chain(log)
            .chain(demand)
            .chain(leave)
            .chain(closing)
            .min();
        due.map_or(EpollTimeout::NONE, |at| {
            EpollTimeout::try_from(clock::millis(at.since(now)) + 1).unwrap_or(EpollTimeout::MAX)
        })
    }

    fn act(&mut self, source: EventSource) -> Option<ForkedWorker> {
        match source {
            EventSource::Control => return self.hear_supervisor(),
            EventSource::Signals => self.hear_signals(),
            EventSource::Park(pool) => self.take_queued(pool, |p| p.park.1.as_fd(), TURN),
            EventSource::Queue(pool) => self.take_queued(pool, |p| p.queue.1.as_fd(), TURN),
            EventSource::Demand(pool) => self.demanded(pool),
            EventSource::Link(pool) => self.take_links(pool),
            EventSource::Worker(pid) => {
                i32::try_from(pid).map(|pid| self.hear_worker(pid)).unwrap_or_default();
            }
            EventSource::Parked(number) => self.parking.stirred(&self.epoll, number, self.pools.as_slice()),
        }
        None
    }

    fn hear_supervisor(&mut self) -> Option<ForkedWorker> {
        match self.orders.receive() {
            Incoming::Message(ToZygote::Fork { pool, slot, traced }, fds) => {
                if !self.leaves_to_the_next(pool, slot) {
                    self.release.restart();
                    return self.fork(pool, slot, traced, fds);
                }
            }
            Incoming::Message(ToZygote::Drain { pools }, fds) => {
                self.forget_leave_request();
                self.drain(&pools, fds);
            }
            Incoming::Message(ToZygote::Adopt { pool }, fds) => self.adopt_links(pool, fds),
            Incoming::Message(ToZygote::Signal { pool, slot, signal }, _) => self.signal(pool, slot, signal),
            Incoming::Message(ToZygote::Retire { pool, slot }, _) => self.retire(pool, slot),
            Incoming::Message(ToZygote::Release, _) => self.release(),
            Incoming::Message(ToZygote::AccessLog { pool, reopened }, mut fds) => {
                self.change_access_log(pool, fds.pop(), reopened);
            }
            Incoming::Message(ToZygote::Leave, _) => {
                self.sweep();
                self.leaving = true;
            }
            Incoming::Nothing => {}
            Incoming::Gone | Incoming::Nonsense => self.lose_supervisor(),
        }
        None
    }

    /// The supervisor has gone: workers finish their requests and accept no more.
    fn lose_supervisor(&mut self) {
        let _ = self.epoll.delete(&self.orders);
        self.leave_request = None;
        self.start_leaving();
    }

    fn signal(&self, pool: usize, slot: u32, number: i32) {
        if let (Some(pid), Ok(signal)) = (self.children.find(pool, slot), Signal::try_from(number)) {
            process::kill(pid, signal);
        }
    }

    fn retire(&mut self, pool: usize, slot: u32) {
        let child = self.children.find_mut(pool, slot);
        if let Some(channel) = child.and_then(|c| c.channel.as_mut()) {
            channel.send(&ToWorker::Retire, Vec::new());
        }
    }

    /// Passes a new access log to the pool's workers, and keeps it for later ones.
    fn change_access_log(&mut self, pool: usize, fd: Option<OwnedFd>, reopened: u64) {
        let (Some(p), Some(fd)) = (self.pools.get_mut(pool), fd) else { return };
        let file = fd::lift(fd);
        for channel in self.children.channels_of(pool) {
            match file.try_clone() {
                Ok(copy) => channel.send(&ToWorker::AccessLog { reopened }, vec![copy]),
                Err(e) => log::say(&access_log_not_passed_on(e)),
            }
        }
        p.access_log = Some((file, reopened));
    }

    fn hear_signals(&mut self) {
        while let Some(Ok(Some(info))) = self.signals.as_ref().map(SignalFd::read_signal) {
            match i32::try_from(info.ssi_signo).ok().and_then(|s| Signal::try_from(s).ok()) {
                Some(Signal::SIGCHLD) => self.reap(),
                Some(signal) => self.asked_to_leave(Sender { signal, pid: info.ssi_pid, uid: info.ssi_uid }),
                None => {}
            }
        }
    }

    fn reap(&mut self) {
        while let Some((pid, exit)) = process::reap() {
            // The last messages of a worker come before its end. Only a bounded number is read: a process that its
            // script has forked may go on sending.
            let words = self.children.get_mut(pid.as_raw()).map(Child::final_messages).unwrap_or_default();
            words.into_iter().for_each(|says| self.heard(pid.as_raw(), says));
            let Some(child) = self.children.remove(pid) else { continue };
            if let Some(channel) = &child.channel {
                let _ = self.epoll.delete(channel);
            }
            let Child { pool, slot, .. } = child;
            self.take_over_from(pool, slot);
            // The worker may have been woken for a connection that no other worker then accepts. If this zygote
            // watches the sockets, it checks them itself.
            if self.pools[pool].demand.is_none() || self.draining {
                handover::send_rescan(&self.pools[pool].queue.0);
            }
            self.report(&ToSupervisor::Exited { pool, slot, pid: pid.as_raw(), exit });
            self.watch_again(pool);
        }
    }

    fn heard(&mut self, pid: i32, says: WorkerSays) {
        let Some(child) = self.children.get_mut(pid) else { return };
        let (pool, slot) = (child.pool, child.slot);
        // Each kind of message is passed on once: a worker must not use up the message budget of its zygote.
        if child.reported.note(&says) {
            self.report(&ToSupervisor::Worker { pool, slot, says });
            self.watch_again(pool);
        }
    }

    /// Passes on one message of a worker. Returns false if there was none.
    fn hear_worker(&mut self, pid: i32) -> bool {
        let Some(child) = self.children.get_mut(pid) else { return false };
        let Some(channel) = &mut child.channel else { return false };
        match channel.receive() {
            Incoming::Message(says, _) => {
                self.heard(pid, says);
                return true;
            }
            Incoming::Nothing => {}
            Incoming::Gone | Incoming::Nonsense => {
                let _ = self.epoll.delete(&*channel);
                child.channel = None;
            }
        }
        false
    }
}

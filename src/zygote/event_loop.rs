//! What a zygote does all day: hear the supervisor, hear its workers, keep connections, bury the dead.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;

use super::children::{Child, Children};
use super::connections::{Call, TURN};
use super::fork::Sprout;
use super::parking::Parking;
use super::token::Token;
use super::wish::{Sender, Wish};
use super::{Control, LAST_WORDS, Outcome, ZygotePool};
use crate::ipc::handover;
use crate::ipc::{Incoming, ReportSender, ToSupervisor, ToWorker, ToZygote, WorkerSays};
use crate::log;
use crate::sys::backlog::Inspector;
use crate::sys::{clock, fd, process, signal};

/// A full queue is tried again after this.
const RETRY: u64 = 5;
/// The same for a log that isn't read.
const LOG_RETRY: u64 = 50;

/// The state of a zygote.
#[derive(Debug)]
pub(super) struct Zygote {
    pub(super) control: Control,
    pub(super) reports: ReportSender,
    /// Its supervisor is of a former version.
    pub(super) former: bool,
    pub(super) drain: OwnedFd,
    pub(super) pools: Vec<ZygotePool>,
    pub(super) epoll: Epoll,
    pub(super) signals: Option<SignalFd>,
    pub(super) children: Children,
    pub(super) parking: Parking,
    pub(super) nofile: (u64, u64),
    /// SIGTERM and SIGINT ask its workers to finish.
    pub(super) graceful: bool,
    /// A signal has asked it to leave.
    pub(super) wish: Option<Wish>,
    pub(super) leaving: bool,
    /// Its workers take nothing new.
    pub(super) draining: bool,
    /// Then: how long connections of pools that end are kept.
    pub(super) last_call: Option<Call>,
    pub(super) inspector: Inspector,
}

impl Zygote {
    pub(super) fn report(&mut self, message: &ToSupervisor) {
        self.reports.send(message);
    }

    /// PHP stands: from now on everything goes through the event loop.
    pub(super) fn ready(&mut self) -> io::Result<()> {
        let signals = signal::descriptor(&[Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGQUIT])?;
        self.watch(&signals, Token::Signals)?;
        self.signals = Some(signals);
        self.watch(&self.control, Token::Control)?;
        for (pool, p) in (0u32..).zip(&self.pools) {
            self.watch(&p.park.1, Token::Park(pool))?;
        }
        self.report(&ToSupervisor::Ready);
        self.watch_demand();
        Ok(())
    }

    pub(super) fn watch(&self, fd: impl AsFd, token: Token) -> io::Result<()> {
        Ok(self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, token.pack()))?)
    }

    pub(super) fn run(mut self) -> Outcome {
        let mut events = [EpollEvent::empty(); 128];
        loop {
            let patience = self.patience();
            let count = match self.epoll.wait(&mut events, patience) {
                Ok(count) => count,
                Err(Errno::EINTR) => 0,
                Err(e) => {
                    log::error(format!("a zygote can't wait for events: {e}"));
                    return Outcome::Leave(Box::new(self.reports));
                }
            };
            for event in &events[..count] {
                if let Some(sprout) = Token::unpack(event.data()).and_then(|token| self.act(token)) {
                    return Outcome::Worker(sprout.grow(self));
                }
            }
            self.reports.flush();
            self.children.flush();
            self.parking.flush(self.pools.as_slice());
            if self.leaving && !self.parking.is_backed_up() {
                let childless = self.children.is_empty();
                if childless || self.may_desert(clock::now()) {
                    log::drain(LAST_WORDS);
                    let reports = Box::new(self.reports);
                    return if childless { Outcome::Leave(reports) } else { Outcome::Desert(reports) };
                }
            }
        }
    }

    fn patience(&mut self) -> EpollTimeout {
        let now = clock::now();
        let wish = self.follow_wish(now);
        let last_call = self.end_last_call(now);
        let demand = self.renew_demand(now);
        let expiry = self.parking.expire(&self.epoll, now, self.pools.as_slice());
        let backed_up = self.parking.is_backed_up() || self.reports.is_backed_up() || self.children.is_backed_up();
        let retry = backed_up.then(|| now.plus(RETRY));
        log::flush();
        let log = log::is_behind().then(|| now.plus(LOG_RETRY));
        let due = expiry.into_iter().chain(retry).chain(log).chain(demand).chain(wish).chain(last_call).min();
        due.map_or(EpollTimeout::NONE, |at| EpollTimeout::try_from(at.since(now) + 1).unwrap_or(EpollTimeout::MAX))
    }

    fn act(&mut self, token: Token) -> Option<Sprout> {
        match token {
            Token::Control => return self.hear_supervisor(),
            Token::Signals => self.hear_signals(),
            Token::Park(pool) => self.take_queued(pool, |p| p.park.1.as_fd(), TURN),
            Token::Queue(pool) => self.take_queued(pool, |p| p.queue.1.as_fd(), TURN),
            Token::Demand(pool) => self.demanded(pool),
            Token::Link(pool) => self.take_links(pool),
            Token::Worker(pid) => {
                i32::try_from(pid).map(|pid| self.hear_worker(pid)).unwrap_or_default();
            }
            Token::Parked(number) => self.parking.stirred(&self.epoll, number, self.pools.as_slice()),
        }
        None
    }

    fn hear_supervisor(&mut self) -> Option<Sprout> {
        match self.control.receive() {
            Incoming::Message(ToZygote::Fork { pool, slot, traced }, fds) => {
                if !self.leaves_to_the_next(pool, slot) {
                    return self.fork(pool, slot, traced, fds);
                }
            }
            Incoming::Message(ToZygote::Drain { pools }, fds) => {
                self.forget_wish();
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
            Incoming::Gone | Incoming::Nonsense => self.bereft(),
        }
        None
    }

    /// The supervisor is gone: workers finish what they have, nobody accepts any more.
    fn bereft(&mut self) {
        let _ = self.epoll.delete(&self.control);
        self.wish = None;
        self.part();
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

    /// For workers that are there and those to come.
    fn change_access_log(&mut self, pool: usize, fd: Option<OwnedFd>, reopened: u64) {
        let (Some(p), Some(fd)) = (self.pools.get_mut(pool), fd) else { return };
        let file = fd::lift(fd);
        for channel in self.children.channels_of(pool) {
            match file.try_clone() {
                Ok(copy) => channel.send(&ToWorker::AccessLog { reopened }, vec![copy]),
                Err(e) => log::error(format!("a worker keeps its former access log: {e}")),
            }
        }
        p.access_log = Some((file, reopened));
    }

    fn hear_signals(&mut self) {
        while let Some(Ok(Some(info))) = self.signals.as_ref().map(SignalFd::read_signal) {
            match i32::try_from(info.ssi_signo).ok().and_then(|s| Signal::try_from(s).ok()) {
                Some(Signal::SIGCHLD) => self.bury(),
                Some(signal) => self.asked_to_leave(Sender { signal, pid: info.ssi_pid, uid: info.ssi_uid }),
                None => {}
            }
        }
    }

    fn bury(&mut self) {
        while let Some((pid, exit)) = process::reap() {
            // What it said last stands before its end. No more than that: a process that its script has forked may go on talking.
            let words = self.children.get_mut(pid.as_raw()).map(Child::last_words).unwrap_or_default();
            words.into_iter().for_each(|says| self.heard(pid.as_raw(), says));
            let Some(child) = self.children.remove(pid) else { continue };
            if let Some(channel) = &child.channel {
                let _ = self.epoll.delete(channel);
            }
            let Child { pool, slot, .. } = child;
            // It may have been woken for a connection that nobody then looks for. Where this zygote watches, it looks itself.
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
        // Once each in a life: a worker must not use up what its zygote may say.
        if child.said.note(&says) {
            self.report(&ToSupervisor::Worker { pool, slot, says });
            self.watch_again(pool);
        }
    }

    /// Passes one message of a worker on. False: there was none.
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

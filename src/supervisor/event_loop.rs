//! The event loop: waits, turns what has come into events, carries out what the fleet decides.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::config::Global;
use crate::exit::ExitCode;
use crate::log::{self, messages::lifecycle as messages, messages::output};
use crate::plan::fleet::{Event, Goal, Scope};
use crate::scoreboard::Fact;
use crate::supervisor::core::Supervisor;
use crate::supervisor::output::take_dropped;
use crate::supervisor::poller::Source;
use crate::supervisor::view::FleetView;
use crate::sys::signal::Heard;
use crate::sys::{aside, clock, idle_memory, peer_pipe, pid_file};

/// Orders that could not be sent are tried again after this time.
const RETRY: Duration = Duration::from_millis(10);
/// The same for lines that a log has not taken.
const LOG_RETRY: Duration = Duration::from_millis(50);
const SECOND: Duration = Duration::from_secs(1);

/// `on_sigterm`.
pub(super) fn sigterm_is_graceful(global: &Global) -> bool {
    global.sigterm_is_graceful.unwrap_or(std::process::id() == 1)
}

impl Supervisor {
    /// Runs until the end; returns the exit status.
    pub(super) fn run(mut self) -> i32 {
        // Helpers of the start may have ended before SIGCHLD was waited for.
        self.reap();
        self.decide();
        loop {
            if let Some(status) = self.exit {
                return self.end(status);
            }
            match self.poller.wait(self.patience()) {
                Ok(sources) => sources.into_iter().for_each(|source| self.attend(source)),
                Err(e) => {
                    log::say(&messages::cannot_wait_for_events(e));
                    return self.end(ExitCode::Software.status());
                }
            }
            if self.children_ended {
                self.reap();
            }
            self.slow_logs.write();
            self.sockets.advance();
            self.advance_reopening();
            self.advance_preparations();
            log::flush();
            self.outputs.close_due(&mut self.poller);
            for owner in peer_pipe::unlock_pipes() {
                log::say(&output::pipe_locked(owner));
            }
            self.every_second();
            if self.release.has_come(clock::now()) {
                idle_memory::release();
                idle_memory::release_files();
            }
            let actions = self.fleet.stop_if_due(clock::now());
            self.carry_out_all(actions);
            self.attend_to_systemd();
            self.look_for_requests();
            self.resume_zygotes();
            self.outputs.resume(&mut self.poller);
            self.flush_orders();
            self.attend_to_bases();
            self.decide();
            self.attend_to_monitor();
            self.attend_to_control_socket();
            self.advance_reload();
        }
    }

    /// The work of every second.
    fn every_second(&mut self) {
        let now = clock::now();
        if self.next_second <= now {
            self.next_second = now + SECOND;
            self.outputs.report_dropped();
            self.report_dropped_lines(None);
            let waiting = self.note_queues();
            self.look_at_zygotes(&waiting);
            self.end_unused_bases();
            self.note_for_monitor();
            self.service.add(Fact::OutputDropped, take_dropped());
            self.service.add(Fact::LinesDropped, log::take_lost());
            if let Some((count, reason)) = aside::retry() {
                log::say(&messages::descriptors_not_closed(count, reason));
            }
        }
    }

    /// How long to wait for events until something is due.
    fn patience(&self) -> Option<Duration> {
        if self.children_ended {
            return Some(Duration::ZERO);
        }
        let now = clock::now();
        let retry = self.orders_wait().then(|| now + RETRY);
        let unwritten = log::is_behind() || !self.slow_logs.is_empty() || self.sockets.is_busy() || self.is_reopening();
        let log = (unwritten || self.is_preparing()).then(|| now + LOG_RETRY);
        let due = self
            .fleet
            .deadline(now)
            .into_iter()
            .chain(self.reload.deadline())
            .chain(self.systemd.deadline(now))
            .chain(self.outputs.deadline())
            .chain(self.requests_due)
            .chain(peer_pipe::deadline())
            .chain(self.bases.deadline())
            .chain(self.monitor_deadline(now))
            .chain(self.control_deadline(now))
            .chain(retry)
            .chain(log)
            .chain(self.paused_zygotes.values().min().copied())
            .chain(self.release_due())
            .chain(self.release.due())
            .chain([self.next_second])
            .min();
        due.map(|at| at.since(now))
    }

    fn attend(&mut self, source: Source) {
        match source {
            Source::Signals => {
                while let Some(signal) = self.poller.next_signal() {
                    self.hear_signal(signal);
                }
            }
            Source::Zygote(key) => self.hear_zygote(key),
            Source::ListeningSocket(key) => self.feed(Event::Connection(key)),
            Source::Tracer(key) => self.hear_tracer(key),
            Source::Output(token) => self.outputs.relay(&mut self.poller, token),
            Source::Base(id) => self.hear_base(id),
            Source::Check(token) => self.hear_check(token),
            Source::ControlSocket => self.accept_commands(),
            Source::Command(token) => self.hear_command(token),
        }
    }

    fn hear_signal(&mut self, heard: Heard) {
        log::say(&messages::signal_received(heard.name()));
        let Heard::Named(signal) = heard else { return self.hear_requests() };
        match signal {
            Signal::SIGCHLD => {
                self.children_ended = true;
                self.stopped_children.note_signal();
            }
            Signal::SIGINT | Signal::SIGTERM => {
                self.stop(self.fleet.goal_of_sigterm(sigterm_is_graceful(&self.config.global)))
            }
            Signal::SIGQUIT => self.stop(Goal::Finish),
            Signal::SIGUSR1 => self.reopen_logs(),
            Signal::SIGUSR2 => self.reload_asked(Scope::All),
            _ => {}
        }
    }

    fn stop(&mut self, goal: Goal) {
        let actions = self.fleet.stop(clock::now(), goal, self.config.global.shutdown_delay);
        self.carry_out_all(actions);
    }

    /// Lets the fleet note an event. What follows from it is decided at the end of the turn, once for all events of the turn.
    pub(super) fn feed(&mut self, event: Event) {
        self.pending.push_back(event);
        self.handle_pending();
    }

    /// The same for events that wait.
    pub(super) fn handle_pending(&mut self) {
        while let Some(event) = self.pending.pop_front() {
            self.has_orphans |= event.ends_zygote();
            let actions = self.fleet.note(clock::now(), event, &FleetView(&self.runtimes, &self.sockets));
            self.carry_out_all(actions);
        }
    }

    /// Lets the fleet decide what follows from the events and from the time, and from the events that its decisions cause.
    fn decide(&mut self) {
        loop {
            self.handle_pending();
            let actions = self.fleet.decide(clock::now(), &FleetView(&self.runtimes, &self.sockets));
            self.carry_out_all(actions);
            if self.pending.is_empty() {
                return;
            }
        }
    }

    fn end(mut self, status: i32) -> i32 {
        self.abandon_preparations();
        self.slow_logs.finish();
        self.outputs.drain(&mut self.poller);
        self.outputs.release(&mut self.poller);
        if let Some(starter) = self.starter.take() {
            crate::supervisor::daemon::tell(starter, false);
        }
        self.sockets.unlink(true);
        if let Some(address) = &self.monitor.address {
            address.unlink();
        }
        if let Some(address) = &self.control.address {
            address.unlink();
        }
        self.empty_store();
        if let Some(pid) = &self.config.global.pid {
            pid_file::remove(pid, std::process::id());
        }
        log::say(&messages::exiting());
        log::drain(Duration::from_secs(1));
        status
    }
}

//! Carries out the fleet's actions. `start_zygote.rs`, `draining.rs`, `groups.rs` and `renewal.rs` have the
//! larger ones.

use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::exit::ExitCode;
use crate::ipc::ToZygote;
use crate::log;
use crate::log::messages::{lifecycle, output, pools, reload};
use crate::plan::budget::ANSWERS;
use crate::plan::events::{Happening, Owner};
use crate::plan::fleet::{Action, Event, GenerationId, Goal, Phase, Stop, WorkerKey, ZygoteKey};
use crate::scoreboard::{Counter, Fact};
use crate::supervisor::core::Supervisor;
use crate::supervisor::output::Writer;
use crate::sys::{clock, process};

impl Supervisor {
    pub(super) fn carry_out_all(&mut self, actions: Vec<Action>) {
        let starts = !actions.contains(&Action::StartFailed);
        let of_start = |action: &Action| matches!(action, Action::NotStarted(..));
        // At a start that fails as a whole, php-fpm's line about that is enough.
        actions.into_iter().filter(|action| starts || !of_start(action)).for_each(|action| self.carry_out(action));
        self.release_outputs();
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::SpawnZygote(key) => self.spawn_zygote(key),
            Action::Fork(key) => self.ask_for_worker(key),
            Action::Drain(id) => self.drain(id),
            Action::Relink(id) => self.link_all(id),
            Action::Late(id) => self.generation_is_late(id),
            Action::PatienceOver(id) => self.say_patience_over(id),
            Action::Dismiss(key) => self.send(key, &ToZygote::Leave, Vec::new()),
            Action::Release(key) => self.send(key, &ToZygote::Release, Vec::new()),
            Action::Retire(key) => self.retire(key),
            Action::Watch(key) => self.watch_sockets(key),
            Action::Unwatch(key) => self.unwatch_sockets(key),
            Action::Remark(key, remark) => self.remark(key, remark),
            Action::ProcessLimit => log::say(&pools::process_max_reached()),
            Action::Emergency(key, rule) => self.say_emergency(key, rule),
            Action::RenewalWaits(key, time) => self.say_renewal_waits(key, time),
            Action::Renewed(id) => self.generation_renewed(id),
            Action::NotRenewed(id, failure) => self.renewal_failed(id, failure),
            Action::Refuse { key, pid, violation } => self.refuse(key, pid, violation),
            Action::Started { key, pid, replaces } => self.worker_started(key, pid, replaces),
            Action::Collect(key, exit) => self.collect(key, exit),
            Action::WorkerEnded(key, end) => {
                self.log_worker_end(key, &end);
                self.close_tracer(key);
            }
            Action::ZygoteEnded(key, end) => self.log_zygote_end(key, &end),
            Action::Slow(key) => self.report_slow(key),
            Action::TimedOut(key) => self.report_timed_out(key),
            Action::KillZygote(key) => self.kill_zygote(key),
            Action::KillSilent(key) => self.kill_silent(key),
            Action::GiveUpOn(key) => self.give_up_on(key),
            Action::Signal(key, stop) => self.signal_worker(key, stop),
            Action::Ready => self.announce_ready(),
            Action::StopDelayed(delay) => self.announce_delayed_stop(delay),
            Action::Stopping(goal) => self.announce_stop(goal),
            Action::Prepare(key) => self.prepare(key),
            Action::Serves { id, late } => self.generation_serves(id, late),
            Action::Replaced(id) => self.replaced(id),
            Action::GivenUp { id, because, failure, kept } => self.generation_given_up(id, because, failure, kept),
            Action::NotStarted(id, failure) => self.generation_not_started(id, failure),
            Action::NotReplaced { id, because } => self.generation_not_replaced(id, because),
            Action::Refused => {
                self.refuse_reload(&reload::no_group_changed(self.kept_text()), None);
                self.release_all_outputs();
            }
            Action::Forget(id) => self.forget(id),
            Action::StartFailed if self.exit.is_some() => {}
            Action::StartFailed => {
                self.say_unprepared();
                log::say(&lifecycle::initialization_failed());
                self.exit = Some(ExitCode::Software.status());
            }
            Action::AllGone => self.exit = self.exit.or(Some(ExitCode::Ok.status())),
        }
    }

    /// Reads the pipe of a process. Workers' output is held while their generation starts: `ready` stands before it in the log.
    pub(super) fn add_output(&mut self, fd: OwnedFd, writer: Writer) {
        let held = matches!(&writer, Writer::Worker { key, .. } if self.is_starting(*key));
        self.outputs.add(&mut self.poller, fd, writer, held);
    }

    fn is_starting(&self, key: WorkerKey) -> bool {
        let generation = self.fleet.generation(key.generation);
        let starts = generation.is_some_and(|g| matches!(g.phase, Phase::Starting | Phase::Settling));
        starts && self.fleet.is_unreported()
    }

    pub(super) fn send(&mut self, key: ZygoteKey, message: &ToZygote, fds: Vec<OwnedFd>) {
        let zygote = self.runtimes.zygote_mut(key).map(|zygote| &mut zygote.orders);
        let Some(orders) = zygote.or_else(|| self.bases.orders_mut(key)) else { return };
        orders.send(clock::now(), message, fds);
        if orders.is_backed_up() {
            self.behind.insert(key);
        }
    }

    fn ask_for_worker(&mut self, key: WorkerKey) {
        if !self.has_room_for_worker(key) {
            self.pending.push_back(Event::ForkRefused(key));
            return;
        }
        let mut fds = self.worker_pipes(key).unwrap_or_else(|e| {
            let pool = self.runtimes.pool_name(key.of_pool());
            self.log_of(key.zygote(), &output::output_not_caught(pool, e));
            Vec::new()
        });
        let tracer = self.open_tracer(key);
        let message = ToZygote::Fork { pool: key.pool, slot: key.slot, traced: tracer.is_some() };
        fds.extend(tracer.into_iter().flat_map(|(question, answer)| [question, answer]));
        if let Some(zygote) = self.runtimes.zygote_mut(key.zygote()) {
            zygote.budget.credit(ANSWERS);
        }
        self.send(key.zygote(), &message, fds);
    }

    /// Pipes for the worker's stdout and stderr, where its pool wants them caught.
    fn worker_pipes(&mut self, key: WorkerKey) -> std::io::Result<Vec<OwnedFd>> {
        let held = self.is_starting(key);
        let Some(pool) = self.runtimes.pool(key.of_pool()).filter(|pool| pool.catch_workers_output) else {
            return Ok(Vec::new());
        };
        self.outputs.catch(&mut self.poller, key, &pool.name, pool.decorate_workers_output, held)
    }

    pub(super) fn kill_zygote(&mut self, key: ZygoteKey) {
        match self.runtimes.zygote(key) {
            Some(zygote) => process::kill(zygote.pid, Signal::SIGKILL),
            None => {
                self.bases.cancel(key);
                self.pending.push_back(Event::ZygoteGone(key));
            }
        }
        self.probe_zygote(key);
    }

    fn signal_worker(&mut self, key: WorkerKey, stop: Stop) {
        let signal = match stop {
            Stop::Term => Signal::SIGTERM,
            Stop::Kill => Signal::SIGKILL,
        };
        let Some(worker) = self.fleet.worker(key) else { return };
        if let (Stop::Term, Some(board)) = (stop, self.runtimes.scoreboard(key)) {
            board.ask_to_end(key.slot);
        }
        // Not by way of the zygote, which its user may have stopped, unless the worker is one of a former version.
        let orphan = worker.orphan;
        if !self.signal_proved(key, signal) && !orphan {
            let message = ToZygote::Signal { pool: key.pool, slot: key.slot, signal: signal as i32 };
            self.send(key.zygote(), &message, Vec::new());
        }
        if stop == Stop::Kill {
            self.probe_worker(key);
        }
    }

    fn forget(&mut self, id: GenerationId) {
        self.report_dropped_lines(Some(id));
        self.abandon_preparation(id);
        self.sockets.drop_owner(id);
        self.links.retain(|(pool, _)| pool.zygote.generation != id);
        self.candidates.remove(&id);
        self.reasons.remove(&id);
        self.unstarted.remove(&id);
        self.runtimes.remove(id);
        self.outputs.forget_generation(id);
        self.forget_totals();
        self.monitor.stale = true;
        self.release.restart();
    }

    fn announce_delayed_stop(&mut self, delay: Duration) {
        let message = reload::stop_delayed(delay.as_secs());
        log::say(&message);
        self.tell_stopping(message.text());
        self.totals.all().for_each(|totals| totals.set(Counter::Leaving, 1));
        self.note_stop();
        self.service.set(Fact::Leaving, 1);
    }

    fn announce_stop(&mut self, goal: Goal) {
        // Earlier output of processes comes first in the log.
        self.outputs.drain(&mut self.poller);
        let message = if goal == Goal::Terminate { reload::terminating() } else { reload::finishing() };
        log::say(&message);
        self.tell_stopping(message.text());
        self.note_stop();
        self.service.set(Fact::Leaving, 1);
    }

    fn note_stop(&mut self) {
        if self.service.get(Fact::Leaving) == 0 {
            self.note_event(Owner::All, Happening::Stopping, 1);
        }
    }

    fn note_ready(&mut self) {
        const NAMES: usize = 5;
        let names: Vec<&str> = self.kept.keys().take(NAMES).map(String::as_str).collect();
        let more = self.kept.len().saturating_sub(NAMES);
        let happening = match () {
            () if self.service.get(Fact::Ready) == 0 => Happening::Started,
            () if names.is_empty() => Happening::Reloaded,
            () if more > 0 => Happening::ReloadedInPart(format!("{} and {more} more", names.join(", "))),
            () => Happening::ReloadedInPart(names.join(", ")),
        };
        self.note_event(Owner::All, happening, 1);
    }

    fn announce_ready(&mut self) {
        self.sockets.close_unnamed(&self.config.pools);
        self.forget_outdated();
        log::say(&lifecycle::ready_to_handle_connections());
        self.tell_ready();
        self.release_all_outputs();
        log::stop_echo();
        self.results.reload_done();
        self.note_ready();
        self.service.reload_done(!self.kept.is_empty(), clock::wall_seconds());
        self.monitor.stale = true;
        if let Some(starter) = self.starter.take() {
            crate::supervisor::daemon::tell(starter, true);
        }
    }
}

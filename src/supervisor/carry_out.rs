//! Carries out the fleet's actions: starts processes, sends signals and messages.

use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::exit::ExitCode;
use crate::ipc::{OrderSender, ReportReceiver, ToSupervisor, ToZygote, ZygoteSpec};
use crate::log;
use crate::log::messages::{lifecycle, output, pools, reload, zygotes};
use crate::plan::budget::ANSWERS;
use crate::plan::crashes::Emergency;
use crate::plan::fleet::{Action, Event, Generation, GenerationId, Goal, Phase, PoolKey, Stop, WorkerKey, ZygoteKey};
use crate::scoreboard::Counter;
use crate::supervisor::bases::Pending;
use crate::supervisor::core::Supervisor;
use crate::supervisor::event_loop::sigterm_is_graceful;
use crate::supervisor::generation::{Drain, GroupRuntime, Launch};
use crate::supervisor::output::Writer;
use crate::sys::process_limits::ProcessLimits;
use crate::sys::{clock, message, process};

/// What a new zygote needs.
pub(super) struct ZygoteParts {
    /// Descriptors by their numbers here.
    pub(super) spec: ZygoteSpec,
    /// Our ends.
    pub(super) orders: OrderSender,
    pub(super) reports: ReportReceiver<ToSupervisor>,
    pub(super) drain: Drain,
    /// The zygote's ends, which the specification names.
    pub(super) theirs: [OwnedFd; 3],
}

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
            Action::Emergency(key, rule) => self.restart_group(key, rule),
            Action::Refuse { key, pid, violation } => self.refuse(key, pid, violation),
            Action::Started { key, pid, replaces } => {
                self.outputs.set_pid(key, pid);
                self.log_start(key, pid, replaces);
            }
            Action::Collect(key, exit) => self.collect(key, exit),
            Action::WorkerEnded(key, end) => {
                self.log_worker_end(key, &end);
                self.close_tracer(key);
            }
            Action::ZygoteEnded(key, end) => self.log_zygote_end(key, &end),
            Action::Slow(key) => self.report_slow(key),
            Action::TimedOut(key) => self.report_timed_out(key),
            Action::KillZygote(key) => self.kill_zygote(key),
            Action::GiveUpOn(key) => self.give_up_on(key),
            Action::Signal(key, stop) => self.signal_worker(key, stop),
            Action::Ready => self.announce_ready(),
            Action::StopDelayed(delay) => self.announce_delayed_stop(delay),
            Action::Stopping(goal) => self.announce_stop(goal),
            Action::Prepare(key) => self.prepare(key),
            Action::Serves { id, late } => self.generation_serves(id, late),
            Action::Replaced(id) => self.sockets.drop_owner(id),
            Action::GivenUp { id, because, failure, kept } => self.generation_given_up(id, because, failure, kept),
            Action::NotStarted(id, failure) => self.generation_not_started(id, failure),
            Action::Refused => {
                let number = self.fleet.generations().last().map_or(0, Generation::number);
                self.refuse_reload(&reload::generation_given_up(number), None);
                self.release_all_outputs();
            }
            Action::Forget(id) => self.forget(id),
            Action::StartFailed if self.exit.is_some() => {}
            Action::StartFailed => {
                log::say(&lifecycle::initialization_failed());
                self.exit = Some(ExitCode::Software.status());
            }
            Action::AllGone => self.exit = self.exit.or(Some(ExitCode::Ok.status())),
        }
    }

    fn spawn_zygote(&mut self, key: ZygoteKey) {
        if !self.want_from_base(key) {
            self.start_alone(key, None);
        }
    }

    /// Starts a zygote that starts PHP itself. `pending`: orders that were sent to it already.
    pub(super) fn start_alone(&mut self, key: ZygoteKey, pending: Option<Pending>) {
        if let Err(e) = self.try_start_alone(key, pending) {
            let message = zygotes::zygote_not_started(e);
            log::say(&message);
            self.note_reason(key.generation, message.text());
            self.pending.push_back(Event::ZygoteGone(key));
        }
    }

    /// The specification of a zygote that is about to start, and the ends of its channels. `None`: there is no such group.
    pub(super) fn zygote_parts(&mut self, key: ZygoteKey, pending: Pending) -> std::io::Result<Option<ZygoteParts>> {
        self.check_room_for_zygote()?;
        let number = self.fleet.number_of(key.generation);
        let Some(group) = self.runtimes.group(key) else { return Ok(None) };
        let (orders, theirs) = pending.into_ends();
        let (reports, reporting) = ReportReceiver::pair(&group.spec.group)?;
        let (drain, drained) = Drain::new()?;
        let mut spec = group.spec.clone();
        spec.generation = number;
        spec.log_level = self.config.global.log_level;
        spec.log_format = self.config.global.log_format;
        spec.control_fd = theirs.as_raw_fd();
        spec.reports_fd = Some(reporting.as_raw_fd());
        spec.drain_fd = drained.as_raw_fd();
        spec.reopened = self.reopened;
        spec.graceful = sigterm_is_graceful(&self.config.global);
        spec.processes = ProcessLimits::of_process().ok();
        Ok(Some(ZygoteParts { spec, orders, reports, drain, theirs: [theirs, reporting, drained] }))
    }

    fn try_start_alone(&mut self, key: ZygoteKey, pending: Option<Pending>) -> std::io::Result<()> {
        let Some(slots) = self.runtimes.group(key).map(GroupRuntime::slots) else { return Ok(()) };
        let pending = pending.map_or_else(|| Pending::new(slots), Ok)?;
        let Some(ZygoteParts { mut spec, orders, reports, drain, theirs: _theirs }) =
            self.zygote_parts(key, pending)?
        else {
            return Ok(());
        };
        let inherit: Vec<_> = spec.descriptors_mut().map(|raw| *raw).collect();
        let content = serde_json::to_vec(&spec)?;
        let program = spec.program.clone().unwrap_or_else(|| self.host.own_program());
        let launch = Launch {
            program: &program,
            role: "zygote",
            options: &[],
            content: &content,
            inherit: &inherit,
            nofile: spec.nofile,
        };
        let launched = launch.start()?;
        log::say(&zygotes::zygote_started(&spec.group, launched.pid));
        self.poller.add_zygote(&reports, key)?;
        let Some(group) = self.runtimes.group_mut(key) else { return Ok(()) };
        group.set_zygote(launched.pid, orders, reports, None);
        // Workers of a former zygote have seen its end; those of this one get a drain signal of their own.
        group.drain = drain;
        self.add_output(launched.output, Writer::Group { group: spec.group, pid: launched.pid.as_raw() });
        Ok(())
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
        if let Some(zygote) = self.runtimes.zygote_mut(key) {
            zygote.orders.send(clock::now(), message, fds);
        } else if let Some(orders) = self.bases.orders_mut(key) {
            orders.send(clock::now(), message, fds);
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

    fn drain(&mut self, id: GenerationId) {
        let successors = self.fleet.generation(id).map(|g| g.successors.clone()).unwrap_or_default();
        self.end_listening(id, &successors);
        let finishing = self.fleet.goal() != Goal::Terminate;
        let Some(runtime) = self.runtimes.get_mut(id) else { return };
        for (spec, pool) in runtime.groups.iter().flat_map(GroupRuntime::pools) {
            (0..spec.slots).for_each(|slot| pool.scoreboard.ask_to_drain(slot));
        }
        // Workers that are about to get SIGTERM are not woken before: hundreds of them would shut PHP down at once.
        if finishing {
            runtime.groups.iter_mut().for_each(|group| group.drain.begin());
        }
        self.link_all(id);
    }

    /// Tells the zygotes of a draining generation where their kept connections go.
    fn link_all(&mut self, id: GenerationId) {
        let successors = self.fleet.generation(id).map(|g| g.successors.clone()).unwrap_or_default();
        for group in 0..self.runtimes.get(id).map_or(0, |runtime| runtime.groups.len()) {
            let key = ZygoteKey { generation: id, group };
            let (pools, fds) = self.link(key, &successors);
            self.send(key, &ToZygote::Drain { pools }, fds);
        }
    }

    /// Sockets that no later generation serves lose their paths. Before they leave, workers of this one are to serve the connections
    /// that wait there, and those that are inside a pool that ends.
    fn end_listening(&mut self, id: GenerationId, successors: &[GenerationId]) {
        let given_up = self.fleet.generation(id).is_some_and(|g| g.given_up);
        let all = match self.fleet.goal() {
            Goal::Finish => true,
            Goal::Serve if !given_up => false,
            // It could not start: what is open for others stays.
            Goal::Serve => return self.sockets.withdraw(id),
            // It ends at once.
            Goal::Terminate => return,
        };
        if !all {
            self.sockets.leave(&[id]);
        }
        self.sockets.unlink(all);
        let Some(runtime) = self.runtimes.get(id) else { return };
        let of_group = |g| GroupRuntime::pools(g).map(move |pool| (&g.spec, pool));
        for (spec, (pool, resources)) in runtime.groups.iter().flat_map(of_group) {
            let closing = self.sockets.closing(&pool.listen_fds, all);
            let goes_on = !all && self.runtimes.successor_of(successors, spec, pool).is_some();
            if closing != 0 || !goes_on {
                (0..pool.slots).for_each(|slot| resources.scoreboard.announce_closing(slot, closing));
            }
        }
    }

    /// Socket pairs for kept connections: from each pool of a zygote to the pool of another generation where it goes on. Returns the
    /// indices of the pools that go on, and a socket for each.
    fn link(&mut self, from: ZygoteKey, to: &[GenerationId]) -> (Vec<usize>, Vec<OwnedFd>) {
        let Some(spec) = self.runtimes.group(from).map(|group| &group.spec) else { return Default::default() };
        let of_pools = spec.pools.iter().map(|pool| self.runtimes.successor_of(to, spec, pool)).enumerate();
        let successors: Vec<_> = of_pools.filter_map(|(index, successor)| Some((index, successor?))).collect();
        let (mut pools, mut fds) = (Vec::new(), Vec::new());
        for (index, PoolKey { zygote, pool }) in successors {
            let Ok((ours, theirs)) = message::pair() else { continue };
            self.send(zygote, &ToZygote::Adopt { pool }, vec![theirs]);
            pools.push(index);
            fds.push(ours);
        }
        (pools, fds)
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

    /// php-fpm reloads everything; here only the group restarts whose shared memory may be damaged.
    fn restart_group(&mut self, key: ZygoteKey, Emergency { threshold, interval }: Emergency) {
        log::say(&zygotes::group_restarts(threshold, interval.as_secs(), self.runtimes.group_name(key)));
        self.kill_zygote(key);
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
        if !worker.orphan {
            let message = ToZygote::Signal { pool: key.pool, slot: key.slot, signal: signal as i32 };
            self.send(key.zygote(), &message, Vec::new());
        } else if let Some(pid) = self.proved_orphan(worker) {
            process::kill(pid, signal);
        }
        if stop == Stop::Kill {
            self.probe_worker(key);
        }
    }

    fn forget(&mut self, id: GenerationId) {
        self.report_dropped_lines(Some(id));
        self.sockets.drop_owner(id);
        self.candidates.remove(&id);
        self.reasons.remove(&id);
        self.unstarted.remove(&id);
        self.runtimes.remove(id);
        self.outputs.forget_generation(id);
        self.forget_totals();
    }

    fn announce_delayed_stop(&mut self, delay: Duration) {
        let message = reload::stop_delayed(delay.as_secs());
        log::say(&message);
        self.tell_stopping(message.text());
        self.totals.all().for_each(|totals| totals.set(Counter::Leaving, 1));
    }

    fn announce_stop(&mut self, goal: Goal) {
        // Earlier output of processes comes first in the log.
        self.outputs.drain(&mut self.poller);
        let message = if goal == Goal::Terminate { reload::terminating() } else { reload::finishing() };
        log::say(&message);
        self.tell_stopping(message.text());
    }

    fn announce_ready(&mut self) {
        self.sockets.close_unnamed(&self.config.pools);
        self.forget_outdated();
        log::say(&lifecycle::ready_to_handle_connections());
        self.tell_ready();
        self.release_all_outputs();
        log::stop_echo();
        self.results.reload_done();
        if let Some(starter) = self.starter.take() {
            crate::supervisor::daemon::tell(starter, true);
        }
    }
}

//! Carries out what `plan::reload` decides: starts the check of the new program, and executes that program.

use std::ffi::OsString;
use std::os::fd::{AsRawFd, RawFd};

use nix::sys::signal::Signal;

use crate::host::Host;
use crate::log::{self, Message, messages::reload as messages};
use crate::plan::events::{Happening, Owner};
use crate::plan::fleet::{Goal, Scope};
use crate::plan::reload::{Outcome, Step, refusal};
use crate::supervisor::core::Supervisor;
use crate::supervisor::generation::{Launch, Launched};
use crate::supervisor::output::Bounded;
use crate::supervisor::reload::progress::{CheckProcess, FileMark, Reload};
use crate::supervisor::reload::state::State;
use crate::sys::peer_pipe::PeerPipe;
use crate::sys::process::{self, Exit};
use crate::sys::{clock, fd, shared, signal, single_threaded};

impl Supervisor {
    /// SIGUSR2, which asks for everything, or a request.
    pub(in crate::supervisor) fn reload_asked(&mut self, scope: Scope) {
        let steps = self.reload.plan.ask(self.fleet.goal() == Goal::Serve, scope);
        steps.into_iter().for_each(|step| self.carry_out_reload(step));
    }

    /// Begins a reload that is wanted, as soon as it may begin; ends a check that takes too long.
    pub(in crate::supervisor) fn advance_reload(&mut self) {
        if let Some(step) = self.reload.plan.advance(clock::now(), self.fleet.readiness(clock::now())) {
            self.carry_out_reload(step);
        }
    }

    fn carry_out_reload(&mut self, step: Step) {
        match step {
            Step::Count => self.results.reload_asked(),
            Step::Announce => self.tell_reloading(),
            Step::Begin => self.begin_reload(),
            Step::Execute => self.execute(),
            Step::KillCheck => {
                let message = messages::check_timed_out();
                log::say(&message);
                self.results.reason(message.text());
                if let Some(check) = &self.reload.check {
                    process::kill(check.pid, Signal::SIGKILL);
                }
            }
        }
    }

    fn begin_reload(&mut self) {
        let actions = self.fleet.conclude();
        self.carry_out_all(actions);
        log::say(&messages::reloading());
        self.note_event(Owner::All, Happening::ReloadBegun, 1);
        self.tell_reloading();
        self.results.reload_begins();
        if let Err(e) = self.start_check() {
            self.reload.plan.check_failed_to_start();
            self.refuse_reload(&messages::check_not_started(e), None);
        }
    }

    /// Identifies the files that would be executed and read: another file at the same path has another mark.
    fn file_marks(&self) -> Vec<Option<FileMark>> {
        [&self.host.program, &self.host.library, &self.config.file].into_iter().map(|path| FileMark::of(path)).collect()
    }

    /// Whether the program or its library is another file than the one that runs.
    pub(super) fn is_program_replaced(&self) -> bool {
        self.reload.image != program_marks(&self.host)
    }

    fn start_check(&mut self) -> std::io::Result<()> {
        let is_part = *self.reload.plan.scope() != Scope::All;
        let answer = is_part.then(|| shared::file_of("cgi-fpm-changes", b""));
        let answer = answer.transpose()?;
        let mut state = self.state();
        state.answer = answer.as_ref().map(AsRawFd::as_raw_fd);
        let inherit: Vec<RawFd> = state.answer.into_iter().collect();
        let content = serde_json::to_vec(&state)?;
        let options: Vec<OsString> = own_arguments(&self.host.args[1..]).cloned().collect();
        let launch = Launch {
            program: &self.host.own_program(),
            role: "check",
            options: &options,
            content: &content,
            inherit: &inherit,
            nofile: self.nofile,
        };
        let files = self.file_marks();
        let launched = launch.start()?;
        let Launched { pid, output } = launched;
        let output = PeerPipe::new(output, "the check");
        let token = self.poller.add_check(&output)?;
        let printed = Bounded::default();
        self.reload.check = Some(CheckProcess { pid, files, output, token, printed, answer });
        Ok(())
    }

    /// Reads what the check prints while it runs: its pipe may hold less than it prints.
    pub(in crate::supervisor) fn hear_check(&mut self, token: u64) {
        let Some(check) = self.reload.check.as_mut().filter(|check| check.token == token) else { return };
        if check.printed.read(&check.output).closed {
            self.poller.remove(&check.output, token);
        }
    }

    /// The lines that an ended check has printed, and one more if they were too many.
    fn lines_of(&mut self, check: &mut CheckProcess) -> Vec<String> {
        // It has ended, so this is the rest. One read is enough: a process that it has left running may print more.
        check.printed.read(&check.output);
        self.poller.remove(&check.output, check.token);
        let Bounded { bytes, more } = &check.printed;
        let more = *more;
        let text = String::from_utf8_lossy(bytes);
        let lines = text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned);
        lines.chain((more > 0).then(|| format!("{more} more bytes were cut"))).collect()
    }

    /// The check has been reaped.
    pub(in crate::supervisor) fn check_ended(&mut self, exit: Exit) {
        let Some(mut check) = self.reload.check.take() else { return };
        let unchanged = check.files == self.file_marks();
        let lines = self.lines_of(&mut check);
        match self.reload.plan.check_ended(exit, unchanged) {
            Outcome::Execute => {
                self.note_changes(check.answer);
                self.put_into_effect();
            }
            Outcome::CheckAgain => {
                log::say(&messages::checked_again());
            }
            Outcome::Refuse(exit) => {
                for line in &lines {
                    log::say(&messages::check_said(line));
                    self.results.reason(line);
                }
                self.refuse_reload(&refusal(exit), lines.first().map(String::as_str));
            }
        }
    }

    /// A reload has failed; the present generation goes on. systemd gets `reason` instead of the line, if there is one.
    pub(in crate::supervisor) fn refuse_reload(&mut self, message: &Message, reason: Option<&str>) {
        log::say(message);
        self.results.reload_failed(message.text());
        self.service.reload_failed(clock::wall_seconds());
        let status = reason.map(|reason| format!("reload refused: {reason}"));
        let told = Happening::cut(status.as_deref().unwrap_or(message.text()));
        self.note_event(Owner::All, Happening::ReloadRefused(told), 1);
        self.tell_refused(status.as_deref().unwrap_or(message.text()));
    }

    /// Executes the new program, or puts that off. Otherwise returns only if it fails; then nothing has changed.
    pub(super) fn execute(&mut self) {
        let serving = self.fleet.goal() == Goal::Serve;
        if serving && self.sockets.is_busy() && self.reload.plan.wait_for_paths(clock::now()) {
            return;
        }
        self.flush_orders();
        let orders_wait = self.orders_wait();
        if !self.reload.plan.may_execute(orders_wait, serving) {
            return;
        }
        // The new image reads the files as they are then, so this counts for requests during the check, too.
        self.results.reload_begins();
        let abandoned = self.abandon_preparations();
        self.sockets.wait_briefly();
        let keep_log = log::descriptor();
        if self.is_program_replaced() {
            // A former version does not know counters that are not published.
            self.totals.publish_all();
        }
        let mut state = self.state();
        state.log = keep_log.as_ref().map(AsRawFd::as_raw_fd);
        let args: Vec<OsString> = self.arguments();
        log::say(&messages::executing(self.host.program.display(), shown(&self.host.args)));
        self.outputs.finish();
        self.slow_logs.finish();
        self.abandon_reopening();
        state.unwritten = log::take_unwritten();
        self.monitor.tell_of_exec(clock::now());
        let error = self.try_execute(&state, args);
        log::take_over(state.unwritten);
        abandoned.into_iter().for_each(|id| self.fleet.prepare_again(clock::now(), id.zygote()));
        self.refuse_reload(&messages::not_executed(error), None);
    }

    fn try_execute(&self, state: &State, mut args: Vec<OsString>) -> std::io::Error {
        let content =
            match serde_json::to_vec(state).map_err(Into::into).and_then(|b| shared::file_of("cgi-fpm-state", &b)) {
                Ok(fd) => fd,
                Err(e) => return e,
            };
        args.push(format!("--fpm-fd={}", content.as_raw_fd()).into());
        let mask = signal::block_all();
        let before = std::env::var_os("LD_PRELOAD");
        if let Some(list) = self.host.preload() {
            single_threaded::set_variable("LD_PRELOAD", &list);
        }
        let descriptors: Vec<RawFd> = state.descriptors().into_iter().chain([content.as_raw_fd()]).collect();
        let error = match descriptors.iter().try_for_each(|&raw| fd::survive_exec(raw)) {
            Ok(()) => process::exec(&self.host.program, &args),
            Err(e) => e,
        };
        descriptors.iter().for_each(|&raw| fd::leave_at_exec(raw));
        match before {
            Some(list) => single_threaded::set_variable("LD_PRELOAD", &list),
            None => single_threaded::remove_variable("LD_PRELOAD"),
        }
        if let Ok(mask) = mask {
            let _ = signal::set_mask(&mask);
        }
        error
    }

    fn arguments(&self) -> Vec<OsString> {
        let mut args: Vec<OsString> = own_arguments(&self.host.args).cloned().collect();
        args.push("--fpm-role=resume".into());
        args
    }
}

/// Identifies the program and its library.
fn program_marks(host: &Host) -> [Option<FileMark>; 2] {
    [&host.program, &host.library].map(|path| FileMark::of(path))
}

impl Reload {
    /// None is under way. `host` is the program that this process has just executed.
    pub(in crate::supervisor) fn of_image(host: &Host) -> Self {
        Self { image: program_marks(host), ..Self::default() }
    }
}

/// The arguments as the operator gave them, without our hidden ones.
pub(in crate::supervisor) fn own_arguments(args: &[OsString]) -> impl Iterator<Item = &OsString> {
    let hidden = |a: &OsString| a.to_str().is_some_and(|a| a.starts_with("--fpm-role=") || a.starts_with("--fpm-fd="));
    args.iter().filter(move |a| !hidden(a))
}

fn shown(args: &[OsString]) -> String {
    let quoted: Vec<String> = own_arguments(args).map(|a| format!("\"{}\"", a.to_string_lossy())).collect();
    format!("{{{}}}", quoted.join(", "))
}

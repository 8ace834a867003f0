//! SIGUSR2: check, hand over, execute the program anew. Requests go on all the while.

use std::ffi::OsString;
use std::os::fd::{AsRawFd, RawFd};

use crate::log;
use crate::plan::fleet::{Goal, Phase};
use crate::supervisor::core::Supervisor;
use crate::supervisor::generation::{Launch, Launched};
use crate::supervisor::output::Bounded;
use crate::supervisor::reload::progress::{CHECK_LIMIT, Check, FileMark};
use crate::supervisor::reload::state::State;
use crate::sys::clock::{self, Millis};
use crate::sys::process::{self, Exit};
use crate::sys::{fd, shared, signal, single_threaded};

impl Supervisor {
    pub(in crate::supervisor) fn reload_asked(&mut self) {
        if self.fleet.goal == Goal::Serve {
            self.results.reload_asked();
            self.reload.wished = true;
            if self.reload.check.is_some() {
                // The one under way does for this wish, too: it is begun for whoever has it.
                self.tell_reloading();
            }
        }
    }

    /// Starts what is wished for as soon as it may; ends a check that takes too long.
    pub(in crate::supervisor) fn advance_reload(&mut self) {
        let now = clock::now();
        if let Some(check) = self.reload.check.as_ref().filter(|c| c.deadline <= now) {
            let line = "reload refused: the check of the new program did not end in time";
            log::error(line);
            self.results.reason(line);
            process::kill(check.pid, nix::sys::signal::Signal::SIGKILL);
        }
        if !self.reload.wished || self.reload.check.is_some() {
            return;
        }
        if !self.fleet.may_reload() {
            let draining = self.fleet.generations.iter().filter(|g| g.phase == Phase::Draining).count();
            if draining >= 3 && !self.reload.said_waiting {
                self.reload.said_waiting = true;
                log::notice("reload waits: three generations still finish their requests");
            }
            return;
        }
        self.reload.wished = false;
        self.reload.said_waiting = false;
        log::notice("Reloading in progress ...");
        self.tell_reloading();
        self.results.reload_begins();
        if let Err(e) = self.start_check(now) {
            self.refuse_reload(&format!("reload refused: the check could not be started: {e}"), None);
        }
    }

    /// What would be executed and read: another file at the same place has another mark.
    fn file_marks(&self) -> Vec<FileMark> {
        use std::os::unix::fs::MetadataExt;
        let mark = |path: &std::path::Path| {
            std::fs::metadata(path).ok().map(|m| (m.dev(), m.ino(), m.size(), m.mtime(), m.mtime_nsec()))
        };
        [&self.host.program, &self.host.library, &self.config.file].into_iter().map(|p| mark(p)).collect()
    }

    fn start_check(&mut self, now: Millis) -> std::io::Result<()> {
        let content = serde_json::to_vec(&self.state())?;
        let options: Vec<OsString> = own_arguments(&self.host.args[1..]).cloned().collect();
        let launch = Launch {
            host: &self.host,
            role: "check",
            options: &options,
            content: &content,
            inherit: &[],
            nofile: self.nofile,
        };
        let files = self.file_marks();
        let launched = launch.start()?;
        let Launched { pid, output } = launched;
        let token = self.poller.add_check(&output)?;
        let said = Bounded::default();
        self.reload.check = Some(Check { pid, files, output, token, said, deadline: now.plus(CHECK_LIMIT) });
        Ok(())
    }

    /// Takes what the check prints while it runs: one that has more to say than its pipe holds would wait for a reader.
    pub(in crate::supervisor) fn hear_check(&mut self, token: u64) {
        let Some(check) = self.reload.check.as_mut().filter(|check| check.token == token) else { return };
        if check.said.read(&check.output) {
            self.poller.remove(&check.output, token);
        }
    }

    /// The lines of what an ended check has said, and a last one for those that were too many.
    fn words_of(&mut self, mut check: Check) -> Vec<String> {
        // It has ended, so this is the rest; a child that it left behind can't keep us here.
        check.said.read(&check.output);
        self.poller.remove(&check.output, check.token);
        let Bounded { bytes, more } = check.said;
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned);
        lines.chain((more > 0).then(|| format!("{more} more bytes were cut"))).collect()
    }

    pub(in crate::supervisor) fn check_ended(&mut self, exit: Exit) {
        let Some(check) = self.reload.check.take() else { return };
        let unchanged = check.files == self.file_marks();
        let said = self.words_of(check);
        if exit == Exit::Code(0) && !unchanged {
            log::notice("the program or its configuration changed during the check: checked once more");
            self.reload.wished = true;
            return;
        }
        if exit == Exit::Code(0) {
            return self.execute();
        }
        for line in &said {
            log::error(format!("reload check: {line}"));
            self.results.reason(line);
        }
        let how = match exit {
            Exit::Code(code) => format!("exited with code {code}"),
            Exit::Signal(number, _) => format!("died on signal {number}"),
            Exit::Unknown => "was lost".to_owned(),
        };
        let line = format!("reload refused: the check of the new configuration and program {how}; nothing has changed");
        self.refuse_reload(&line, said.first().map(String::as_str));
    }

    /// It comes to nothing, and what there was serves on; the reason, where it is another text than the line of the log.
    pub(in crate::supervisor) fn refuse_reload(&mut self, line: &str, reason: Option<&str>) {
        log::error(line);
        self.results.reload_failed(line);
        self.tell_refused(&reason.map_or_else(|| line.to_owned(), |reason| format!("reload refused: {reason}")));
    }

    /// Becomes the new program. Comes back only if that fails; then nothing has changed.
    fn execute(&mut self) {
        self.flush_orders();
        if self.orders_wait() || self.fleet.goal != Goal::Serve {
            // A message can't be half sent when this image ends: once more when all are sent.
            self.reload.wished = self.fleet.goal == Goal::Serve;
            return;
        }
        // The new image reads what there is then: that is for those, too, who have asked during the check.
        self.results.reload_begins();
        let keep_log = log::descriptor();
        let mut state = self.state();
        state.log = keep_log.as_ref().map(AsRawFd::as_raw_fd);
        let args: Vec<OsString> = self.arguments();
        log::notice(format!("reloading: execvp(\"{}\", {})", self.host.program.display(), shown(&self.host.args)));
        self.outputs.finish();
        self.slow_logs.finish();
        state.unwritten = log::take_unwritten();
        let error = self.try_execute(&state, args);
        log::take_over(state.unwritten);
        self.refuse_reload(&format!("failed to reload: execvp() failed: {error}; nothing has changed"), None);
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

/// The arguments as the operator gave them.
pub(in crate::supervisor) fn own_arguments(args: &[OsString]) -> impl Iterator<Item = &OsString> {
    let hidden = |a: &OsString| a.to_str().is_some_and(|a| a.starts_with("--fpm-role=") || a.starts_with("--fpm-fd="));
    args.iter().filter(move |a| !hidden(a))
}

fn shown(args: &[OsString]) -> String {
    let quoted: Vec<String> = own_arguments(args).map(|a| format!("\"{}\"", a.to_string_lossy())).collect();
    format!("{{{}}}", quoted.join(", "))
}

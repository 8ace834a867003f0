//! After the exec of a reload: the new image takes over from the former one and starts the next generations.

use std::os::fd::{OwnedFd, RawFd};
use std::path::Path;

use crate::cli::Options;
use crate::config::{self, Global, LoadOptions};
use crate::configured::{load_options, open_log, say};
use crate::exit::ExitCode;
use crate::host::Host;
use crate::log;
use crate::log::messages::{lifecycle, reload, zygotes};
use crate::plan::fleet::Scope;
use crate::supervisor::core::{self, Supervisor};
use crate::supervisor::daemon;
use crate::supervisor::generation::{StartError, addresses};
use crate::supervisor::output::Writer;
use crate::supervisor::reload::adopt::{self, Adopted};
use crate::supervisor::reload::state::{State, StateError};
use crate::supervisor::systemd::Systemd;
use crate::sys::failure::reason;
use crate::sys::{aside, clock, fd, inherited, pid_file, title};

/// Takes over, then starts the next generations. If those can't start, the present ones go on.
#[must_use]
pub(crate) fn resume(mut host: Host, options: Options, raw: RawFd) -> i32 {
    // Before the state is read, which is large.
    core::start_pipe_readers();
    let (state, adopted) =
        match State::read(raw).and_then(|mut state| adopt_state(&mut state).map(|adopted| (state, adopted))) {
            Ok(both) => both,
            Err(e) => {
                log::say(&reload::state_unusable(e));
                return ExitCode::Software.status();
            }
        };
    host.program.clone_from(&state.program);
    // A former version may not have done so.
    let _ = daemon::leave_caller();
    let Adopted { sockets, totals, runtimes, outputs, tracers, unclosed, bases, commands, monitor, control, service } =
        adopted;
    let systemd = Systemd::from_state(&state.systemd, clock::now());
    let bare = match Supervisor::bare(host, options, state.config, state.nofile, systemd, commands) {
        Ok(bare) => bare,
        Err(e) => {
            log::say(&lifecycle::cannot_wait_for_events(e));
            return ExitCode::Software.status();
        }
    };
    let (fleet, reopened, outdated, events) = (state.fleet, state.reopened, state.outdated, state.events);
    let mut supervisor =
        Supervisor { fleet, runtimes, sockets, totals, bases, reopened, outdated, monitor, events, control, ..bare };
    match service {
        Some(service) => supervisor.service = service,
        // A former version has served.
        None => supervisor.service.begin_as_ready(clock::wall_seconds()),
    }
    for (id, runtime) in supervisor.runtimes.iter() {
        supervisor.outputs.add_generation(id, runtime.group_names());
    }
    for (key, questions, answers) in tracers {
        let pool = supervisor.runtimes.pool_name(key.of_pool());
        supervisor.tracers.add(&mut supervisor.poller, key, questions, answers, &pool);
    }
    aside::close(unclosed);
    supervisor.carry_on(outputs, &state.scope);
    supervisor.run()
}

/// Opens the log as it was and takes over what the state names.
fn adopt_state(state: &mut State) -> Result<Adopted, StateError> {
    let log = state.log.map(inherited::adopt).transpose()?;
    log::set_level(state.config.global.log_level);
    log::set_format(state.config.global.log_format);
    if let Some(fd) = log {
        log::replace_descriptor(fd);
    }
    log::never_wait();
    log::lead_stderr_again();
    log::take_over(std::mem::take(&mut state.unwritten));
    state.validate()?;
    Ok(adopt::adopt(state)?)
}

impl Supervisor {
    fn carry_on(&mut self, outputs: Vec<(OwnedFd, Writer)>, scope: &Scope) {
        fd::close_on_exec_from(3);
        for (pipe, source) in outputs {
            self.add_output(pipe, source);
        }
        for key in self.runtimes.keys() {
            self.runtimes.share_files(key);
            if let Some(zygote) = self.runtimes.zygote(key)
                && let Err(e) = self.poller.add_zygote(&zygote.reports, key)
            {
                log::say(&zygotes::zygote_not_watched(e));
            }
        }
        self.watch_bases();
        self.fleet.watches_were_lost();
        let runtimes = &self.runtimes;
        let listens = |key| runtimes.pool(key).map(|pool| &pool.listen);
        self.fleet.learn_addresses(|key| listens(key).into_iter().flatten().flat_map(addresses).collect());
        // The former image may not have put all sockets in their places.
        self.switch_sockets();
        self.prove_workers();
        self.catch_up();
        self.close_outputs_of_ended();
        title::set(&format!("php-fpm: master process ({})", self.config.file.display()));
        if let Err(e) = self.next_generations(scope) {
            self.refuse_reload(&reload::next_generation_failed(e), None);
        }
        log::say(&lifecycle::fpm_is_running(std::process::id()));
    }

    fn next_generations(&mut self, scope: &Scope) -> Result<(), StartError> {
        let load = load_options(&self.host, &self.options);
        let before = self.config.clone();
        let begun = self.try_next_generations(&before.global, &load, scope);
        begun.inspect_err(|_| self.config = before)
    }

    fn try_next_generations(&mut self, before: &Global, load: &LoadOptions, scope: &Scope) -> Result<(), StartError> {
        self.config = match config::load(&self.options.config_path(&self.host.config_file()), load) {
            Ok(loaded) => {
                log::set_level(loaded.config.global.log_level);
                log::set_format(loaded.config.global.log_format);
                say(&loaded.messages);
                loaded.config
            }
            Err(e) => {
                say(&e.messages);
                return Err(StartError::Configuration);
            }
        };
        self.change_log(before)?;
        self.begin_groups(load, scope)?;
        self.outputs.set_limit(self.config.global.log_limit);
        self.keep_pid_file(before.pid.as_deref());
        Ok(())
    }

    /// Opens the log that is configured now. A log that was a standard stream and still is stays open: a daemon's descriptors 1 and
    /// 2 are /dev/null by now.
    fn change_log(&mut self, before: &Global) -> Result<(), StartError> {
        let now = &self.config.global;
        let stays = now.error_log == before.error_log && now.error_log.file().and_then(fd::standard_stream).is_some();
        if !stays && let Some(sink) = open_log(now, &self.options)? {
            log::set_sink(sink, false);
        }
        log::set_format(now.log_format);
        Ok(())
    }

    /// Writes the pid file, if it has another name now or has been removed.
    fn keep_pid_file(&self, former: Option<&Path>) {
        let path = self.config.global.pid.as_deref();
        if let Some(former) = former.filter(|former| Some(*former) != path) {
            pid_file::remove(former, std::process::id());
        }
        let Some(path) = path else { return };
        let pid = std::process::id();
        if !pid_file::holds(path, pid)
            && let Err(e) = pid_file::write(path, pid)
        {
            log::say(&lifecycle::pid_file_not_written(path.display(), reason(&e)));
        }
    }
}

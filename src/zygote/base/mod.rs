//! A base zygote: starts PHP once, as a user of its own and before any group's code, and then only waits. The zygotes of groups are
//! forked from it. Each becomes its user, and gets copies of the memory that PHP shares between processes.
#![forbid(unsafe_code)]

pub(super) mod error;
mod fit;
mod fork;
mod forked;

use std::os::fd::AsFd;

use caps::{CapSet, Capability};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, getppid};

use super::error::StartError;
use super::state::Zygote;
use crate::configured::loaded_files::LoadedFiles;
use crate::engine::{Engine, FindStartFiles, IniFiles, StartSteps, StepError};
use crate::exit::ExitCode;
use crate::ipc::{BaseSpec, Channel, FromBase, Incoming, PROTOCOL, ReportSender, SPOKEN, ToBase};
use crate::log::{self, messages::bases::base_started_wrongly};
use crate::sys::private_copy::{OpenDescriptors, PrivateCopy};
use crate::sys::{fd, idle_memory, ids, inherited, process, process_limits, processor, signal, title};
use error::BaseError;
use forked::ForkedZygote;

/// What it needs to become a group's user. Not effective until then.
const KEPT: [Capability; 2] = [Capability::CAP_SETUID, Capability::CAP_SETGID];

/// Runs a base zygote, and every zygote and worker that is forked from it. Returns the exit status of the process that this one has
/// become.
pub(crate) fn run(spec: &BaseSpec, php: &str, engine: &mut impl Engine) -> i32 {
    title::set(&format!("php-fpm: base zygote (generation {})", spec.generation));
    log::set_level(spec.log_level);
    log::set_format(spec.log_format);
    let mut base = match Base::adopt(spec) {
        Ok(base) => base,
        Err(e) => {
            log::say(&base_started_wrongly(e));
            return ExitCode::Software.status();
        }
    };
    let protocol = spec.protocol.filter(|one| SPOKEN.contains(one)).unwrap_or(PROTOCOL);
    base.report(&FromBase::Hello { protocol });
    let mut steps = Steps {
        base,
        spec,
        php,
        before: OpenDescriptors::now(),
        preloads: false,
        ini: IniFiles::default(),
        files: LoadedFiles::default(),
        zygote: None,
    };
    let started = prepare()
        .map_err(BaseError::Signals)
        .and_then(|()| fit::before_ini(&spec.own, spec.identity.is_some()))
        .and_then(|()| Ok(engine.start(&spec.engine, &mut steps)?));
    if let Some(zygote) = steps.zygote {
        // Forked before preloading.
        return end(zygote, started, engine);
    }
    match started.and_then(|()| steps.make_copy()) {
        Ok(copy) => match steps.base.serve(copy) {
            Some(forked) => forked
                .become_zygote(php, &steps.files)
                .map_or_else(|status| status, |zygote| end(zygote, Ok(()), engine)),
            None => 0,
        },
        Err(reason) => {
            steps.base.report(&FromBase::Unfit(reason.to_string()));
            ExitCode::Software.status()
        }
    }
}

/// Serves as a zygote, if PHP has started.
fn end(zygote: Zygote, started: Result<(), BaseError>, engine: &mut impl Engine) -> i32 {
    let started = started.map(|()| Vec::new()).map_err(StartError::Base);
    // The end of PHP is the base's: it could remove what other zygotes still use.
    super::serve(zygote, started, engine, |_| process::exit_now(0))
}

/// What a base zygote does during PHP's start. PHP reads php.ini as root, and loads extensions as the base's user.
struct Steps<'a> {
    base: Base,
    spec: &'a BaseSpec,
    php: &'a str,
    before: OpenDescriptors,
    /// Scripts of the users are preloaded: zygotes are forked before that.
    preloads: bool,
    /// The files that PHP is started with.
    ini: IniFiles,
    files: LoadedFiles,
    /// In a zygote that was forked before preloading.
    zygote: Option<Zygote>,
}

impl StartSteps for Steps<'_> {
    fn ini_read(&mut self, files: &dyn Fn() -> IniFiles) {
        self.ini = files();
        self.files = LoadedFiles::mark(self.ini.clone());
    }

    fn after_ini(&mut self, files: &FindStartFiles<'_>) -> Result<(), StepError> {
        let files = files();
        self.base.become_user(self.spec)?;
        self.files.mark_again();
        self.preloads = fit::check(&self.ini, &files, self.spec.identity.is_some())?;
        Ok(())
    }

    fn extensions_loaded(&mut self) -> Result<(), StepError> {
        if self.preloads {
            let copy = self.make_copy()?;
            let Some(forked) = self.base.serve(copy) else { process::exit_now(0) };
            self.zygote =
                Some(forked.become_zygote(self.php, &self.files).unwrap_or_else(|status| process::exit_now(status)));
        }
        Ok(())
    }

    fn before_user_code(&mut self) -> Result<(), StepError> {
        Ok(())
    }
}

impl Steps<'_> {
    /// When PHP has started: makes its shared memory private.
    fn make_copy(&mut self) -> Result<PrivateCopy, BaseError> {
        let copy = PrivateCopy::make(&self.before)?;
        processor::ask();
        self.base.report(&FromBase::Fit { bytes: copy.bytes() });
        Ok(copy)
    }
}

struct Base {
    /// A zygote that is forked from it closes them before anything else: its user must not speak for the base zygote.
    channels: Option<(Channel<(), ToBase>, ReportSender)>,
    supervisor: Pid,
}

impl Base {
    fn adopt(spec: &BaseSpec) -> std::io::Result<Self> {
        let take = |raw| inherited::adopt(raw).map(fd::lift);
        let (orders, reports) = (take(spec.orders_fd)?, take(spec.reports_fd)?);
        let channels = Some((Channel::new(orders), ReportSender::new(reports)));
        Ok(Self { channels, supervisor: getppid() })
    }

    fn report(&mut self, message: &FromBase) {
        if let Some((_, reports)) = &mut self.channels {
            reports.send_packet(message.packet());
        }
    }

    /// Becomes the base's user, with the capabilities to become another one later.
    fn become_user(&self, spec: &BaseSpec) -> Result<(), BaseError> {
        if let Some(identity) = &spec.identity {
            ids::become_identity(identity, &spec.user, &KEPT)?;
            for one in KEPT {
                if !caps::has_cap(None, CapSet::Permitted, one).unwrap_or(false) {
                    return Err(BaseError::Capability(one));
                }
            }
        }
        // It is not known whether the supervisor may remove the limit.
        let _ = process_limits::raise_to_hard();
        process::set_dumpable(false).map_err(BaseError::Dumpable)?;
        process::die_with_parent(Signal::SIGKILL).map_err(BaseError::ParentDeathSignal)?;
        if getppid() == self.supervisor { Ok(()) } else { Err(BaseError::Orphan) }
    }

    /// Forks zygotes on order. Returns in a forked one; `None`: the supervisor has ended.
    fn serve(&mut self, copy: PrivateCopy) -> Option<ForkedZygote> {
        // Each zygote would have a copy of what it changes there.
        idle_memory::release();
        idle_memory::release_files();
        loop {
            let (orders, _) = self.channels.as_mut()?;
            let mut fds = [PollFd::new(orders.as_fd(), PollFlags::POLLIN)];
            let _ = poll(&mut fds, PollTimeout::NONE);
            match orders.receive() {
                Incoming::Message(ToBase::Fork { request, identity, user }, fds) => {
                    if self.fork(request) {
                        self.channels = None;
                        return Some(ForkedZygote { copy, fds, identity, user, supervisor: self.supervisor });
                    }
                }
                Incoming::Nothing => {}
                Incoming::Gone | Incoming::Nonsense => return None,
            }
        }
    }
}

/// Signals as a program expects them. Those for the supervisor have no effect; SIGTERM and SIGQUIT end a base zygote, which is
/// started again when it is needed.
fn prepare() -> std::io::Result<()> {
    signal::reset_actions();
    for others in [Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2] {
        signal::handle_by_nothing(others);
    }
    signal::set_mask(&SigSet::empty())
}

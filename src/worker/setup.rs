//! The set-up of a worker after its fork. The order of the steps matters: some need rights that a later step gives
//! up.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::AtomicU64;

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::stat::{fstat, fstatat};
use nix::unistd::{Pid, chdir, chroot, fchdir, getppid};

use super::failure::SetupFailure;
use super::hat::Hat;
use crate::config::PoolConfig;
use crate::log::{self, messages::worker_setup as messages};
use crate::sys::failure::reason;
use crate::sys::fd::{self, Stream};
use crate::sys::ids::{self, Identity};
use crate::sys::limits::FileLimits;
use crate::sys::{capabilities, limits, local_time, orphan, process, signal, single_threaded, title};

/// What the zygote has done for the directories of a pool, as its workers may have no right to do it.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// The root directory is the pool's `chroot`.
    pub in_root: bool,
    /// `chdir`, if the pool's user cannot reach it by its path.
    pub directory: Option<OwnedFd>,
}

/// What the set-up needs.
#[derive(Debug)]
pub(super) struct Setup<'a> {
    /// The pool's directives.
    pub pool: &'a PoolConfig,
    /// Who to become; `None`: stay.
    pub identity: Option<&'a Identity>,
    /// `USER`, `HOME` and `env[]`.
    pub environment: &'a [(String, String)],
    /// stdout and stderr, if the supervisor catches them.
    pub output: Option<(OwnedFd, OwnedFd)>,
    /// /dev/null.
    pub null: BorrowedFd<'a>,
    /// Where the zygote has left it.
    pub place: &'a Place,
    /// RLIMIT_NOFILE as the supervisor found it.
    pub nofile: FileLimits,
    /// The zygote.
    pub parent: Pid,
    /// Not 0 if the supervisor's next SIGTERM ends the worker.
    pub end: &'static AtomicU64,
    /// SIGTERM and SIGINT ask it to finish.
    pub graceful: bool,
}

impl Setup<'_> {
    /// Runs all steps.
    ///
    /// # Errors
    /// The step that failed. The worker must not serve.
    pub(super) fn apply(&self) -> Result<(), SetupFailure> {
        title::set(&format!("php-fpm: pool {}", self.pool.name));
        self.standard_streams().map_err(SetupFailure::Streams)?;
        log::become_worker();
        let hat = self.pool.apparmor_hat.as_deref().map(Hat::find).transpose()?;
        self.privileged()?;
        self.drop_privileges()?;
        if self.pool.process_dumpable {
            // A change of user makes a process undumpable.
            if let Err(e) = process::set_dumpable(true) {
                log::say(&messages::not_dumpable(&self.pool.name, reason(&e)));
            }
        }
        process::die_with_parent(Signal::SIGQUIT).map_err(SetupFailure::ParentDeathSignal)?;
        if getppid() != self.parent {
            return Err(SetupFailure::ZygoteGone);
        }
        if let Some(hat) = hat {
            hat.put_on()?;
        }
        single_threaded::replace_environment(self.pool.clear_env, self.environment);
        // `env[TZ]` may have changed the time zone.
        local_time::renew_zone();
        signal::reset_actions();
        orphan::set_parent(self.parent);
        signal::in_worker(self.end, self.graceful);
        signal::set_mask(&SigSet::empty()).map_err(SetupFailure::Signals)
    }

    fn standard_streams(&self) -> io::Result<()> {
        let null = self.null;
        fd::redirect(Stream::Stdin, null)?;
        match &self.output {
            Some((out, err)) => {
                fd::redirect(Stream::Stdout, out)?;
                fd::redirect(Stream::Stderr, err)
            }
            None => {
                fd::redirect(Stream::Stdout, null)?;
                fd::redirect(Stream::Stderr, null)
            }
        }
    }

    /// The steps that need root in a process that still is root, or the capabilities that the zygote has kept. Other
    /// zygotes have done what needs them.
    fn privileged(&self) -> Result<(), SetupFailure> {
        capabilities::raise_kept().map_err(SetupFailure::RaiseCapabilities)?;
        self.limits();
        self.enter_directories()?;
        // `process.priority` of the pool. That of `[global]` is set in `supervisor::generation::own_limits`.
        match self.pool.process_priority.map(process::set_priority) {
            Some(Err(e)) => Err(SetupFailure::Priority(e)),
            _ => Ok(()),
        }
    }

    fn drop_privileges(&self) -> Result<(), SetupFailure> {
        if let Some(identity) = self.identity {
            let name = self.pool.user.as_deref().unwrap_or_default();
            ids::become_identity(identity, name, &[])?;
        }
        capabilities::drop_all().map_err(SetupFailure::DropCapabilities)
    }

    /// Sets limits. As in php-fpm, a limit that can't be set is logged, and the worker serves without it.
    fn limits(&self) {
        // The hard limit, too, so that a script can't raise it.
        let files = self.pool.rlimit_files.map_or(self.nofile, FileLimits::same);
        self.say_limit_not_set(limits::set_files(files));
        if let Some(core) = self.pool.rlimit_core {
            self.say_limit_not_set(limits::set_core(core.bytes()));
        }
    }

    fn say_limit_not_set(&self, result: Result<(), impl std::fmt::Display>) {
        if let Err(what) = result {
            log::say(&messages::worker_limit_not_set(&self.pool.name, what));
        }
    }

    fn enter_directories(&self) -> Result<(), SetupFailure> {
        let change = |dir: &Path| {
            let entered = chdir(dir).or_else(|error| self.place.directory.as_ref().map_or(Err(error), enter_or_stay));
            entered.map_err(|e| SetupFailure::Chdir(dir.to_owned(), e.into()))
        };
        if let Some(root) = self.pool.chroot.as_ref().filter(|_| !self.place.in_root) {
            chroot(root).map_err(|e| SetupFailure::Chroot(root.clone(), e.into()))?;
        }
        match (&self.pool.chdir, &self.pool.chroot) {
            (Some(dir), _) => change(dir),
            (None, Some(_)) => change(Path::new("/")),
            (None, None) => Ok(()),
        }
    }
}

/// Enters a directory that the zygote has opened. If this is the present one, the user need not be able to enter it.
fn enter_or_stay(directory: &OwnedFd) -> nix::Result<()> {
    // Not `stat(".")`, which looks "." up and so must be able to enter the directory.
    let (there, here) = (fstat(directory.as_fd())?, fstatat(AT_FDCWD, "", AtFlags::AT_EMPTY_PATH)?);
    if (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino) { Ok(()) } else { fchdir(directory) }
}

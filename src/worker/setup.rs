//! From a fresh fork to a worker: the steps in the order that each needs what the earlier ones still allow.
#![forbid(unsafe_code)]

use std::fmt::Display;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU64;

use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, chdir, chroot, getppid};

use super::hat::Hat;
use crate::config::PoolConfig;
use crate::log;
use crate::sys::failure::reason;
use crate::sys::fd::{self, Stream};
use crate::sys::ids::{self, Identity};
use crate::sys::limits::FileLimits;
use crate::sys::{capabilities, limits, local_time, process, signal, single_threaded, title};

/// What set-up needs beside the pool's configuration.
#[derive(Debug)]
pub struct Setup<'a> {
    /// The pool's directives.
    pub pool: &'a PoolConfig,
    /// Who to become; `None`: stay.
    pub identity: Option<&'a Identity>,
    /// `USER`, `HOME` and `env[]`.
    pub environment: &'a [(String, String)],
    /// stdout and stderr where the supervisor catches them.
    pub output: Option<(OwnedFd, OwnedFd)>,
    /// RLIMIT_NOFILE as the supervisor found it.
    pub nofile: FileLimits,
    /// The zygote.
    pub parent: Pid,
    /// Not 0 where the supervisor's next SIGTERM is to end the worker.
    pub end: &'static AtomicU64,
    /// SIGTERM and SIGINT ask it to finish.
    pub graceful: bool,
}

/// A step that failed.
#[derive(Debug, thiserror::Error)]
#[error("[pool {pool}] {what}")]
pub struct SetupError {
    pool: String,
    what: String,
}

impl Setup<'_> {
    fn failed(&self, what: impl Display) -> SetupError {
        SetupError { pool: self.pool.name.clone(), what: what.to_string() }
    }

    fn step<T>(&self, step: &str, result: Result<T, impl Into<io::Error>>) -> Result<T, SetupError> {
        result.map_err(|e| self.failed(format!("failed to {step}: {}", reason(&e.into()))))
    }

    /// Carries it out.
    ///
    /// # Errors
    /// The step that failed: the worker must not serve.
    pub fn apply(&self) -> Result<(), SetupError> {
        title::set(&format!("php-fpm: pool {}", self.pool.name));
        self.step("redirect its standard streams", self.standard_streams())?;
        log::become_worker();
        let hat = self.pool.apparmor_hat.as_deref().map(Hat::find).transpose().map_err(|e| self.failed(e))?;
        self.privileged()?;
        self.drop_privileges()?;
        if self.pool.process_dumpable {
            // A change of user has taken it away; without one the process is as dumpable as any.
            let set = process::set_dumpable(true);
            self.say_failure(set.map_err(|e| format!("failed to prctl(PR_SET_DUMPABLE): {}", reason(&e))));
        }
        self.step("tie its life to its zygote", process::die_with_parent(Signal::SIGQUIT))?;
        if getppid() != self.parent {
            return Err(self.failed("failed to find its zygote: it has gone"));
        }
        if let Some(hat) = hat {
            hat.put_on().map_err(|e| self.failed(e))?;
        }
        single_threaded::replace_environment(self.pool.clear_env, self.environment);
        // `env[TZ]` counts.
        local_time::renew_zone();
        signal::reset_actions();
        signal::in_worker(self.end, self.graceful);
        self.step("unblock signals", signal::set_mask(&SigSet::empty()))
    }

    fn standard_streams(&self) -> io::Result<()> {
        let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
        fd::redirect(Stream::Stdin, &null)?;
        match &self.output {
            Some((out, err)) => {
                fd::redirect(Stream::Stdout, out)?;
                fd::redirect(Stream::Stderr, err)
            }
            None => {
                fd::redirect(Stream::Stdout, &null)?;
                fd::redirect(Stream::Stderr, &null)
            }
        }
    }

    /// What takes root, or what the zygote has kept of it.
    fn privileged(&self) -> Result<(), SetupError> {
        self.step("take up its zygote's capabilities", capabilities::raise_kept())?;
        self.limits();
        self.enter_directories()?;
        match self.pool.process_priority.map(process::set_priority) {
            Some(Err(e)) => Err(self.failed(format!("Unable to set priority for this new process: {}", reason(&e)))),
            _ => Ok(()),
        }
    }

    fn drop_privileges(&self) -> Result<(), SetupError> {
        if let Some(identity) = self.identity {
            let name = self.pool.user.as_deref().unwrap_or_default();
            ids::become_identity(identity, name, &[]).map_err(|e| self.failed(e))?;
        }
        self.step("give up its capabilities", capabilities::drop_all())
    }

    /// Limits that can't be set are said, and the worker serves without, as under php-fpm.
    fn limits(&self) {
        // A script can't raise it again.
        let files = self.pool.rlimit_files.map_or(self.nofile, FileLimits::same);
        self.say_failure(limits::set_files(files));
        if let Some(core) = self.pool.rlimit_core {
            self.say_failure(limits::set_core(core.bytes()));
        }
    }

    fn say_failure(&self, result: Result<(), impl std::fmt::Display>) {
        if let Err(what) = result {
            log::error(format!("[pool {}] {what}", self.pool.name));
        }
    }

    fn enter_directories(&self) -> Result<(), SetupError> {
        if let Some(root) = &self.pool.chroot {
            self.step(&format!("chroot({})", root.display()), chroot(root))?;
        }
        match (&self.pool.chdir, &self.pool.chroot) {
            (Some(dir), _) => self.step(&format!("chdir({})", dir.display()), chdir(dir)),
            (None, Some(_)) => self.step("chdir(/)", chdir("/")),
            (None, None) => Ok(()),
        }
    }
}

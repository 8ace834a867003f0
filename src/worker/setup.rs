//! From a fresh fork to a worker: the steps in the order that each needs what the earlier ones still allow.
#![forbid(unsafe_code)]

use std::fmt::Display;
use std::os::fd::OwnedFd;

use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, chdir, chroot, getppid};

use crate::config::{CoreLimit, Pool};
use crate::log;
use crate::sys::ids::{self, Identity};
use crate::sys::{environment, fd, process, signal, title};

/// What set-up needs beside the pool's configuration.
#[derive(Debug)]
pub struct Setup<'a> {
    /// The pool's directives.
    pub pool: &'a Pool,
    /// Who to become; `None`: stay.
    pub identity: Option<&'a Identity>,
    /// `USER`, `HOME` and `env[]`.
    pub environment: &'a [(String, String)],
    /// stdout and stderr where the supervisor catches them.
    pub output: Option<(OwnedFd, OwnedFd)>,
    /// RLIMIT_NOFILE as the supervisor found it.
    pub nofile: (u64, u64),
    /// The zygote.
    pub parent: Pid,
}

/// A step that failed.
#[derive(Debug, thiserror::Error)]
#[error("[pool {pool}] failed to {step}: {reason}")]
pub struct SetupError {
    pool: String,
    step: &'static str,
    reason: String,
}

impl Setup<'_> {
    fn step<T, E: Display>(&self, step: &'static str, result: Result<T, E>) -> Result<T, SetupError> {
        result.map_err(|e| SetupError { pool: self.pool.name.clone(), step, reason: e.to_string() })
    }

    /// Carries it out.
    ///
    /// # Errors
    /// The step that failed: the worker must not serve.
    pub fn apply(&self) -> Result<(), SetupError> {
        title::set(&format!("php-fpm: pool {}", self.pool.name));
        self.step("redirect its standard streams", self.standard_streams())?;
        log::become_worker();
        self.limits();
        self.enter_root()?;
        if let Some(identity) = self.identity {
            self.step("take its user's identity", ids::become_identity(identity))?;
        }
        self.step("give up its capabilities", ids::drop_capabilities())?;
        if self.pool.process_dumpable {
            // A change of user has taken it away; without one the process is as dumpable as any.
            self.step("set dumpable", process::set_dumpable(true))?;
        }
        self.step("tie its life to its zygote", process::die_with_parent(Signal::SIGQUIT))?;
        if getppid() != self.parent {
            return self.step("find its zygote", Err("it has gone"));
        }
        environment::replace(self.pool.clear_env, self.environment);
        signal::reset_actions();
        signal::note_quits();
        self.step("unblock signals", signal::set_mask(&SigSet::empty()))
    }

    fn standard_streams(&self) -> std::io::Result<()> {
        let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
        fd::replace(&null, 0, false)?;
        match &self.output {
            Some((out, err)) => {
                fd::replace(out, 1, false)?;
                fd::replace(err, 2, false)
            }
            None => {
                fd::replace(&null, 1, false)?;
                fd::replace(&null, 2, false)
            }
        }
    }

    /// Limits that can't be set are said, and the worker serves without, as under php-fpm.
    fn limits(&self) {
        // A script can't raise it again.
        let (soft, hard) = self.pool.rlimit_files.map_or(self.nofile, |files| (files, files));
        let set = setrlimit(Resource::RLIMIT_NOFILE, soft, hard);
        self.say_failure("rlimit_files", set);
        if let Some(core) = self.pool.rlimit_core {
            let bytes = match core {
                CoreLimit::Unlimited => RLIM_INFINITY,
                CoreLimit::Bytes(bytes) => bytes,
            };
            self.say_failure("rlimit_core", setrlimit(Resource::RLIMIT_CORE, bytes, bytes));
        }
        if let Some(nice) = self.pool.process_priority {
            self.say_failure("process.priority", process::set_priority(nice));
        }
    }

    fn say_failure<E: Display>(&self, directive: &str, result: Result<(), E>) {
        if let Err(e) = result {
            log::error(format!("[pool {}] failed to set {directive}: {e}", self.pool.name));
        }
    }

    fn enter_root(&self) -> Result<(), SetupError> {
        if let Some(root) = &self.pool.chroot {
            self.step("chroot", chroot(root))?;
        }
        match (&self.pool.chdir, &self.pool.chroot) {
            (Some(dir), _) => self.step("chdir", chdir(dir)),
            (None, Some(_)) => self.step("chdir", chdir("/")),
            (None, None) => Ok(()),
        }
    }
}

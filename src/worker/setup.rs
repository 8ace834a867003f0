//! From a fresh fork to a worker: the steps in the order that each needs what the earlier ones still allow.
#![forbid(unsafe_code)]

use std::fmt::Display;
use std::os::fd::OwnedFd;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, chdir, chroot, getppid};

use crate::config::{CoreLimit, Pool};
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
        self.step("set its limits", self.limits())?;
        if let Some(nice) = self.pool.process_priority {
            self.step("set its priority", process::set_priority(nice))?;
        }
        self.enter_root()?;
        if let Some(identity) = self.identity {
            self.step("take its user's identity", ids::become_identity(identity))?;
        }
        self.step("give up its capabilities", ids::drop_capabilities())?;
        self.step("set dumpable", process::set_dumpable(self.pool.process_dumpable))?;
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

    fn limits(&self) -> nix::Result<()> {
        let (soft, hard) = self.nofile;
        let files = self.pool.rlimit_files.unwrap_or(soft);
        let hard = getrlimit(Resource::RLIMIT_NOFILE)?.1.min(hard);
        setrlimit(Resource::RLIMIT_NOFILE, files, hard.max(files))?;
        match self.pool.rlimit_core {
            Some(CoreLimit::Unlimited) => setrlimit(Resource::RLIMIT_CORE, RLIM_INFINITY, RLIM_INFINITY),
            Some(CoreLimit::Bytes(bytes)) => setrlimit(Resource::RLIMIT_CORE, bytes, bytes),
            None => Ok(()),
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

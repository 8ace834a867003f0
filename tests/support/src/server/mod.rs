//! A private server in the foreground: starts it, and ends it with all its processes.

mod contact;
mod processes;

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::around::Around;
use crate::clock::{ms, wait_until};
use crate::guard::Guard;
use crate::log::Log;
use crate::process::{self, Process};
use crate::sandbox::{Sandbox, free_port};
use crate::setup::{Listen, Setup};
use crate::stream::Address;
use crate::target::Target;
use crate::{Outcome, ensure, say};

pub use processes::{is_base, is_pipe_reader, is_worker};

const READY: &str = "ready to handle connections";

/// A running server.
#[derive(Debug)]
pub struct Server {
    /// Its directory.
    pub sandbox: Sandbox,
    /// Where it listens.
    pub address: Address,
    /// The prefix that it runs from.
    pub prefix: PathBuf,
    /// Its error_log.
    pub log: Log,
    /// Its configuration as started.
    pub conf: String,
    /// The supervisor.
    pub supervisor: Process,
    is_ours: bool,
    child: Child,
    ended: bool,
    _guard: Guard,
}

impl Server {
    /// Starts one and waits until it is ready.
    ///
    /// # Errors
    /// When it doesn't come up within 15 s.
    pub fn start(target: &Target, setup: &Setup) -> Outcome<Self> {
        Self::start_in(Sandbox::new()?, target, setup)
    }

    /// As `start`, in a sandbox that was prepared.
    ///
    /// # Errors
    /// When it doesn't come up within 15 s.
    pub fn start_in(sandbox: Sandbox, target: &Target, setup: &Setup) -> Outcome<Self> {
        let address = match setup.listen {
            Listen::Unix => Address::Unix(sandbox.file("fpm.sock")),
            Listen::Tcp => Address::Tcp(([127, 0, 0, 1], free_port()?).into()),
        };
        Self::start_at(address, sandbox, target, setup)
    }

    /// As `start_in`, at an address that others already know.
    ///
    /// # Errors
    /// When it doesn't come up within 15 s.
    pub fn start_at(address: Address, sandbox: Sandbox, target: &Target, setup: &Setup) -> Outcome<Self> {
        Self::start_amid(Around::default(), address, sandbox, target, setup)
    }

    /// As `start_at`, with these surroundings.
    ///
    /// # Errors
    /// When it doesn't come up within 15 s.
    pub fn start_amid(
        around: Around,
        address: Address,
        sandbox: Sandbox,
        target: &Target,
        setup: &Setup,
    ) -> Outcome<Self> {
        let mut server = Self::spawn_amid(around, address, sandbox, target, setup)?;
        server.await_ready()?;
        Ok(server)
    }

    /// Starts one, on a path, and doesn't wait for it.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn spawn(target: &Target, setup: &Setup) -> Outcome<Self> {
        Self::spawn_in(Sandbox::new()?, target, setup)
    }

    /// As `spawn`, in a sandbox that was prepared.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn spawn_in(sandbox: Sandbox, target: &Target, setup: &Setup) -> Outcome<Self> {
        Self::spawn_at(Address::Unix(sandbox.file("fpm.sock")), sandbox, target, setup)
    }

    /// As `spawn_in`, at an address that others already know.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn spawn_at(address: Address, sandbox: Sandbox, target: &Target, setup: &Setup) -> Outcome<Self> {
        Self::spawn_amid(Around::default(), address, sandbox, target, setup)
    }

    fn spawn_amid(around: Around, address: Address, sandbox: Sandbox, target: &Target, setup: &Setup) -> Outcome<Self> {
        let conf = setup.conf(sandbox.path(), &address);
        sandbox.put("fpm.conf", &conf)?;
        sandbox.put("php.ini", &setup.php_ini(target, sandbox.path()))?;
        let prefix = if setup.own_prefix { copy_prefix(target, &sandbox)? } else { target.prefix.clone() };
        let inner = command(target, setup, &prefix, &sandbox);
        let mut command = around.apply(&inner, &sandbox)?;
        setup.refuse(&mut command)?;
        let child = command.process_group(0).spawn()?;
        let guard = Guard::over(child.id())?;
        let pid = i32::try_from(child.id())?;
        let supervisor = Process::find(pid).ok_or("the server ended at once")?;
        let log = Log::new(&sandbox.file("fpm.log"));
        Ok(Self {
            sandbox,
            address,
            prefix,
            log,
            conf,
            supervisor,
            is_ours: target.is_ours(),
            child,
            ended: false,
            _guard: guard,
        })
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// When it isn't within 15 s.
    pub fn await_ready(&mut self) -> Outcome {
        let (log, supervisor) = (self.log.clone(), self.supervisor);
        wait_until("the server is ready", ms(15_000), || log.count(READY) > 0 || !supervisor.lives())?;
        ensure!(self.supervisor.lives(), "the server ended while starting: {}", self.last_words());
        self.address.connect(ms(1000))?;
        Ok(())
    }

    /// Its output on stdout and stderr.
    #[must_use]
    pub fn stdio(&self) -> String {
        Log::new(&self.sandbox.file("stdio")).text()
    }

    /// Ends it by SIGTERM; no process may survive, and none may hold its socket.
    ///
    /// # Errors
    /// When it takes more than 10 s or leaves something.
    pub fn stop(mut self) -> Outcome {
        self.supervisor.signal(Signal::SIGTERM);
        self.await_end(ms(10_000))?;
        Ok(())
    }

    /// Waits until the supervisor and all that it started have ended; gives its exit status, unless a signal has ended it.
    ///
    /// # Errors
    /// If a process lives longer.
    pub fn await_end(&mut self, limit: Duration) -> Outcome<Option<i32>> {
        let mut status = None;
        let ended = wait_until("the end of the server", limit, || {
            status = self.child.try_wait().ok().flatten();
            status.is_some() && self.remaining().is_empty()
        });
        let left: Vec<String> = self.remaining().iter().map(|process| process.title()).collect();
        ended.map_err(|_| format!("{limit:?} after its end there still are: {left:?}"))?;
        self.ended = true;
        Ok(status.and_then(|status| status.code()))
    }

    fn last_words(&self) -> String {
        format!(
            "{}\n-- its last lines about other things than workers that start and exit --\n{}\n{}",
            self.log.tail(6),
            self.log.unusual(12),
            Log::new(&self.sandbox.file("stdio")).tail(3)
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.ended {
            say(&format!("-- the server's last lines --\n{}", self.last_words()));
        }
        let tree = self.supervisor.descendants();
        let _ = process::end_all(|| [tree.clone(), self.remaining()].concat());
        let _ = self.child.wait();
        let logs = [&self.log, &Log::new(&self.sandbox.file("stdio"))];
        if let Some(line) = logs.into_iter().find_map(Log::accusation).filter(|_| self.is_ours) {
            say(&line);
            assert!(std::thread::panicking(), "the server's log says: {line}");
        }
    }
}

fn command(target: &Target, setup: &Setup, prefix: &std::path::Path, sandbox: &Sandbox) -> Command {
    let mut command = setup.command(&target.program_in(prefix));
    command.arg("-F").arg("-y").arg(sandbox.file("fpm.conf")).arg("-c").arg(sandbox.file("php.ini"));
    command.args(&setup.options).envs(target.environment()).current_dir(sandbox.path());
    command
}

/// The files that a server runs from, without PHP's sources, headers and libraries.
fn copy_prefix(target: &Target, sandbox: &Sandbox) -> Outcome<PathBuf> {
    let copy = sandbox.file("prefix");
    for name in ["bin/php-cgi", "sbin/php-fpm", "libexec/php-fpm-preload", "libexec/php-fpm-stock", "lib/cgi-fpm.so"] {
        let (from, to) = (target.prefix.join(name), copy.join(name));
        if from.exists() {
            fs::create_dir_all(to.parent().ok_or("no parent")?)?;
            fs::copy(from, to)?;
        }
    }
    Ok(copy)
}

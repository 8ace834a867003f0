//! A program that runs to its end: options, refusals, the parent of a daemon.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::clock::{ms, wait_until};
use crate::process::{self, Process};
use crate::sandbox::Sandbox;
use crate::setup::Setup;
use crate::stream::Address;
use crate::target::Target;
use crate::{Outcome, ensure};

/// A configuration in a directory, and the program that uses it.
#[derive(Debug)]
pub struct Stage {
    /// The program; a copy may replace its prefix.
    pub target: Target,
    /// Its directory.
    pub sandbox: Sandbox,
    /// Where the pool is to listen.
    pub address: Address,
    /// The initial configuration.
    pub conf: String,
}

impl Stage {
    /// One with a pool of so many workers.
    ///
    /// # Errors
    /// When the directory can't be made.
    pub fn new(target: Target, workers: u32) -> Outcome<Self> {
        let setup = Setup::new(workers);
        let sandbox = Sandbox::new()?;
        let address = Address::Unix(sandbox.file("fpm.sock"));
        let conf = setup.conf(sandbox.path(), &address);
        sandbox.put("fpm.conf", &conf)?;
        sandbox.put("php.ini", &setup.php_ini(&target, sandbox.path()))?;
        Ok(Self { target, sandbox, address, conf })
    }

    /// As `new`, on the target of this run. None, and a skipped test, if there is no target.
    ///
    /// # Errors
    /// When the directory can't be made.
    pub fn find(workers: u32) -> Outcome<Option<Self>> {
        Target::find().map(|target| Self::new(target, workers)).transpose()
    }

    /// As `find`, for tests of features that php-fpm lacks.
    ///
    /// # Errors
    /// When the directory can't be made.
    pub fn find_ours(workers: u32) -> Outcome<Option<Self>> {
        Target::find_ours().map(|target| Self::new(target, workers)).transpose()
    }

    /// The program with this configuration and further options.
    #[must_use]
    pub fn command(&self, options: &[&str]) -> Command {
        command_in(&self.target, &self.sandbox, options)
    }

    /// Runs it to its end, at most 10 s.
    ///
    /// # Errors
    /// When it runs on; it is then killed.
    pub fn run(&self, options: &[&str]) -> Outcome<Ran> {
        run_to_end(&mut self.command(options))
    }

    /// The daemon that the pid file names, if it lives.
    #[must_use]
    pub fn daemon(&self) -> Option<Process> {
        Process::find(std::fs::read_to_string(self.sandbox.file("fpm.pid")).ok()?.trim().parse().ok()?)
    }

    /// Ends a daemon that the test has left running.
    ///
    /// # Errors
    /// When it outlives SIGKILL.
    pub fn sweep(&self) -> Outcome {
        let Some(daemon) = self.daemon() else { return Ok(()) };
        let tree = daemon.tree();
        process::end_all(|| tree.clone())
    }
}

/// The program with the configuration of a sandbox and further options.
#[must_use]
pub fn command_in(target: &Target, sandbox: &Sandbox, options: &[&str]) -> Command {
    let mut command = Command::new(target.program());
    command.arg("-y").arg(sandbox.file("fpm.conf")).arg("-c").arg(sandbox.file("php.ini")).args(options);
    command.envs(target.environment()).current_dir(sandbox.path()).stdin(Stdio::null());
    command
}

/// Runs the program in a sandbox to its end, as `run_to_end`.
///
/// # Errors
/// When it runs on; it is then killed.
pub fn run_in(target: &Target, sandbox: &Sandbox, options: &[&str]) -> Outcome<Ran> {
    let mut command = Command::new(target.program());
    command.args(options).envs(target.environment()).current_dir(sandbox.path()).stdin(Stdio::null());
    run_to_end(&mut command)
}

/// How a program ended.
#[derive(Debug)]
pub struct Ran {
    /// None: by a signal.
    pub status: Option<i32>,
    /// What it wrote to stdout and stderr.
    pub text: String,
}

/// Runs a program to its end, at most 10 s.
///
/// # Errors
/// When it runs on; it is then killed.
pub fn run_to_end(command: &mut Command) -> Outcome<Ran> {
    end_within(command, ms(10_000))
}

/// Runs a program to its end, with another limit.
///
/// # Errors
/// When it runs on; it is then killed.
pub fn end_within(command: &mut Command, limit: Duration) -> Outcome<Ran> {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn()?;
    let group = i32::try_from(child.id())?;
    let output = std::thread::spawn(move || child.wait_with_output());
    let ended = wait_until("the end of the program", limit, || output.is_finished());
    process::end_all(|| process::of_group(group))?;
    let Output { status, stdout, stderr } = output.join().map_err(|_| "waiting panicked")??;
    ended?;
    Ok(Ran { status: status.code(), text: String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned() })
}

impl Ran {
    /// It ended with that status, and its output contains these texts.
    ///
    /// # Errors
    /// Otherwise.
    pub fn expect(self, status: i32, texts: &[&str]) -> Outcome<Self> {
        ensure!(self.status == Some(status), "status {:?} in place of {status}: {}", self.status, self.text);
        for text in texts {
            ensure!(self.text.contains(text), "{text:?} isn't in: {:.2000}", self.text);
        }
        Ok(self)
    }

    /// It refused to start and gave the reason in one line.
    ///
    /// # Errors
    /// If it did not, or printed more.
    pub fn expect_refusal(self, reason: &str) -> Outcome {
        ensure!(self.status.is_none_or(|status| status != 0), "it ended with status 0: {}", self.text);
        let lines = self.text.lines().filter(|line| !line.trim().is_empty()).count();
        ensure!(self.text.contains(reason), "{reason:?} isn't in: {:.2000}", self.text);
        ensure!((1..=4).contains(&lines), "{lines} lines: {:.2000}", self.text);
        Ok(())
    }
}

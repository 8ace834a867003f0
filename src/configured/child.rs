//! Work in a child, with a time limit: this process neither runs PHP nor changes its user.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::Read;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, pipe2};

use crate::sys::process::{self, Forked};
use crate::sys::{pidfd, single_threaded, socket};

/// The most that is read of a child's output, in bytes.
const LONGEST: u64 = 1 << 20;
/// How long a child is waited for after SIGKILL. One that a hanging file system holds takes longer; it is then reaped together with the
/// next child that ends.
const LAST_MOMENT: Duration = Duration::from_millis(100);
/// How often it is looked whether the child was stopped.
const STOP_CHECK: Duration = Duration::from_millis(25);

/// Lets a child do `work`; returns its output. `None`: it took too long, printed too much, or could not be started.
pub(super) fn in_child(limit: Duration, work: impl FnOnce(&mut File)) -> Option<Vec<u8>> {
    Child::start(limit, work).wait()
}

/// A child at work.
#[derive(Debug)]
pub(super) struct Child {
    process: Option<pidfd::Process>,
    pid: Option<Pid>,
    output: Option<File>,
    said: Vec<u8>,
    deadline: Instant,
    complete: bool,
}

impl Child {
    /// Starts a child that does `work`.
    pub(super) fn start(limit: Duration, work: impl FnOnce(&mut File)) -> Self {
        let deadline = Instant::now() + limit;
        let mut child = Self { process: None, pid: None, output: None, said: Vec::new(), deadline, complete: false };
        let Ok((read, write)) = pipe2(OFlag::O_CLOEXEC) else { return child };
        match single_threaded::fork() {
            Ok(Forked::Parent(pid)) => {
                (child.process, child.pid) = (pidfd::Process::open(pid).ok(), Some(pid));
                child.output = Some(File::from(read));
            }
            Ok(Forked::Child) => {
                drop(read);
                work(&mut File::from(write));
                process::exit_now(0)
            }
            Err(_) => {}
        }
        child
    }

    /// Whether its output is complete by then, or will not be.
    pub(super) fn is_over(&mut self, until: Instant) -> bool {
        let mut buffer = [0; 4096];
        loop {
            let Some(output) = &mut self.output else { return true };
            let slice = until.min(self.deadline).min(Instant::now() + STOP_CHECK);
            match socket::await_input(&*output, slice) {
                Ok(true) => {}
                Ok(false) if Instant::now() < self.deadline && !self.was_stopped() => {
                    if Instant::now() >= until {
                        return false;
                    }
                    continue;
                }
                Ok(false) | Err(_) => {
                    self.output = None;
                    continue;
                }
            }
            match output.read(&mut buffer) {
                Ok(0) => (self.complete, self.output) = (true, None),
                Ok(count) => self.said.extend(buffer.iter().take(count)),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => self.output = None,
            }
            if self.said.len() as u64 > LONGEST || Instant::now() >= self.deadline {
                self.output = None;
            }
        }
    }

    /// Whether another process of its user has stopped it. It is then not waited for.
    fn was_stopped(&self) -> bool {
        self.process.as_ref().is_some_and(pidfd::Process::was_stopped)
    }

    /// Waits for its output. `None`: it took too long, printed too much, or could not be started.
    pub(super) fn wait(mut self) -> Option<Vec<u8>> {
        self.is_over(self.deadline);
        self.complete.then(|| std::mem::take(&mut self.said))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        match (&self.process, self.pid) {
            (Some(process), _) => {
                let _ = process.signal(Signal::SIGKILL);
                if process.ends_within(LAST_MOMENT) {
                    process.reap();
                }
            }
            // A seccomp filter refuses pidfd_open.
            (None, Some(pid)) => {
                process::kill(pid, Signal::SIGKILL);
                while nix::sys::wait::waitpid(pid, None) == Err(Errno::EINTR) {}
            }
            (None, None) => {}
        }
    }
}

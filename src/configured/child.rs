//! Work in a child, with a time limit: this process neither runs PHP nor changes its user.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::unistd::{Pid, pipe2};

use crate::sys::process::{self, Forked};
use crate::sys::single_threaded;
use crate::sys::task_child::TaskChild;

/// The most that is read of a child's output, in bytes.
const LONGEST: u64 = 1 << 20;
/// How long a child is waited for after SIGKILL.
const LAST_MOMENT: Duration = Duration::from_millis(100);

/// Lets a child do `work`; returns its output. `None`: it took too long, printed too much, or could not be started.
pub(super) fn in_child(limit: Duration, work: impl FnOnce(&mut File)) -> Option<Vec<u8>> {
    Child::start(limit, work).wait()
}

/// A child at work.
#[derive(Debug)]
pub(crate) struct Child {
    /// `None`: it could not be started.
    process: Option<TaskChild>,
    /// `None`: nothing more is read.
    output: Option<File>,
    said: Vec<u8>,
    deadline: Instant,
    complete: bool,
}

impl Child {
    /// A child that was just started and writes to that pipe.
    #[must_use]
    pub(crate) fn running(limit: Duration, pid: Pid, output: OwnedFd) -> Self {
        let (process, output) = (Some(TaskChild::new(pid)), Some(File::from(output)));
        Self { process, output, said: Vec::new(), deadline: Instant::now() + limit, complete: false }
    }

    /// Starts a child that does `work`. It has all descriptors of this process.
    pub(super) fn start(limit: Duration, work: impl FnOnce(&mut File)) -> Self {
        let deadline = Instant::now() + limit;
        let mut child = Self { process: None, output: None, said: Vec::new(), deadline, complete: false };
        let Ok((read, write)) = pipe2(OFlag::O_CLOEXEC) else { return child };
        match single_threaded::fork() {
            Ok(Forked::Parent(pid)) => {
                (child.process, child.output) = (Some(TaskChild::new(pid)), Some(File::from(read)));
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
    pub(crate) fn is_over(&mut self, until: Instant) -> bool {
        loop {
            let (Some(process), Some(output)) = (&self.process, &self.output) else { return true };
            match process.await_input(output, until.min(self.deadline)) {
                (Ok(true), _) => self.read(),
                (Ok(false), false) if Instant::now() < self.deadline => return false,
                (Ok(false) | Err(_), _) => self.output = None,
            }
        }
    }

    fn read(&mut self) {
        let mut buffer = [0; 4096];
        match self.output.as_mut().map(|output| output.read(&mut buffer)) {
            Some(Ok(0)) => (self.complete, self.output) = (true, None),
            Some(Ok(count)) => self.said.extend(buffer.iter().take(count)),
            Some(Err(e)) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Some(Err(_)) | None => self.output = None,
        }
        if self.said.len() as u64 > LONGEST || Instant::now() >= self.deadline {
            self.output = None;
        }
    }

    /// Waits for its output. `None`: it took too long, printed too much, or could not be started.
    pub(crate) fn wait(mut self) -> Option<Vec<u8>> {
        self.is_over(self.deadline);
        self.complete.then(|| std::mem::take(&mut self.said))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.process.iter().for_each(|process| process.kill(LAST_MOMENT));
    }
}

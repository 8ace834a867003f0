//! A forked child that does one task for this process. The parent waits for it, but not after the child was stopped, and kills it in the
//! end.
#![forbid(unsafe_code)]

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::Id;
use nix::unistd::Pid;

use super::proc_stat::{self, Origin};
use super::{pidfd, process, socket};

/// How often the parent checks whether the child was stopped.
const STOP_CHECK: Duration = Duration::from_millis(25);

/// The child, as its parent has it.
#[derive(Debug)]
pub struct TaskChild(Handle);

#[derive(Debug)]
enum Handle {
    Descriptor(pidfd::Process),
    /// A seccomp filter refuses pidfd_open. The pid may belong to another process later, so its origin is compared.
    Pid(Pid, Option<Origin>),
}

impl TaskChild {
    /// A child that was just forked.
    #[must_use]
    pub fn new(pid: Pid) -> Self {
        let by_pid = |_| Handle::Pid(pid, proc_stat::origin(pid));
        Self(pidfd::Process::open(pid).map_or_else(by_pid, Handle::Descriptor))
    }

    /// Whether it has written something by then or has closed its end, and whether another process of its user has stopped it. A
    /// stopped child is not waited for.
    pub fn await_input(&self, from: impl AsFd, until: Instant) -> (Result<bool, Errno>, bool) {
        loop {
            let written = socket::await_input(&from, until.min(Instant::now() + STOP_CHECK));
            if written != Ok(false) {
                return (written, false);
            }
            let stopped = self.was_stopped();
            if stopped || Instant::now() >= until {
                return (written, stopped);
            }
        }
    }

    fn was_stopped(&self) -> bool {
        match &self.0 {
            Handle::Descriptor(process) => process.was_stopped(),
            Handle::Pid(pid, _) => process::has_been_stopped(Id::Pid(*pid)),
        }
    }

    /// Kills it, and reaps it if it ends within that time. One that a hanging mount holds takes longer: it is then reaped together with
    /// the next child that ends.
    pub fn kill(&self, limit: Duration) {
        match &self.0 {
            Handle::Descriptor(process) => {
                let _ = process.signal(Signal::SIGKILL);
                if process.ends_within(limit) {
                    process.reap();
                }
            }
            Handle::Pid(pid, origin) => {
                if origin.is_some() && proc_stat::origin(*pid) == *origin {
                    process::kill(*pid, Signal::SIGKILL);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn without_a_pidfd_a_stop_is_seen_and_no_other_process_is_killed() {
        let mut child = Command::new("sleep").arg("60").stdout(Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        let output = child.stdout.take().unwrap();
        let origin = proc_stat::origin(pid).unwrap();
        let another = Origin { born: origin.born + 1, ..origin };
        TaskChild(Handle::Pid(pid, Some(another))).kill(Duration::ZERO);
        let own = TaskChild(Handle::Pid(pid, Some(origin)));
        assert_eq!(own.await_input(&output, Instant::now()), (Ok(false), false), "it was killed");
        process::kill(pid, Signal::SIGSTOP);
        let begun = Instant::now();
        assert_eq!(own.await_input(&output, begun + Duration::from_secs(60)), (Ok(false), true));
        assert!(begun.elapsed() < Duration::from_secs(30), "it was waited for");
        own.kill(Duration::ZERO);
        assert_eq!(own.await_input(&output, Instant::now() + Duration::from_secs(10)), (Ok(true), false));
        child.wait().unwrap();
    }
}

//! Counts the system calls of a running server (strace). They do not depend on how fast or busy the machine is.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Outcome;
use crate::clock::{ms, wait_until};
use crate::process::Process;
use crate::server::Server;
use crate::skip;

const PROGRAM: &str = "/usr/bin/strace";

/// System calls by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calls(pub BTreeMap<String, u64>);

impl Calls {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Those of that name.
    #[must_use]
    pub fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Without those that these others, of a run of other length, have in common: what the additional work cost.
    #[must_use]
    pub fn beyond(&self, less: &Self) -> Self {
        Self(self.0.iter().map(|(name, count)| (name.clone(), count.saturating_sub(less.of(name)))).collect())
    }
}

/// Whether strace is there.
#[must_use]
pub fn is_installed() -> bool {
    Path::new(PROGRAM).exists()
}

/// The same for a test, which is skipped if not.
#[must_use]
pub fn installed_or_skip() -> bool {
    let installed = is_installed();
    if !installed {
        skip("strace is missing");
    }
    installed
}

/// Does the work, and counts the system calls of the server's processes meanwhile. The work is much slower than usual: measure
/// its time in another run.
///
/// # Errors
/// If strace is missing or cannot attach, and if the work fails.
pub fn count(server: &Server, work: impl FnOnce() -> Outcome) -> Outcome<Calls> {
    let summary = server.sandbox.file("strace");
    let processes = server.supervisor.tree();
    let mut command = Command::new(PROGRAM);
    command.args(["-c", "-f", "-U", "calls,name", "-o"]).arg(&summary).stdin(Stdio::null()).stderr(Stdio::null());
    for process in &processes {
        command.args(["-p", &process.pid.to_string()]);
    }
    let mut strace = command.spawn().map_err(|_| "strace is missing: apt-get install strace")?;
    let pid = Pid::from_raw(i32::try_from(strace.id())?);
    let is_traced = |process: &Process| process.status("TracerPid") == [pid.to_string()];
    let attached = wait_until("strace is attached", ms(5000), || processes.iter().all(is_traced));
    let worked = attached.and_then(|_| work());
    kill(pid, Signal::SIGINT)?;
    strace.wait()?;
    worked?;
    Ok(read(&std::fs::read_to_string(&summary)?))
}

/// The lines `COUNT NAME` of a summary; others (headings, the sum) have another form.
fn read(summary: &str) -> Calls {
    let pair = |line: &str| {
        let (count, name) = line.trim().split_once(' ')?;
        Some((name.trim().to_owned(), count.parse().ok()?))
    };
    Calls(summary.lines().filter_map(pair).filter(|(name, _)| name != "total").collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_summary() {
        let text = "    calls syscall\n--------- ----------------\n     2000 epoll_wait\n      100 read\n--------- ----\n     2100 total\n";
        let calls = read(text);
        assert_eq!((calls.of("read"), calls.of("write"), calls.total()), (100, 0, 2100));
        let less = read("       40 read\n");
        assert_eq!(calls.beyond(&less).of("read"), 60);
    }
}

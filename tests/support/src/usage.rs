//! What processes have used so far: CPU time and context switches of all their threads.

use std::fs;
use std::time::Duration;

use crate::process::Process;

/// Counters that only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time, including that of children that were reaped. Theirs is known in steps of 10 ms, that of living threads in
    /// nanoseconds.
    pub cpu: Duration,
    /// How often a thread gave up the processor to wait (voluntary context switches).
    pub sleeps: u64,
    /// How often another thread took the processor from it (involuntary context switches).
    pub preempted: u64,
}

impl Usage {
    /// The sum over these processes.
    #[must_use]
    pub fn of(processes: &[Process]) -> Self {
        processes.iter().fold(Self::default(), |sum, process| sum.plus(one(*process)))
    }

    /// The sum over a process and its living descendants.
    #[must_use]
    pub fn of_tree(root: Process) -> Self {
        Self::of(&root.tree())
    }

    /// What was added after an earlier look at the same processes.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            sleeps: self.sleeps.saturating_sub(before.sleeps),
            preempted: self.preempted.saturating_sub(before.preempted),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            cpu: self.cpu + other.cpu,
            sleeps: self.sleeps + other.sleeps,
            preempted: self.preempted + other.preempted,
        }
    }
}

fn one(process: Process) -> Usage {
    let mut usage = Usage { cpu: process.cpu() + process.cpu_of_reaped(), ..Usage::default() };
    let threads = fs::read_dir(format!("/proc/{}/task", process.pid)).into_iter().flatten().flatten();
    for text in threads.filter_map(|thread| fs::read_to_string(thread.path().join("status")).ok()) {
        usage.sleeps += number(&text, "voluntary_ctxt_switches:");
        usage.preempted += number(&text, "nonvoluntary_ctxt_switches:");
    }
    usage
}

fn number(status: &str, field: &str) -> u64 {
    let value = status.lines().find_map(|line| line.strip_prefix(field));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::thread::sleep;
    use std::time::Instant;

    use super::*;
    use crate::clock::ms;
    use crate::{Outcome, ensure};

    fn me() -> Outcome<Process> {
        Ok(Process::find(i32::try_from(std::process::id())?).ok_or("no such process")?)
    }

    #[test]
    fn counts_sleeps_and_the_time_of_reaped_children() -> Outcome {
        let before = Usage::of(&[me()?]);
        (0..20).for_each(|_| sleep(ms(1)));
        let burn = "i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done";
        ensure!(Command::new("bash").args(["-c", burn]).status()?.success(), "bash failed");
        let used = Usage::of(&[me()?]).since(before);
        ensure!(used.sleeps >= 20, "{used:?}");
        // Several ticks of another process's time, and much less of this one's.
        ensure!(used.cpu >= ms(50), "{used:?}");
        Ok(())
    }

    #[test]
    fn sees_this_processs_work() -> Outcome {
        let (before, start) = (Usage::of(&[me()?]), Instant::now());
        while Usage::of(&[me()?]).since(before).cpu < ms(20) {
            ensure!(start.elapsed() < ms(20_000), "no CPU time after {:?}", start.elapsed());
        }
        Ok(())
    }
}

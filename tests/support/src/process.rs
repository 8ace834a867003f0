//! Processes as `/proc` shows them.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Outcome;
use crate::clock::{ms, wait_until};

/// A process: its id and its start time, so that a later process with the same id is not mistaken for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Process {
    /// The id.
    pub pid: i32,
    started: u64,
}

/// The fields of `/proc/PID/stat` that are used here.
#[derive(Debug, Clone, Copy)]
struct Stat {
    state: char,
    parent: i32,
    group: i32,
    session: i32,
    terminal: i32,
    nice: i32,
    /// The CPU time of the children that it has reaped (`cutime` and `cstime`), in ticks.
    reaped: u32,
    started: u64,
}

impl Process {
    /// The process of that id, if there is one that lives.
    #[must_use]
    pub fn find(pid: i32) -> Option<Self> {
        let stat = stat(pid)?;
        (stat.state != 'Z').then_some(Self { pid, started: stat.started })
    }

    /// Whether it still lives (a zombie doesn't).
    #[must_use]
    pub fn lives(self) -> bool {
        Self::find(self.pid) == Some(self)
    }

    /// Sends a signal, unless it has gone.
    pub fn signal(self, signal: Signal) {
        if self.lives() {
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }

    /// Its title: the command line, blanks between the words.
    #[must_use]
    pub fn title(self) -> String {
        let raw = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        String::from_utf8_lossy(&raw).replace('\0', " ").trim_end().to_owned()
    }

    /// Its working directory; empty if it has ended.
    #[must_use]
    pub fn directory(self) -> String {
        let link = fs::read_link(format!("/proc/{}/cwd", self.pid)).unwrap_or_default();
        link.to_string_lossy().into_owned()
    }

    /// Its parent's id.
    #[must_use]
    pub fn parent(self) -> i32 {
        stat(self.pid).map_or(0, |stat| stat.parent)
    }

    /// Its process group's id.
    #[must_use]
    pub fn group(self) -> i32 {
        stat(self.pid).map_or(0, |stat| stat.group)
    }

    /// Its session's id.
    #[must_use]
    pub fn session(self) -> i32 {
        stat(self.pid).map_or(0, |stat| stat.session)
    }

    /// The letter of its state: `T` is stopped.
    #[must_use]
    pub fn state(self) -> char {
        stat(self.pid).map_or('?', |stat| stat.state)
    }

    /// The number of its controlling terminal; 0: none.
    #[must_use]
    pub fn terminal(self) -> i32 {
        stat(self.pid).map_or(0, |stat| stat.terminal)
    }

    /// Its nice value.
    #[must_use]
    pub fn nice(self) -> i32 {
        stat(self.pid).map_or(0, |stat| stat.nice)
    }

    /// A line of `/proc/PID/limits`, by what it begins with; soft and hard limit and unit, a blank between.
    #[must_use]
    pub fn limit(self, name: &str) -> String {
        let text = fs::read_to_string(format!("/proc/{}/limits", self.pid)).unwrap_or_default();
        let values = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        values.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Its living children.
    #[must_use]
    pub fn children(self) -> Vec<Self> {
        all().into_iter().filter(|(_, stat)| stat.parent == self.pid).map(|(process, _)| process).collect()
    }

    /// Its living descendants.
    #[must_use]
    pub fn descendants(self) -> Vec<Self> {
        self.tree().split_off(1)
    }

    /// It and its living descendants.
    #[must_use]
    pub fn tree(self) -> Vec<Self> {
        let all = all();
        let mut found = vec![self];
        let mut next = 0;
        while let Some(parent) = found.get(next).copied() {
            found.extend(all.iter().filter(|(_, stat)| stat.parent == parent.pid).map(|(process, _)| *process));
            next += 1;
        }
        found
    }

    /// A field of `/proc/PID/status`, its words.
    #[must_use]
    pub fn status(self, field: &str) -> Vec<String> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    }

    /// A number in `/proc/PID/status`; 0 if there is none.
    #[must_use]
    pub fn status_number(self, field: &str) -> u64 {
        self.status(field).first().and_then(|word| word.parse().ok()).unwrap_or(0)
    }

    /// Anonymous memory in use, in kB.
    #[must_use]
    pub fn anonymous_kb(self) -> u64 {
        self.status_number("RssAnon")
    }

    /// Memory in kB; pages that several processes have count for each in equal parts (`Pss`).
    #[must_use]
    pub fn pss_kb(self) -> u64 {
        self.rollup_kb("Pss").unwrap_or(0)
    }

    /// Page faults without I/O since its start; 0 if it has ended.
    #[must_use]
    pub fn page_faults(self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        let field = text.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(7));
        field.and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    /// A field of `/proc/PID/smaps_rollup`, in kB.
    #[must_use]
    pub fn rollup_kb(self, field: &str) -> Option<u64> {
        let lines = self.lines("smaps_rollup", &format!("{field}:"));
        lines.first().and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
    }

    /// The lines of one of its files in `/proc` that start with a text; empty if the file cannot be read.
    #[must_use]
    pub fn lines(self, file: &str, start: &str) -> Vec<String> {
        let text = fs::read_to_string(format!("/proc/{}/{file}", self.pid)).unwrap_or_default();
        text.lines().filter(|line| line.starts_with(start)).map(str::to_owned).collect()
    }

    /// Its open fds and what they point to.
    #[must_use]
    pub fn fds(self) -> BTreeMap<i32, String> {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.pid)).into_iter().flatten().flatten();
        let named = entries.filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            Some((number, fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned()))
        });
        named.collect()
    }

    /// How one of its fds was opened: 0 for reading, 1 for writing, 2 for both.
    #[must_use]
    pub fn access(self, fd: i32) -> Option<u32> {
        let text = fs::read_to_string(format!("/proc/{}/fdinfo/{fd}", self.pid)).ok()?;
        let flags = text.lines().find_map(|line| line.strip_prefix("flags:"))?;
        Some(u32::from_str_radix(flags.trim(), 8).ok()? & 3)
    }

    /// CPU time of the children that it has reaped. A tick is 10 ms: `USER_HZ` is 100 on every architecture that PHP runs on.
    #[must_use]
    pub fn cpu_of_reaped(self) -> Duration {
        ms(10) * stat(self.pid).map_or(0, |stat| stat.reaped)
    }

    /// CPU time of all its threads: from schedstat, which counts nanoseconds where stat has ticks of 10 ms.
    #[must_use]
    pub fn cpu(self) -> Duration {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid)).into_iter().flatten().flatten();
        let texts = threads.filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok());
        let spent: Option<u64> = texts.map(|text| text.split(' ').next()?.parse::<u64>().ok()).sum();
        Duration::from_nanos(spent.unwrap_or(0))
    }
}

/// The living processes of a process group: every process that a server has started, even if its parent has gone.
#[must_use]
pub fn of_group(group: i32) -> Vec<Process> {
    all().into_iter().filter(|(_, stat)| stat.group == group).map(|(process, _)| process).collect()
}

/// Kills the living ones and waits until they have gone.
///
/// # Errors
/// When something outlives SIGKILL by 5 s.
pub fn end_all(mut processes: impl FnMut() -> Vec<Process>) -> Outcome {
    wait_until("the end of killed processes", ms(5000), || {
        let living: Vec<_> = processes().into_iter().filter(|process| process.lives()).collect();
        living.iter().for_each(|process| process.signal(Signal::SIGKILL));
        living.is_empty()
    })?;
    Ok(())
}

fn all() -> Vec<(Process, Stat)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let known = pids.filter_map(|pid| Some((pid, stat(pid)?)));
    let living = known.filter(|(_, stat)| stat.state != 'Z');
    living.map(|(pid, stat)| (Process { pid, started: stat.started }, stat)).collect()
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    let words: Vec<&str> = rest.split(' ').collect();
    Some(Stat {
        state: words.first()?.chars().next()?,
        parent: words.get(1)?.parse().ok()?,
        group: words.get(2)?.parse().ok()?,
        session: words.get(3)?.parse().ok()?,
        terminal: words.get(4)?.parse().ok()?,
        reaped: words.get(13)?.parse::<u32>().ok()? + words.get(14)?.parse::<u32>().ok()?,
        nice: words.get(16)?.parse().ok()?,
        started: words.get(19)?.parse().ok()?,
    })
}

//! How the reloads and log openings that the supervisor was asked for went: a memfd of the supervisor, which `php-fpm
//! reload` finds in `/proc`. Every process that may signal the supervisor may read it there; no process inherits it.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use nix::sys::memfd::MFdFlags;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::found_memory::{find_memory, publish, read_published};
use crate::log::messages::terminal::failed_groups;
use crate::sys::{fd, shared};

mod bounds;

use bounds::{Reasons, cut, fitted, joined, name};

const NAME: &str = "cgi-fpm-bulletin";

/// The most bytes of it that are read. `bounds` keeps what is written below that: two texts and two lists.
const MOST: u64 = 512 * 1024;

/// The results of commands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct CommandResults {
    /// The number of reloads that were requested.
    pub reloads_asked: u64,
    /// The number of requests that the last reload to begin answers.
    pub reloads_begun: u64,
    /// The number of requests that are answered.
    pub reloads_settled: u64,
    /// Why the last reload had no effect, or had none on some groups; `None` if all have changed.
    pub refusal: Option<String>,
    /// Goes up with each step of a reload, so that a reader sees whether one goes on.
    pub progress: u64,
    /// The number of groups that the present or last reload renews.
    pub groups: u32,
    /// Groups of it that run with the new configuration.
    pub done: u32,
    /// The number of groups of it that keep what they had.
    pub failures: u32,
    /// The same one by one, once the reload is settled. The reasons are cut; if the groups are too many, not all are there.
    pub failed: Vec<GroupFailure>,
    /// What else there is to say about a reload: what has changed but was not reloaded, or that nothing has changed.
    pub remarks: Vec<String>,
    /// Groups that change later, because too many of their generations still finish requests.
    pub late: Vec<String>,
    /// How many times the logs were opened again.
    pub reopened: u64,
    /// Why a log could not be opened; `None` if all were.
    pub not_reopened: Option<String>,
}

/// A group that a reload could not change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupFailure {
    /// Its name.
    pub group: String,
    /// Why, in one line.
    pub reason: String,
}

impl GroupFailure {
    /// Whether it says what a line says: one of the list of groups, or one of the log, whose reason may be cut.
    #[must_use]
    pub(crate) fn repeats(&self, line: &str) -> bool {
        let of_group = |begin: &str| line.strip_prefix(&format!("[{begin}{}] ", self.group));
        of_group("").is_some_and(|rest| rest == self.reason)
            || of_group("group ").is_some_and(|rest| !rest.is_empty() && self.reason.starts_with(rest))
    }
}

/// The supervisor's side.
#[derive(Debug)]
pub(crate) struct ResultsWriter {
    file: File,
    results: CommandResults,
    /// Log lines of the present reload, which become the reason if it has no effect.
    reasons: Reasons,
    /// The groups that it could not change, with whole reasons.
    failed: Vec<GroupFailure>,
}

impl ResultsWriter {
    /// Creates it, without results.
    ///
    /// # Errors
    /// `EMFILE`, `ENOMEM`.
    pub(crate) fn new() -> io::Result<Self> {
        let file = File::from(fd::lift(shared::memory_file(NAME, MFdFlags::empty())?));
        let (results, reasons) = (CommandResults::default(), Reasons::default());
        let writer = Self { file, results, reasons, failed: Vec::new() };
        publish(&writer.file, &writer.results)?;
        Ok(writer)
    }

    /// Takes it over from the supervisor's former image.
    #[must_use]
    pub(crate) fn adopt(fd: OwnedFd) -> Self {
        let file = File::from(fd);
        let results = read(&file).unwrap_or_default();
        // Only a settled reload has such a list: one that goes on begins with the new image.
        let failed = results.failed.clone();
        Self { file, results, reasons: Reasons::default(), failed }
    }

    /// Its descriptor.
    #[must_use]
    pub(crate) fn number(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// A reload was requested.
    pub(crate) fn reload_asked(&mut self) {
        self.results.reloads_asked += 1;
        self.update();
    }

    /// A reload begins to read the configuration: it answers all requests so far.
    pub(crate) fn reload_begins(&mut self) {
        self.reasons = Reasons::default();
        self.failed.clear();
        let results = &mut self.results;
        results.reloads_begun = results.reloads_asked;
        (results.groups, results.done, results.failures) = (0, 0, 0);
        results.failed.clear();
        results.remarks.clear();
        results.late.clear();
        self.progress();
    }

    /// The present reload renews so many groups.
    pub(crate) fn reload_renews(&mut self, groups: usize) {
        self.results.groups = number(groups);
        self.progress();
    }

    /// Something to be said about the present reload, whatever its result is.
    pub(crate) fn remark(&mut self, line: &str) {
        const MOST_REMARKS: usize = 10;
        if self.results.remarks.len() < MOST_REMARKS {
            self.results.remarks.push(cut(line));
        }
        self.progress();
    }

    /// The present reload has made a step.
    pub(crate) fn progress(&mut self) {
        self.results.progress += 1;
        self.update();
    }

    /// How many groups of the present reload have changed or could not, and how many it renews. `None`: none is under way.
    #[must_use]
    pub(crate) fn progress_of_reload(&self) -> Option<(u32, u32)> {
        let results = &self.results;
        (!self.is_settled()).then_some((results.done + results.failures, results.groups))
    }

    /// A group runs with the new configuration, at once or after it was late.
    pub(crate) fn group_done(&mut self, group: &str) {
        self.no_longer_late(group);
        self.results.done += 1;
        self.progress();
    }

    /// A group keeps what it had. A reason of several lines becomes one.
    pub(crate) fn group_failed(&mut self, group: &str, reason: &str) {
        self.no_longer_late(group);
        let failure = GroupFailure { group: name(group), reason: cut(reason) };
        self.failed.retain(|known| known.group != failure.group);
        self.failed.push(failure);
        self.results.failures = number(self.failed.len());
        if self.is_settled() {
            self.results.failed = fitted(&self.failed);
        }
        self.progress();
    }

    /// A group changes later, because too many of its generations still finish requests.
    pub(crate) fn group_late(&mut self, group: &str) {
        const MOST_LATE: usize = 200;
        self.no_longer_late(group);
        if self.results.late.len() < MOST_LATE {
            self.results.late.push(name(group));
        }
        self.progress();
    }

    fn no_longer_late(&mut self, group: &str) {
        let group = name(group);
        self.results.late.retain(|late| *late != group);
    }

    /// Adds a line that may be the reason why the present reload fails.
    pub(crate) fn reason(&mut self, line: &str) {
        self.reasons.add(line);
    }

    /// The reload has taken effect, for all groups but those that have failed.
    pub(crate) fn reload_done(&mut self) {
        let failed = self.failed.iter().map(|GroupFailure { group, reason }| format!("[{group}] {reason}"));
        let lines: Vec<String> = std::iter::once(self.results.summary()).chain(failed).collect();
        self.settle((!self.failed.is_empty()).then(|| joined(&lines)));
    }

    /// The reload has had no effect.
    pub(crate) fn reload_failed(&mut self, line: &str) {
        let mut lines = std::mem::take(&mut self.reasons).lines();
        lines.push(line.to_owned());
        self.settle(Some(joined(&lines)));
    }

    fn is_settled(&self) -> bool {
        self.results.reloads_settled >= self.results.reloads_begun
    }

    fn settle(&mut self, refusal: Option<String>) {
        if !self.is_settled() {
            // The list is written once and not with each group: it may be long.
            self.results.failed = fitted(&self.failed);
            self.results.reloads_settled = self.results.reloads_begun;
            self.results.refusal = refusal;
            self.progress();
        }
    }

    /// The logs were opened again; `wrong` says what failed.
    pub(crate) fn reopened(&mut self, wrong: &[String]) {
        self.results.reopened += 1;
        self.results.not_reopened = (!wrong.is_empty()).then(|| joined(wrong));
        self.update();
    }

    /// If this fails, the log still has the result.
    fn update(&self) {
        let _ = publish(&self.file, &self.results);
    }
}

impl CommandResults {
    /// The line before the list of groups that have failed.
    #[must_use]
    pub(crate) fn summary(&self) -> String {
        failed_groups(self.failures, self.groups.max(self.failures)).to_string()
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn read(file: &File) -> Option<CommandResults> {
    let mut text = vec![0; usize::try_from(file.metadata().ok()?.len().min(MOST)).ok()?];
    file.read_exact_at(&mut text, 0).ok()?;
    serde_json::from_slice(&text).ok()
}

/// The reader's side: the path of the file of another process.
#[derive(Debug)]
pub(crate) struct ResultsReader(PathBuf);

impl ResultsReader {
    /// Finds the file of a process. `None`: it has none, or this process may not look.
    #[must_use]
    pub(crate) fn find(pid: Pid) -> Option<Self> {
        find_memory(pid, NAME).map(Self)
    }

    /// The present results; `None` while they are being written.
    #[must_use]
    pub(crate) fn read(&self) -> Option<CommandResults> {
        read_published(&self.0, MOST)
    }
}

#[cfg(test)]
mod tests;

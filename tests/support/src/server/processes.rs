//! The processes of a server, told apart by their titles.

use std::time::Duration;

use super::Server;
use crate::Outcome;
use crate::clock::wait_until;
use crate::process::{self, Process};

impl Server {
    /// The workers of the pool, of all generations.
    #[must_use]
    pub fn workers(&self) -> Vec<Process> {
        self.supervisor.descendants().into_iter().filter(|process| is_worker(*process)).collect()
    }

    /// The zygotes; php-fpm has none.
    #[must_use]
    pub fn zygotes(&self) -> Vec<Process> {
        let is_other = |process: &Process| is_worker(*process) || is_base(*process) || is_pipe_reader(*process);
        self.supervisor.children().into_iter().filter(|process| !is_other(process)).collect()
    }

    /// The zygotes of that group, of all generations.
    #[must_use]
    pub fn zygotes_of(&self, group: &str) -> Vec<Process> {
        let title = format!("php-fpm: zygote {group} ");
        self.zygotes().into_iter().filter(|zygote| zygote.title().starts_with(&title)).collect()
    }

    /// One of them.
    ///
    /// # Errors
    /// If there is none.
    pub fn zygote_of(&self, group: &str) -> Outcome<Process> {
        let first = self.zygotes_of(group).into_iter().next();
        first.ok_or_else(|| format!("no zygote {group}: {}", self.log.tail(5)).into())
    }

    /// The base zygotes.
    #[must_use]
    pub fn bases(&self) -> Vec<Process> {
        self.supervisor.children().into_iter().filter(|process| is_base(*process)).collect()
    }

    /// The processes that read or close pipes for the supervisor; php-fpm has none.
    #[must_use]
    pub fn pipe_readers(&self) -> Vec<Process> {
        self.supervisor.children().into_iter().filter(|process| is_pipe_reader(*process)).collect()
    }

    /// Waits until the pool has that many workers.
    ///
    /// # Errors
    /// When it hasn't within the limit.
    pub fn await_workers(&self, count: usize, limit: Duration) -> Outcome<Duration> {
        wait_until(&format!("{count} workers"), limit, || self.workers().len() == count)
    }

    /// Its living processes, with or without parents, each once: they share the process group.
    #[must_use]
    pub fn remaining(&self) -> Vec<Process> {
        // After the supervisor has gone, its id may belong to another process, which leads another group of that
        // number.
        let other = Process::find(self.supervisor.pid).is_some_and(|leader| leader != self.supervisor);
        let mut found = if other { Vec::new() } else { process::of_group(self.supervisor.pid) };
        found.extend(self.supervisor.descendants());
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// Whether zygotes are forked from it, by its title.
#[must_use]
pub fn is_base(process: Process) -> bool {
    process.title().starts_with("php-fpm: base zygote ")
}

/// Whether it serves a pool, by its title.
#[must_use]
pub fn is_worker(process: Process) -> bool {
    process.title().starts_with("php-fpm: pool ")
}

/// Whether it reads or closes pipes for the supervisor.
#[must_use]
pub fn is_pipe_reader(process: Process) -> bool {
    process.title() == "php-fpm: reads pipes"
}

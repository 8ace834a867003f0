//! What is believed of a zygote's reports about its workers. Code of the pools' users may run in a zygote, so a report counts only if
//! the kernel confirms it.

/// What the kernel says about a pid that a zygote names as a worker's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It is a child of the zygote, known as no other worker; with its start time.
    Proved(u64),
    /// There is no such process, or no longer.
    Gone,
    /// It is another process.
    False,
}

/// What is wrong with a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// The process is no new child of the zygote.
    NotItsChild,
    /// The zygote was not told to fork that worker.
    NotAskedFor,
    /// The process has not ended.
    StillRuns,
}

impl Violation {
    /// The line for the log.
    #[must_use]
    pub fn line(self, pool: &str, pid: i32) -> String {
        let what = match self {
            Self::NotItsChild => format!("names process {pid} as a new worker, which is no new child of its own"),
            Self::NotAskedFor => format!("names process {pid} as a new worker, for which it was not asked"),
            Self::StillRuns => format!("reports the end of process {pid}, which lives"),
        };
        format!("[pool {pool}] its zygote {what}: the zygote is killed and started again")
    }
}

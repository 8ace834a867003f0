//! Ended workers and zygotes: how their end is logged.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::log::messages::{workers, zygotes};
use crate::log::{Level, Message};
use crate::sys::process::Exit;

/// How a worker has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WorkerEnd {
    /// Its pid; 0 if it was never known.
    pub pid: i32,
    /// How.
    pub exit: Exit,
    /// It was told to leave because its pool needs fewer workers.
    pub retired: bool,
    /// Since it was asked for.
    pub lived: Duration,
    /// The level of the line.
    pub level: Level,
}

/// How a zygote has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ZygoteEnd {
    /// Its pid.
    pub pid: i32,
    /// How.
    pub exit: Exit,
    /// The level of the line.
    pub level: Level,
}

impl WorkerEnd {
    /// The line about it.
    #[must_use]
    pub(crate) fn message(&self, pool: &str) -> Message {
        let seconds = format!("{}.{:06}", self.lived.as_secs(), self.lived.subsec_micros());
        let message = match self.exit {
            Exit::Code(0) if self.retired => workers::child_killed_by_management(pool, self.pid, seconds),
            exit => workers::child_exited(pool, self.pid, describe(exit), originally(exit), seconds),
        };
        message.at(self.level)
    }
}

impl ZygoteEnd {
    /// The line about it.
    #[must_use]
    pub(crate) fn message(&self, group: &str) -> Message {
        zygotes::zygote_ended(group, self.pid, describe(self.exit)).at(self.level)
    }
}

/// How a process has ended, in words.
#[must_use]
pub(crate) fn describe(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exited with code {code}"),
        Exit::Signal(number, core) => {
            let name = Signal::try_from(number).map_or("unknown", Signal::as_str);
            format!("exited on signal {number} ({name}{})", if core { " - core dumped" } else { "" })
        }
        Exit::Unknown => "exited, status unknown".to_owned(),
    }
}

/// The same in the original patch's words: `exited on signal 11 SIGSEGV (core dumped)`.
fn originally(exit: Exit) -> String {
    match exit {
        Exit::Signal(number, core) => {
            let name = Signal::try_from(number).map_or("unknown", Signal::as_str);
            format!("exited on signal {number} {name}{}", if core { " (core dumped)" } else { "" })
        }
        Exit::Code(_) | Exit::Unknown => describe(exit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: WorkerEnd = WorkerEnd {
        pid: 7,
        exit: Exit::Code(0),
        retired: false,
        lived: Duration::from_millis(61_005),
        level: Level::Notice,
    };

    #[test]
    fn the_line_about_a_worker_is_php_fpms() {
        let message = |exit, retired| WorkerEnd { exit, retired, ..END }.message("www");
        let line = |exit, retired| message(exit, retired).text().to_owned();
        assert_eq!(message(Exit::Code(0), false).level(), Level::Notice);
        let rest = "after 61.005000 seconds from start";
        assert_eq!(line(Exit::Code(0), false), format!("[pool www] child 7 exited with code 0 {rest}"));
        assert_eq!(
            line(Exit::Code(0), true),
            format!("[pool www] child 7 has been killed by the process management {rest}")
        );
        assert_eq!(line(Exit::Code(3), true), format!("[pool www] child 7 exited with code 3 {rest}"));
        let dumped = Exit::Signal(11, true);
        assert_eq!(
            line(dumped, false),
            format!("[pool www] child 7 exited on signal 11 (SIGSEGV - core dumped) {rest}")
        );
    }

    #[test]
    fn an_exit_by_a_signal_has_the_originals_words_as_well() {
        assert_eq!(originally(Exit::Signal(11, true)), "exited on signal 11 SIGSEGV (core dumped)");
        assert_eq!(originally(Exit::Signal(15, false)), "exited on signal 15 SIGTERM");
        assert_eq!(originally(Exit::Code(0)), "exited with code 0");
    }

    #[test]
    fn the_line_about_a_zygote_says_how_it_ended() {
        let line = |exit| ZygoteEnd { pid: 9, exit, level: Level::Warning }.message("www").text().to_owned();
        assert_eq!(line(Exit::Signal(9, false)), "[group www] zygote 9 exited on signal 9 (SIGKILL)");
        assert_eq!(line(Exit::Unknown), "[group www] zygote 9 exited, status unknown");
    }
}

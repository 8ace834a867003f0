//! What the control script prints: `Shutting down php-fpm ... done`, with a dot each second. Reasons go to stderr.

use std::io::{Write, stderr, stdout};
use std::time::{Duration, Instant};

use super::error::Failure;
use super::status::Status;
use crate::escape;
use crate::log::messages::terminal as texts;

const SECOND: Duration = Duration::from_secs(1);

/// Prints a line to stdout.
pub(super) fn say(line: &str) {
    print(&format!("{line}\n"));
}

fn print(text: &str) {
    let _ = stdout().write_all(escape::lines(text.as_bytes()).as_bytes());
    let _ = stdout().flush();
}

/// Prints a line to stderr.
pub(super) fn complain(line: &str) {
    let _ = stderr().write_all(format!("php-fpm: {}\n", escape::line(line.as_bytes())).as_bytes());
}

/// Work that takes time: prints dots, then the result.
pub(super) struct Progress {
    next: Instant,
}

impl Progress {
    /// Prints what is being done.
    pub(super) fn begin(text: &str) -> Self {
        print(&format!("{text} "));
        Self { next: Instant::now() + SECOND }
    }

    /// Prints a dot each second.
    pub(super) fn go_on(&mut self) {
        if Instant::now() >= self.next {
            self.next += SECOND;
            print(".");
        }
    }

    /// The work is done.
    pub(super) fn done(self) -> Result<Status, Failure> {
        say(&texts::done());
        Ok(Status::Done)
    }

    /// The signal is sent, and the supervisor does not report the result: it is an earlier version.
    pub(super) fn sent(self) -> Result<Status, Failure> {
        say(&texts::sent());
        complain(&texts::not_reported());
        Ok(Status::Done)
    }

    /// The work has failed; the caller prints the reason.
    pub(super) fn fail(self, failure: Failure) -> Result<Status, Failure> {
        say(&texts::failed());
        Err(failure)
    }
}

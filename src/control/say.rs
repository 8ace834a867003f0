//! The output of the control script: `Shutting down php-fpm ... done`, with one dot per second; reasons on stderr.

use std::io::{Write, stderr, stdout};
use std::time::{Duration, Instant};

use super::status::Status;
use crate::escape;

const SECOND: Duration = Duration::from_secs(1);

/// Prints to stdout.
pub(super) fn say(text: &str) {
    let _ = stdout().write_all(escape::lines(text.as_bytes()).as_bytes());
    let _ = stdout().flush();
}

/// Prints a line to stderr.
pub(super) fn complain(text: &str) {
    let _ = stderr().write_all(format!("php-fpm: {}\n", escape::line(text.as_bytes())).as_bytes());
}

/// Something that takes time.
pub(super) struct Progress {
    next: Instant,
}

impl Progress {
    /// Says what it is.
    pub(super) fn begin(text: &str) -> Self {
        say(&format!("{text} "));
        Self { next: Instant::now() + SECOND }
    }

    /// A point for each second.
    pub(super) fn go_on(&mut self) {
        if Instant::now() >= self.next {
            self.next += SECOND;
            say(".");
        }
    }

    pub(super) fn done(self) -> Status {
        say(" done\n");
        Status::Done
    }

    /// With the reason, which may have several lines.
    pub(super) fn fail(self, reason: &str, status: Status) -> Status {
        say(if status == Status::Done { " sent\n" } else { " failed\n" });
        reason.lines().for_each(complain);
        status
    }
}

//! The form of a line: `[23-Nov-2026 10:00:00] NOTICE: text`, with microseconds and the pid at level debug.

use super::Level;
use crate::escape;
use crate::sys::{clock, local_time};

/// php-fpm's name of a level.
pub(super) fn name(level: Level) -> &'static str {
    match level {
        Level::Debug => "DEBUG",
        Level::Notice => "NOTICE",
        Level::Warning => "WARNING",
        Level::Error => "ERROR",
        Level::Alert => "ALERT",
    }
}

/// The present time in that form.
pub(super) fn time(debug: bool) -> String {
    let micros = if debug { format!(".{:06}", clock::wall_micros()) } else { String::new() };
    local_time::local_time(clock::wall_seconds(), c"%d-%b-%Y %H:%M:%S") + &micros
}

/// The first line of an entry in the slow log.
pub(super) fn slow_heading(time: &str, pool: &str, pid: i32) -> String {
    format!("[{time}]  [pool {pool}] pid {pid}")
}

/// Time and level: what precedes the text.
pub(super) fn stamp(level: Level, debug: bool) -> String {
    let who = if debug { format!("pid {}, fpm(), line 1: ", std::process::id()) } else { String::new() };
    format!("[{}] {}: {who}", time(debug), name(level))
}

/// The same for syslog, which adds the date itself.
pub(super) fn bracketed(level: Level) -> String {
    format!("[{}] ", name(level))
}

/// The same for a worker, whose line gets its date from the supervisor.
pub(super) fn bare(level: Level, debug: bool) -> String {
    format!("{}: {}", name(level), if debug { "fpm(), line 1: " } else { "" })
}

/// The whole line with its newline. `text` may hold any bytes and is escaped.
pub(super) fn stamped(level: Level, text: &[u8], debug: bool) -> String {
    format!("{}{}\n", stamp(level, debug), escape::line(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_date_level_and_text() {
        let line = stamped(Level::Notice, b"fpm is running, pid 1", false);
        assert!(line.ends_with("] NOTICE: fpm is running, pid 1\n"), "{line}");
        assert_eq!(line.find(']'), Some(21), "{line}");
    }

    #[test]
    fn an_entry_of_the_slow_log_begins_as_php_fpms() {
        assert_eq!(slow_heading("21-Sep-2026 16:22:19", "www", 42), "[21-Sep-2026 16:22:19]  [pool www] pid 42");
    }

    #[test]
    fn a_text_can_not_forge_a_second_line() {
        let line = stamped(Level::Error, b"a\n[x] NOTICE: b", false);
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.contains("a\\x0A[x]"));
    }
}

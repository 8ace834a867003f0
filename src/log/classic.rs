//! The form of a line in the original patch, php-fpm 0.5: `Nov 23 10:00:00.123456 [NOTICE] fpm(), line 1: text`.
//! The original named a function and a line of its source; here they are always the same. Messages that it worded differently have
//! its words in the catalogue ([`super::messages`]).

use super::{Level, line};
use crate::sys::{clock, local_time};

const SECOND: u64 = 1_000_000;

/// The present time in that form.
pub(super) fn time() -> String {
    let now = clock::wall();
    let time = local_time::local_time(now / SECOND, c"%b %d %H:%M:%S");
    format!("{time}.{:06}", now % SECOND)
}

/// Time, level and source position: what precedes the text.
pub(super) fn stamp(level: Level) -> String {
    format!("{} [{}] fpm(), line 1: ", time(), line::name(level))
}

/// The first line of an entry in the slow log.
pub(super) fn slow_heading(time: &str, pool: &str, pid: i32) -> String {
    format!("{time} pid {pid} (pool {pool})")
}

/// The whole line without its newline. `text` is escaped already.
pub(super) fn line(level: Level, text: &[u8]) -> Vec<u8> {
    [stamp(level).as_bytes(), text].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_originals_date_and_level() {
        let line = String::from_utf8(line(Level::Warning, b"fpm is running, pid 1")).unwrap();
        let (date, rest) = line.split_at("Sep 21 16:22:19.399162".len());
        assert_eq!(rest, " [WARNING] fpm(), line 1: fpm is running, pid 1");
        let shape: String = date.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(&shape[3..], " 00 00:00:00.000000", "{line}");
        assert!(date.is_ascii() && date[..3].bytes().all(|byte| byte.is_ascii_alphabetic()), "{line}");
    }

    #[test]
    fn an_entry_of_the_slow_log_begins_as_the_originals() {
        let heading = slow_heading("Sep 21 16:22:19.399162", "default", 29715);
        assert_eq!(heading, "Sep 21 16:22:19.399162 pid 29715 (pool default)");
    }
}

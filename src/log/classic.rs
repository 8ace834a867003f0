//! The form of a line in the original patch, php-fpm 0.5: `Nov 23 10:00:00.123456 [NOTICE] fpm(), line 1: text`, and the words
//! of those of its messages that are known. It named a function and a line of its source; here they are always the same.

use std::borrow::Cow;

use super::{Level, line};
use crate::sys::{clock, local_time};

const SECOND: u64 = 1_000_000;

/// Now.
pub(super) fn time() -> String {
    let now = clock::wall();
    let time = local_time::local_time(now / SECOND, c"%b %d %H:%M:%S");
    format!("{time}.{:06}", now % SECOND)
}

/// What stands in front of a text.
pub(super) fn stamp(level: Level) -> String {
    format!("{} [{}] fpm(), line 1: ", time(), line::name(level))
}

/// The first line of an entry in the slow log.
pub(super) fn slow_heading(time: &str, pool: &str, pid: i32) -> String {
    format!("{time} pid {pid} (pool {pool})")
}

/// The whole line without its newline, of a text that is a line already.
pub(super) fn line(level: Level, text: &[u8]) -> Vec<u8> {
    [stamp(level).as_bytes(), &reworded(text)].concat()
}

/// A message as the original worded it, where it had the same and that is known; else as it is.
pub(super) fn reworded(text: &[u8]) -> Cow<'_, [u8]> {
    if text == b"error log file re-opened" {
        return Cow::Borrowed(b"log file re-opened");
    }
    // Bytes that aren't UTF-8 are in what a worker says only, which stays as it is.
    let head_end = text.iter().position(|byte| *byte == b'"').unwrap_or(text.len());
    let Ok(head) = std::str::from_utf8(&text[..head_end]) else { return Cow::Borrowed(text) };
    let Some((pool, rest)) = head.strip_prefix("[pool ").and_then(|rest| rest.split_once("] child ")) else {
        return Cow::Borrowed(text);
    };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (pid, what) = rest.split_at(digits);
    let said = what.starts_with(" said into ");
    if what == " started" || said {
        return Cow::Owned([format!("child {pid} (pool {pool}){what}").as_bytes(), &text[head_end..]].concat());
    }
    if what.starts_with(" exited ") {
        return Cow::Owned(format!("child {pid} (pool {pool}){}", original_exit(what)).into_bytes());
    }
    match std::str::from_utf8(text).ok().and_then(|text| timed_out(text, pool, pid)) {
        Some(text) => Cow::Owned(text.into_bytes()),
        None => Cow::Borrowed(text),
    }
}

/// ` exited on signal 11 (SIGSEGV - core dumped) after …` as the original has it: ` exited on signal 11 SIGSEGV (core dumped)`.
fn original_exit(what: &str) -> String {
    let Some((before, rest)) = what.split_once(" (").filter(|(before, _)| before.contains("signal")) else {
        return what.to_owned();
    };
    let Some((name, after)) = rest.split_once(')') else { return what.to_owned() };
    match name.strip_suffix(" - core dumped") {
        Some(name) => format!("{before} {name} (core dumped){after}"),
        None => format!("{before} {name}{after}"),
    }
}

/// `[pool x] child 1, script '/a.php' (request: "GET /a.php") executing too slow (…), logging`, and the one about the end
/// of such a request: the original had the pool in the request's place.
fn timed_out(text: &str, pool: &str, pid: &str) -> Option<String> {
    let (_, what) = text.split_once(&format!("] child {pid}"))?;
    let end = ["\") executing too slow (", "\") execution timed out ("].iter().find_map(|end| what.rfind(end))?;
    let script = what.find("' (request: \"").filter(|at| what.starts_with(", script '") && *at < end)?;
    Some(format!("child {pid}{} (pool {pool}){}", &what[..=script], &what[end + 2..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worded(text: &str) -> String {
        String::from_utf8(reworded(text.as_bytes()).into_owned()).unwrap()
    }

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

    #[test]
    fn messages_of_both_have_the_originals_words() {
        for (today, original) in [
            ("[pool www] child 7 started", "child 7 (pool www) started"),
            (
                "[pool www] child 7 exited with code 0 after 7.300000 seconds from start",
                "child 7 (pool www) exited with code 0 after 7.300000 seconds from start",
            ),
            (
                "[pool www] child 7 exited on signal 11 (SIGSEGV - core dumped) after 1.000000 seconds from start",
                "child 7 (pool www) exited on signal 11 SIGSEGV (core dumped) after 1.000000 seconds from start",
            ),
            (
                "[pool www] child 7 exited on signal 15 (SIGTERM) after 1.000000 seconds from start",
                "child 7 (pool www) exited on signal 15 SIGTERM after 1.000000 seconds from start",
            ),
            (
                "[pool a b] child 7 said into stderr: \"[pool x] child 8 started\", pipe is closed",
                "child 7 (pool a b) said into stderr: \"[pool x] child 8 started\", pipe is closed",
            ),
            (
                "[pool www] child 7, script '/a'b.php' (request: \"GET /a.php?\") executing too slow (\") executing too slow (5.018002 sec), logging",
                "child 7, script '/a'b.php' (pool www) executing too slow (5.018002 sec), logging",
            ),
            (
                "[pool www] child 7, script '/a.php' (request: \"GET /a.php\") execution timed out (9.000001 sec), terminating",
                "child 7, script '/a.php' (pool www) execution timed out (9.000001 sec), terminating",
            ),
            ("error log file re-opened", "log file re-opened"),
        ] {
            assert_eq!(worded(today), original);
        }
    }

    #[test]
    fn all_others_stay_as_they_are() {
        for text in [
            "",
            "exiting, bye-bye!",
            "[pool www] child 7 has been killed by the process management after 1.000000 seconds from start",
            "[pool www] child seven started",
            "[pool www] server reached pm.max_children setting (5), consider raising it",
            "[pool www] child 7, script '/a.php'",
            "[pool www] child 7, script '/a.php' executing too slow (1 sec), logging",
        ] {
            assert_eq!(worded(text), text);
        }
        let bytes = b"[pool www] child 7 said into stderr: \"\xff\"";
        assert_eq!(*reworded(bytes), *b"child 7 (pool www) said into stderr: \"\xff\"");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_reworded(text in "(\\[pool [a-z ]*\\] child [0-9]{0,3})?[ ,]?(script|started|exited| on signal| [(])?.*") {
            let _ = reworded(text.as_bytes());
        }
    }
}

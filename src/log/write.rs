//! Logging: a message of the catalogue, bytes of others, a line that is made elsewhere.

use std::fs::File;
use std::os::fd::AsFd;

use super::backlog::Line;
use super::json::{About, OfRequest};
use super::level::{Format, Level};
use super::messages::Message;
use super::outlet::Outlet;
use super::state::LOG;
use super::{classic, json, line, sink};
use crate::escape;
use crate::request_ids::{self, RequestIds};

/// The form of the lines.
#[must_use]
pub fn format() -> Format {
    LOG.lock().format
}

/// Whether messages of that level are logged.
#[must_use]
pub fn takes(level: Level) -> bool {
    level >= LOG.lock().level
}

/// Logs a message of another process. `who` precedes it; in JSON `about` has own fields.
pub fn told_by(about: &About<'_>, who: &str, level: Level, text: &str) {
    match format() {
        Format::Json => object(Some(level), &json::line(level, text.as_bytes(), about)),
        Format::Default | Format::Classic => message(level, &format!("{who}: {text}")),
    }
}

/// Logs a message of the catalogue.
pub fn say(message: &Message) {
    let mut log = LOG.lock();
    let level = message.level();
    if level < log.level {
        return;
    }
    let lines = log.message_lines(message);
    log.put(lines);
    log.echo(level, message.text().as_bytes(), message.original().as_bytes());
}

/// How many bytes a message adds to the log.
#[must_use]
pub fn length_of(message: &Message) -> usize {
    length_of_lines(&LOG.lock().message_lines(message))
}

/// Logs a message.
pub fn message(level: Level, text: &str) {
    message_of(level, text.as_bytes());
}

/// Logs a message of any bytes, escaped.
pub fn message_of(level: Level, text: &[u8]) {
    let mut log = LOG.lock();
    if level < log.level {
        return;
    }
    let lines = log.escaped_lines(level, text);
    log.put(lines);
    log.echo(level, text, text);
}

/// How many bytes a message of any bytes adds to the log.
#[must_use]
pub fn length(level: Level, text: &[u8]) -> usize {
    length_of_lines(&LOG.lock().escaped_lines(level, text))
}

fn length_of_lines(lines: &[Line]) -> usize {
    lines.iter().map(|line| line.text.len()).sum()
}

/// Logs a line as it is: output of a worker in a pool with `decorate_workers_output = no`.
pub fn raw(line: &[u8]) {
    let mut log = LOG.lock();
    let line = log.sink.raw(line);
    log.put([line]);
}

/// Logs bytes that are escaped already and hold no newline, about a request with these ids.
pub fn bytes(level: Level, text: &[u8], ids: Option<RequestIds>) {
    let mut log = LOG.lock();
    if level < log.level {
        return;
    }
    let lines = match (ids, log.format) {
        (Some(ids), Format::Json) => {
            let about = About { request: OfRequest::new(Some(&ids)), ..About::text(text) };
            vec![log.sink.json_about(level, text, &about)]
        }
        (Some(ids), _) => log.lines(level, &[text, request_ids::tag(&ids).as_bytes()].concat()),
        (None, _) => log.lines(level, text),
    };
    log.put(lines);
}

/// The first line of an entry of the slow log: time, pool and pid.
#[must_use]
pub fn slow_heading(pool: &str, pid: i32) -> String {
    let log = LOG.lock();
    match log.format {
        Format::Default | Format::Json => line::slow_heading(&line::time(log.level == Level::Debug), pool, pid),
        Format::Classic => classic::slow_heading(&classic::time(), pool, pid),
    }
}

/// Logs a line that is a JSON object already. Without a level it is logged whatever `log_level` says.
pub fn object(level: Option<Level>, line: &[u8]) {
    let mut log = LOG.lock();
    if level.is_none_or(|level| level >= log.level) {
        log.put([sink::whole(level.unwrap_or(Level::Notice), line)]);
    }
}

/// How many bytes precede the text of a message in the log.
#[must_use]
pub fn stamp_length(level: Level) -> usize {
    let log = LOG.lock();
    match log.format {
        Format::Classic if log.sink.is_dated() => classic::stamp(level).len(),
        _ => log.sink.stamp(level, log.level == Level::Debug).len(),
    }
}

/// Prints a text to stderr alone, as Zend prints its own errors.
pub fn to_stderr(text: &str) {
    let stderr = std::io::stderr().as_fd().try_clone_to_owned().map(|fd| Outlet::new(File::from(fd)));
    let waits = LOG.lock().waits;
    if let Ok(outlet) = stderr.map(|outlet| if waits { outlet } else { outlet.never_wait() }) {
        // A text that cannot be written is dropped.
        let _ = outlet.write(escape::lines(text.as_bytes()).as_bytes());
    }
}

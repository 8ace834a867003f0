//! The error log of this process: one line per message, in php-fpm's form, the original patch's, or as JSON.
#![forbid(unsafe_code)]

mod backlog;
mod classic;
mod file;
mod json;
pub mod level;
mod line;
pub mod messages;
mod outlet;
mod sink;
mod state;

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use once_cell::sync::Lazy;
use parking_lot::Mutex;

use outlet::Outlet;
use state::Log;

use crate::escape;
use crate::sys::fd;

pub use backlog::Backlog;
pub use file::{append, write_all};
pub use json::{About, BOUND, Told, line as object_line, told_by_worker, told_line};
pub use level::{Format, Level};
pub use messages::Message;
pub use sink::Sink;

/// The log of this process. Global, because PHP's callbacks need it and cannot be given a reference.
static LOG: Lazy<Mutex<Log>> = Lazy::new(|| Mutex::new(Log::default()));

/// Sets the least severe level that is logged.
pub fn set_level(level: Level) {
    LOG.lock().level = level;
}

/// Sets the form of the lines. The copy on the caller's stderr during a start is never JSON, because people read it.
pub fn set_format(format: Format) {
    LOG.lock().format = format;
}

/// The form of the lines.
#[must_use]
pub fn format() -> Format {
    LOG.lock().format
}

/// Sets where lines go. `echo`: to stderr as well, as during a start.
pub fn set_sink(sink: Sink, echo: bool) {
    let mut log = LOG.lock();
    let wanted = echo && !matches!(sink, Sink::Stderr);
    let stderr = std::io::stderr().as_fd().try_clone_to_owned().ok().filter(|_| wanted);
    log.echo = stderr.map(|fd| (Outlet::new(File::from(fd)), Level::Notice));
    log.change_sink(sink);
}

/// From now on logging never blocks, so that a reader of the log who stops cannot stop this process. Lines that cannot be
/// written at once are kept up to a bound and written by `flush`; the rest is counted and dropped.
pub fn never_wait() {
    let mut log = LOG.lock();
    log.waits = false;
    let sink = std::mem::replace(&mut log.sink, Sink::Bare);
    log.change_sink(sink);
    log.echo = log.echo.take().map(|(outlet, level)| (outlet.never_wait(), level));
}

/// Writes lines that could not be written before.
pub fn flush() {
    LOG.lock().flush();
}

/// Whether lines still wait to be written.
#[must_use]
pub fn is_behind() -> bool {
    !LOG.lock().backlog.is_empty()
}

/// Writes the waiting lines before the process ends, and waits for the reader up to `patience`.
pub fn drain(patience: Duration) {
    let end = Instant::now() + patience;
    flush();
    while is_behind() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
        flush();
    }
}

/// The waiting lines, for the program image that replaces this one at a reload.
#[must_use]
pub fn take_unwritten() -> Backlog {
    std::mem::take(&mut LOG.lock().backlog)
}

/// Takes the waiting lines of the former image. This one has not logged yet.
pub fn take_over(unwritten: Backlog) {
    let mut log = LOG.lock();
    log.backlog = unwritten;
    log.flush();
}

/// The supervisor runs but does not serve yet: from now on only warnings and errors are copied to the caller's stderr.
pub fn echo_faults_only() {
    if let Some((_, level)) = &mut LOG.lock().echo {
        *level = Level::Warning;
    }
}

/// The start is over: nothing more is copied to stderr.
pub fn stop_echo() {
    LOG.lock().echo = None;
}

/// A duplicate of the log's descriptor, for the program image that replaces this one at a reload.
#[must_use]
pub fn descriptor() -> Option<OwnedFd> {
    LOG.lock().sink.descriptor()
}

/// Logs to the descriptor of the former program image.
pub fn replace_descriptor(fd: OwnedFd) {
    LOG.lock().change_sink(Sink::of(fd));
}

/// From now on another process logs for this one: lines are written to `fd` as packets that `packet` makes. Logging never
/// blocks.
pub fn say_by(fd: OwnedFd, packet: fn(Level, &[u8]) -> Vec<u8>) {
    let mut log = LOG.lock();
    log.waits = false;
    log.change_sink(Sink::Relay(Outlet::new(File::from(fd)), packet));
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

/// Where the log is a standard stream, keeps it open under another number: descriptors 1 and 2 are about to be replaced.
pub fn keep_stream() {
    let mut log = LOG.lock();
    if matches!(log.sink, Sink::Stderr)
        && let Some(fd) = log.sink.descriptor()
    {
        log.change_sink(Sink::of(fd));
    }
}

/// Makes stderr of a daemon lead to its log file, also after the log has been opened again.
pub fn lead_stderr() {
    let mut log = LOG.lock();
    log.leads_stderr = true;
    log.lead_stderr();
}

/// The same after a reload, if stderr led to the log before.
pub fn lead_stderr_again() {
    let mut log = LOG.lock();
    let stderr = fd::file_mark(std::io::stderr());
    log.leads_stderr = stderr.is_some() && log.sink.descriptor().and_then(fd::file_mark) == stderr;
}

/// This process becomes a worker, which has no log. Its messages go to its stderr without a date; with
/// `catch_workers_output` the supervisor logs them.
pub fn become_worker() {
    let mut log = LOG.lock();
    // The backlog is the zygote's: the zygote writes it.
    (log.sink, log.echo, log.waits, log.backlog) = (Sink::Bare, None, true, Backlog::default());
}

/// Opens a log file for appending, mode 0600 like php-fpm's.
///
/// # Errors
/// Those of open(2).
pub fn open(path: &Path) -> std::io::Result<Sink> {
    Sink::open(path)
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
    log.echo(message);
}

/// How many bytes a message adds to the log.
#[must_use]
pub fn length_of(message: &Message) -> usize {
    let lines = LOG.lock().message_lines(message);
    lines.iter().map(|line| line.text.len()).sum()
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
    if let Some((stderr, least)) = &log.echo
        && level >= *least
    {
        let _ = stderr.write(&match log.format {
            Format::Default | Format::Json => line::stamped(level, text, log.level == Level::Debug).into_bytes(),
            Format::Classic => [classic::line(level, escape::line(text).as_bytes()), b"\n".to_vec()].concat(),
        });
    }
}

/// Logs a NOTICE.
pub fn notice(text: impl AsRef<str>) {
    message(Level::Notice, text.as_ref());
}

/// Logs a WARNING.
pub fn warning(text: impl AsRef<str>) {
    message(Level::Warning, text.as_ref());
}

/// Logs an ERROR.
pub fn error(text: impl AsRef<str>) {
    message(Level::Error, text.as_ref());
}

/// Logs a DEBUG line.
pub fn debug(text: impl AsRef<str>) {
    message(Level::Debug, text.as_ref());
}

/// How many bytes a message of any bytes adds to the log.
#[must_use]
pub fn length(level: Level, text: &[u8]) -> usize {
    let lines = LOG.lock().escaped_lines(level, text);
    lines.iter().map(|line| line.text.len()).sum()
}

/// Logs a line as it is: output of a worker in a pool with `decorate_workers_output = no`.
pub fn raw(line: &[u8]) {
    let mut log = LOG.lock();
    let line = log.sink.raw(line);
    log.put([line]);
}

/// Logs bytes that are escaped already and hold no newline.
pub fn bytes(level: Level, text: &[u8]) {
    let mut log = LOG.lock();
    if level < log.level {
        return;
    }
    let lines = log.lines(level, text);
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

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

/// What this process logs, and where. Global, because PHP's callbacks reach it from anywhere.
static LOG: Lazy<Mutex<Log>> = Lazy::new(|| Mutex::new(Log::default()));

/// Sets the least severe level that is logged.
pub fn set_level(level: Level) {
    LOG.lock().level = level;
}

/// Sets the form of the lines. What is also said to whoever started us is never JSON: people read that.
pub fn set_format(format: Format) {
    LOG.lock().format = format;
}

/// The form of the lines.
#[must_use]
pub fn format() -> Format {
    LOG.lock().format
}

/// Where lines go from now on. `echo`: to stderr as well, as during start-up.
pub fn set_sink(sink: Sink, echo: bool) {
    let mut log = LOG.lock();
    let wanted = echo && !matches!(sink, Sink::Stderr);
    let stderr = std::io::stderr().as_fd().try_clone_to_owned().ok().filter(|_| wanted);
    log.echo = stderr.map(|fd| (Outlet::new(File::from(fd)), Level::Notice));
    log.change_sink(sink);
}

/// From now on no line is waited for: whoever reads the log may stop, and everybody else is served all the same. What
/// isn't taken at once is kept up to a bound and written by `flush`; what is too much is counted.
pub fn never_wait() {
    let mut log = LOG.lock();
    log.waits = false;
    let sink = std::mem::replace(&mut log.sink, Sink::Bare);
    log.change_sink(sink);
    log.echo = log.echo.take().map(|(outlet, level)| (outlet.never_wait(), level));
}

/// Writes what had to wait.
pub fn flush() {
    LOG.lock().flush();
}

/// Whether some has to wait still.
#[must_use]
pub fn is_behind() -> bool {
    !LOG.lock().backlog.is_empty()
}

/// Writes it before an end, for that long at most.
pub fn drain(patience: Duration) {
    let end = Instant::now() + patience;
    flush();
    while is_behind() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
        flush();
    }
}

/// What had to wait, for the program that takes this one's place.
#[must_use]
pub fn take_unwritten() -> Backlog {
    std::mem::take(&mut LOG.lock().backlog)
}

/// The same from the program before; this one has not logged yet.
pub fn take_over(unwritten: Backlog) {
    let mut log = LOG.lock();
    log.backlog = unwritten;
    log.flush();
}

/// The supervisor runs, but doesn't serve yet: whoever started it still hears what goes wrong.
pub fn echo_faults_only() {
    if let Some((_, level)) = &mut LOG.lock().echo {
        *level = Level::Warning;
    }
}

/// Start-up is over: stderr hears no more unless it is the log.
pub fn stop_echo() {
    LOG.lock().echo = None;
}

/// A duplicate of the log's descriptor, for the program that takes this one's place.
#[must_use]
pub fn descriptor() -> Option<OwnedFd> {
    LOG.lock().sink.descriptor()
}

/// The log of the program before: lines go there.
pub fn replace_descriptor(fd: OwnedFd) {
    LOG.lock().change_sink(Sink::of(fd));
}

/// From now on another process puts what this one says into its log: `packet` makes of a line what is written to it at once.
/// No line is waited for.
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

/// A message of another process, with who it is in front, or in fields of their own where there are such.
pub fn told_by(about: &About<'_>, who: &str, level: Level, text: &str) {
    match format() {
        Format::Json => object(Some(level), &json::line(level, text.as_bytes(), about)),
        Format::Default | Format::Classic => message(level, &format!("{who}: {text}")),
    }
}

/// A standard stream that is the log is kept, wherever the descriptors 1 and 2 lead from now on.
pub fn keep_stream() {
    let mut log = LOG.lock();
    if matches!(log.sink, Sink::Stderr)
        && let Some(fd) = log.sink.descriptor()
    {
        log.change_sink(Sink::of(fd));
    }
}

/// A daemon's stderr leads to its log from now on, and follows it, where that is a file.
pub fn lead_stderr() {
    let mut log = LOG.lock();
    log.leads_stderr = true;
    log.lead_stderr();
}

/// The same in the program that takes a daemon's place, if it was so there.
pub fn lead_stderr_again() {
    let mut log = LOG.lock();
    let stderr = fd::file_mark(std::io::stderr());
    log.leads_stderr = stderr.is_some() && log.sink.descriptor().and_then(fd::file_mark) == stderr;
}

/// This process is a worker from now on: it has no log of its own. What it says goes to its stderr, without a date;
/// where the pool catches workers' output, the supervisor puts that into the log.
pub fn become_worker() {
    let mut log = LOG.lock();
    // What its zygote couldn't write, its zygote will.
    (log.sink, log.echo, log.waits, log.backlog) = (Sink::Bare, None, true, Backlog::default());
}

/// Opens a log file for appending, mode 0600 like php-fpm's.
///
/// # Errors
/// Those of open.
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

/// One message.
pub fn message(level: Level, text: &str) {
    message_of(level, text.as_bytes());
}

/// One message, of any bytes.
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

/// A NOTICE.
pub fn notice(text: impl AsRef<str>) {
    message(Level::Notice, text.as_ref());
}

/// A WARNING.
pub fn warning(text: impl AsRef<str>) {
    message(Level::Warning, text.as_ref());
}

/// An ERROR.
pub fn error(text: impl AsRef<str>) {
    message(Level::Error, text.as_ref());
}

/// A DEBUG line.
pub fn debug(text: impl AsRef<str>) {
    message(Level::Debug, text.as_ref());
}

/// How many bytes a message of any bytes adds to the log.
#[must_use]
pub fn length(level: Level, text: &[u8]) -> usize {
    let lines = LOG.lock().escaped_lines(level, text);
    lines.iter().map(|line| line.text.len()).sum()
}

/// A line as it is: a worker's own output where the pool wants it undecorated.
pub fn raw(line: &[u8]) {
    let mut log = LOG.lock();
    let line = log.sink.raw(line);
    log.put([line]);
}

/// A message of any bytes, without a newline or anything else that isn't wanted in a line.
pub fn bytes(level: Level, text: &[u8]) {
    let mut log = LOG.lock();
    if level < log.level {
        return;
    }
    let lines = log.lines(level, text);
    log.put(lines);
}

/// What an entry of the slow log begins with: now, and whose request it is.
#[must_use]
pub fn slow_heading(pool: &str, pid: i32) -> String {
    let log = LOG.lock();
    match log.format {
        Format::Default | Format::Json => line::slow_heading(&line::time(log.level == Level::Debug), pool, pid),
        Format::Classic => classic::slow_heading(&classic::time(), pool, pid),
    }
}

/// A line that is a JSON object; whatever the log's level where it has none of its own.
pub fn object(level: Option<Level>, line: &[u8]) {
    let mut log = LOG.lock();
    if level.is_none_or(|level| level >= log.level) {
        log.put([sink::whole(level.unwrap_or(Level::Notice), line)]);
    }
}

/// How many bytes the log puts in front of a message.
#[must_use]
pub fn stamp_length(level: Level) -> usize {
    let log = LOG.lock();
    match log.format {
        Format::Classic if log.sink.is_dated() => classic::stamp(level).len(),
        _ => log.sink.stamp(level, log.level == Level::Debug).len(),
    }
}

/// Text for stderr alone, as Zend prints its own errors.
pub fn to_stderr(text: &str) {
    let stderr = std::io::stderr().as_fd().try_clone_to_owned().map(|fd| Outlet::new(File::from(fd)));
    let waits = LOG.lock().waits;
    if let Ok(outlet) = stderr.map(|outlet| if waits { outlet } else { outlet.never_wait() }) {
        // What isn't taken has nowhere else to go.
        let _ = outlet.write(escape::lines(text.as_bytes()).as_bytes());
    }
}

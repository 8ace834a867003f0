//! Where the log of this process goes and whether logging may block, in each phase of its life.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use super::backlog::Backlog;
use super::level::{Format, Level};
use super::outlet::Outlet;
use super::sink::Sink;
use super::state::LOG;
use crate::request_ids::RequestIds;
use crate::sys::fd;

/// Sets the least severe level that is logged.
pub fn set_level(level: Level) {
    LOG.lock().level = level;
}

/// Sets the form of the lines. The copy on the caller's stderr during a start is never JSON, because people read it.
pub fn set_format(format: Format) {
    LOG.lock().format = format;
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

/// Sets the request that the following messages of this worker are about.
pub fn set_request(ids: Option<RequestIds>) {
    LOG.lock().request = ids;
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

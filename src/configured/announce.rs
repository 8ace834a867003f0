//! Writes the messages of a configuration to stderr and to the log that it names.
#![forbid(unsafe_code)]

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Instant;

use crate::cli::Options;
use crate::config::{ErrorLog, Global, Message, Messages};
use crate::log::{self, messages::lifecycle::error_log_not_opened};
use crate::sys::failure::reason;

/// The error log cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.message())]
pub(crate) struct LogError {
    path: PathBuf,
    source: io::Error,
}

impl LogError {
    /// The line for the log.
    #[must_use]
    pub(crate) fn message(&self) -> log::Message {
        error_log_not_opened(self.path.display(), reason(&self.source))
    }
}

/// Logs the messages of a configuration.
pub(crate) fn say(messages: &Messages) {
    messages.lines.iter().for_each(say_one);
}

fn say_one(message: &Message) {
    match message {
        Message::Log(message) | Message::Hint(message) => log::say(message),
        Message::Stderr(text) => log::to_stderr(&format!("{text}\n")),
    }
}

/// The same at a start. Messages from after the error log is known go there as well as to stderr; it stays the log.
///
/// # Errors
/// The log cannot be opened.
pub(crate) fn announce(messages: &Messages, global: Option<&Global>, options: &Options) -> Result<(), LogError> {
    log::set_format(messages.format);
    let (before, after) = messages.lines.split_at(messages.before_log.min(messages.lines.len()));
    let opened = global.map_or(Ok(None), |global| open_log(global, options));
    let format = global.map_or(messages.format, |global| global.log_format);
    if matches!(opened, Ok(None | Some(log::Sink::Stderr))) {
        log::set_format(format);
    }
    before.iter().for_each(say_one);
    if let Ok(Some(sink)) = opened {
        log::set_format(format);
        log::set_sink(sink, true);
        after.iter().for_each(say_one);
        return Ok(());
    }
    after.iter().for_each(say_one);
    opened.map(drop)
}

/// The error log that the configuration names. `None`: stderr, in the foreground on a terminal or with `-O`.
///
/// # Errors
/// It cannot be opened.
pub(crate) fn open_log(global: &Global, options: &Options) -> Result<Option<log::Sink>, LogError> {
    match begin_log(global, options) {
        LogOpening::Over(sink) => Ok(sink),
        LogOpening::Asked(path, opening) => opening.wait().map(Some).map_err(|source| LogError { path, source }),
    }
}

/// Begins to open it.
pub(crate) fn begin_log(global: &Global, options: &Options) -> LogOpening {
    let to_stderr = !global.daemonize && (options.force_stderr || std::io::stderr().is_terminal());
    match &global.error_log {
        _ if to_stderr => LogOpening::Over(None),
        ErrorLog::File(path) => LogOpening::Asked(path.clone(), log::begin(path)),
        ErrorLog::Syslog => {
            LogOpening::Over(Some(log::Sink::Syslog(global.syslog_ident.clone(), global.syslog_facility)))
        }
    }
}

/// An error log that is being opened.
#[derive(Debug)]
pub(crate) enum LogOpening {
    /// It is no file.
    Over(Option<log::Sink>),
    /// A file, and its path.
    Asked(PathBuf, log::Opening),
}

impl LogOpening {
    /// As `open_log`, if that is known by then. It is returned once.
    pub(crate) fn poll(&mut self, until: Instant) -> Option<Result<Option<log::Sink>, LogError>> {
        match self {
            Self::Over(sink) => Some(Ok(sink.take())),
            Self::Asked(path, opening) => {
                let failed = |source| LogError { path: path.clone(), source };
                opening.poll(until).map(|opened| opened.map(Some).map_err(failed))
            }
        }
    }
}

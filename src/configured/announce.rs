//! Says what the reading of a configuration had to say, to the caller and to the log that it names.
#![forbid(unsafe_code)]

use std::io::IsTerminal;

use crate::cli::Options;
use crate::config::{Global, Message, Messages};
use crate::log;
use crate::sys::failure::reason;

/// Logs what the reading of a configuration had to say.
pub fn say(messages: &Messages) {
    messages.lines.iter().for_each(say_one);
}

fn say_one(message: &Message) {
    match message {
        Message::Log { level, text } => log::message(*level, text.trim_end_matches('\n')),
        Message::Stderr(text) => log::to_stderr(&format!("{text}\n")),
    }
}

/// The same at a start: from where the error log is known on, they go there as well as to stderr. It stays the log.
///
/// # Errors
/// The log can't be opened; a line for it.
pub fn announce(messages: &Messages, global: Option<&Global>, options: &Options) -> Result<(), String> {
    log::set_format(messages.format);
    let (before, behind) = messages.lines.split_at(messages.before_log.min(messages.lines.len()));
    let opened = global.map_or(Ok(None), |global| open_log(global, options));
    let format = global.map_or(messages.format, |global| global.log_format);
    if matches!(opened, Ok(None | Some(log::Sink::Stderr))) {
        log::set_format(format);
    }
    before.iter().for_each(say_one);
    if let Ok(Some(sink)) = opened {
        log::set_format(format);
        log::set_sink(sink, true);
        behind.iter().for_each(say_one);
        return Ok(());
    }
    behind.iter().for_each(say_one);
    opened.map(drop)
}

/// The error log that the configuration names. `None`: stderr, in the foreground on a terminal or with `-O`.
///
/// # Errors
/// A line for the log.
pub fn open_log(global: &Global, options: &Options) -> Result<Option<log::Sink>, String> {
    let to_stderr = !global.daemonize && (options.force_stderr || std::io::stderr().is_terminal());
    if to_stderr {
        return Ok(None);
    }
    if global.error_log.to_str().is_some_and(|p| p.eq_ignore_ascii_case("syslog")) {
        return Ok(Some(log::Sink::Syslog(global.syslog_ident.clone(), global.syslog_facility)));
    }
    let failed =
        |e: std::io::Error| format!("failed to open error_log ({}): {}", global.error_log.display(), reason(&e));
    log::open(&global.error_log).map(Some).map_err(failed)
}

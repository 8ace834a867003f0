//! The lines that reading a configuration leads to, in php-fpm's order.

use std::fmt::Display;
use std::path::Path;

use super::model::Global;
use crate::log;
use crate::log::messages::config as messages;
use crate::log::messages::lifecycle::initialization_failed;

/// One line for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A line for the log.
    Log(log::Message),
    /// A line for the log that says how to correct the mistake in the line before, or where it is.
    Hint(log::Message),
    /// A syntax error as Zend prints it: on stderr, without date and level.
    Stderr(String),
}

impl Message {
    /// The text without level.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Message::Log(message) | Message::Hint(message) => message.text(),
            Message::Stderr(text) => text,
        }
    }
}

/// Lines in order, without those below the log level in force when each was added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Messages {
    /// The lines.
    pub lines: Vec<Message>,
    /// How many of them were added before the error log was open, and cannot go there.
    pub before_log: usize,
    /// The form of the lines, as far as it was known when they were added.
    pub format: log::Format,
    level: log::Level,
    log_open: bool,
}

impl Messages {
    /// Starts at php-fpm's default level, notice.
    pub(crate) fn new() -> Self {
        Self {
            lines: Vec::new(),
            before_log: 0,
            format: log::Format::Default,
            level: log::Level::Notice,
            log_open: false,
        }
    }

    /// From now on only lines of this level or above are added.
    pub(crate) fn set_level(&mut self, level: log::Level) {
        self.level = level;
    }

    /// The error log can be opened.
    pub(crate) fn set_log_open(&mut self) {
        self.before_log = self.lines.len();
        self.log_open = true;
    }

    /// Whether the error log could be opened.
    pub(crate) fn log_is_open(&self) -> bool {
        self.log_open
    }

    fn push(&mut self, line: Message) {
        self.lines.push(line);
        if !self.log_open {
            self.before_log = self.lines.len();
        }
    }

    /// Adds a line for the log.
    pub(crate) fn log(&mut self, message: log::Message) {
        if message.level() >= self.level {
            self.push(Message::Log(message));
        }
    }

    /// Adds a hint after a message of that level. It is shown whenever that message is.
    pub(crate) fn hint(&mut self, of: log::Level, place: &str, hint: &dyn Display) {
        if of >= self.level {
            self.push(Message::Hint(messages::hint(place, hint)));
        }
    }

    /// Only warnings, errors and their hints.
    #[must_use]
    pub fn problems(mut self) -> Self {
        self.lines.retain(|line| match line {
            Message::Log(message) => message.level() > log::Level::Notice,
            Message::Hint(_) | Message::Stderr(_) => true,
        });
        self
    }

    /// Adds a line that isn't a log line.
    pub(crate) fn stderr(&mut self, text: String) {
        self.push(Message::Stderr(text));
    }
}

/// The configuration is refused. The messages say why and end in `FPM initialization failed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// All messages, with the reason among them.
    pub messages: Messages,
    /// `[global]`, if the error log that it names could be opened.
    pub global: Option<Box<Global>>,
}

impl ConfigError {
    pub(crate) fn new(mut messages: Messages, global: Option<Global>) -> Self {
        messages.log(initialization_failed());
        Self { messages, global: global.map(Box::new) }
    }
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let texts: Vec<&str> = self.messages.lines.iter().map(Message::text).collect();
        f.write_str(&texts.join("; "))
    }
}

impl std::error::Error for ConfigError {}

/// The configuration is refused; the reason is among the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused;

/// A path as it appears in a message.
pub(crate) fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

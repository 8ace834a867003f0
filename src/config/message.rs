//! What reading a configuration has to say, in php-fpm's words and order.

use std::io;
use std::path::Path;

use super::model::Global;
use crate::log;
use crate::sys::failure::reason;

/// One line for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A log line.
    Log {
        /// Its level.
        level: log::Level,
        /// The text after `NOTICE: ` and the like.
        text: String,
    },
    /// A syntax error as Zend prints it: on stderr, without time and level.
    Stderr(String),
}

impl Message {
    /// The text without level.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Message::Log { text, .. } | Message::Stderr(text) => text,
        }
    }
}

/// Lines in order; those below the level that holds at that point are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Messages {
    /// The lines.
    pub lines: Vec<Message>,
    /// How many of them came before the error log was open; they can't go there.
    pub before_log: usize,
    /// What the log's lines look like, as far as it was known when they were made.
    pub format: log::Format,
    level: log::Level,
    log_open: bool,
}

impl Messages {
    /// Starts at php-fpm's level before it knows better: notice.
    pub(crate) fn new() -> Self {
        Self {
            lines: Vec::new(),
            before_log: 0,
            format: log::Format::Default,
            level: log::Level::Notice,
            log_open: false,
        }
    }

    /// From here on only lines of this level or above.
    pub(crate) fn set_level(&mut self, level: log::Level) {
        self.level = level;
    }

    /// The error log is open.
    pub(crate) fn set_log_open(&mut self) {
        self.before_log = self.lines.len();
        self.log_open = true;
    }

    /// Could the error log be opened?
    pub(crate) fn log_is_open(&self) -> bool {
        self.log_open
    }

    fn push(&mut self, line: Message) {
        self.lines.push(line);
        if !self.log_open {
            self.before_log = self.lines.len();
        }
    }

    /// Adds a log line.
    pub(crate) fn log(&mut self, level: log::Level, text: impl Into<String>) {
        if level >= self.level {
            self.push(Message::Log { level, text: text.into() });
        }
    }

    /// Adds what would be right, or where, after a complaint of that level: it is said where the complaint is.
    pub(crate) fn hint(&mut self, complaint: log::Level, text: String) {
        if complaint >= self.level {
            self.push(Message::Log { level: log::Level::Notice, text });
        }
    }

    /// Without remarks that are neither a complaint nor a hint.
    #[must_use]
    pub fn complaints(mut self) -> Self {
        let counts = |line: &Message| match line {
            Message::Log { level, text } => *level > log::Level::Notice || text.contains("] hint: "),
            Message::Stderr(_) => true,
        };
        self.lines.retain(counts);
        self
    }

    /// Adds a line that isn't a log line.
    pub(crate) fn stderr(&mut self, text: String) {
        self.push(Message::Stderr(text));
    }

    /// Adds an error with the system's reason.
    pub(crate) fn system_error(&mut self, text: &str, error: &io::Error) {
        self.log(log::Level::Error, format!("{text}: {}", reason(error)));
    }
}

/// The configuration is refused; the messages say why and end in `FPM initialization failed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// All that was said on the way, the reason included.
    pub messages: Messages,
    /// The global section, once the error log that it names could be opened.
    pub global: Option<Box<Global>>,
}

impl ConfigError {
    pub(crate) fn new(mut messages: Messages, global: Option<Global>) -> Self {
        messages.log(log::Level::Error, "FPM initialization failed");
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

/// The reason is in the messages already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused;

/// A path as it appears in a message.
pub(crate) fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

//! A message with its values, and what the documentation knows of it.

use std::borrow::Cow;
use std::fmt::{self, Display};

use crate::log::{About, Level, OfRequest};
use crate::request_ids::{self, RequestIds};

/// A line for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    level: Level,
    text: String,
    /// The original patch's wording, for `log_format = classic`.
    original: Option<String>,
    pool: Option<String>,
    group: Option<String>,
    pid: Option<i32>,
    request: Option<Box<RequestIds>>,
}

impl Message {
    /// A message about nothing in particular.
    pub(super) fn new(level: Level, text: String) -> Self {
        Self { level, text, original: None, pool: None, group: None, pid: None, request: None }
    }

    /// With the original patch's wording.
    pub(super) fn originally(self, text: String) -> Self {
        Self { original: Some(text), ..self }
    }

    /// Keeps a value that says which pool, group or process the message is about. `template` decides, not the value: a
    /// script can't pretend to be another pool.
    pub(super) fn about(mut self, template: &str, argument: &str, value: &dyn Display) -> Self {
        let pid = ["[pool {pool}] child {pid}", "[group {group}] zygote {pid}"];
        match argument {
            "pool" if template.starts_with("[pool {pool}] ") => self.pool = Some(value.to_string()),
            "group" if template.starts_with("[group {group}] ") => self.group = Some(value.to_string()),
            "pid" if pid.iter().any(|start| template.starts_with(start)) => self.pid = value.to_string().parse().ok(),
            _ => {}
        }
        self
    }

    /// The same message at another level. The catalogue lists the levels that a message can have.
    #[must_use]
    pub fn at(self, level: Level) -> Self {
        Self { level, ..self }
    }

    /// The same message about a request with these ids.
    #[must_use]
    pub fn of_request(self, request: Option<RequestIds>) -> Self {
        Self { request: request.map(Box::new), ..self }
    }

    /// A text of the message with the ids of its request at the end.
    pub(in crate::log) fn tagged<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let tagged = |ids: &RequestIds| Cow::Owned(format!("{text}{}", request_ids::tag(ids)));
        self.request.as_deref().map_or(Cow::Borrowed(text), tagged)
    }

    /// How severe it is.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// The text without date and level.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text in `log_format = classic`.
    #[must_use]
    pub fn original(&self) -> &str {
        self.original.as_deref().unwrap_or(&self.text)
    }

    /// The subject of the message, as fields of a JSON line.
    #[must_use]
    pub fn fields(&self) -> About<'_> {
        About {
            pool: self.pool.as_deref(),
            group: self.group.as_deref(),
            pid: self.pid,
            request: OfRequest::new(self.request.as_deref()),
            ..About::default()
        }
    }
}

impl Display for Message {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

/// A line for the log whose values are any bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByteMessage {
    /// How severe it is.
    pub level: Level,
    /// The text without date and level, not escaped yet.
    pub text: Vec<u8>,
}

impl ByteMessage {
    /// Puts the values in the place of their names in braces.
    pub(super) fn new(level: Level, template: &str, values: &[(&str, &[u8])]) -> Self {
        let mut text = Vec::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            text.extend_from_slice(before.as_bytes());
            let (name, after) = after.split_once('}').unwrap_or((after, ""));
            let value = values.iter().find(|(known, _)| *known == name);
            text.extend_from_slice(value.map_or(b"?", |(_, value)| value));
            rest = after;
        }
        text.extend_from_slice(rest.as_bytes());
        Self { level, text }
    }
}

/// Where a text is shown.
#[cfg(test)]
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// The error log, at one of these levels.
    Log(&'static [Level]),
    /// A part of another line.
    Part,
    /// Standard error, without date and level.
    Stderr,
    /// Standard output.
    #[allow(dead_code, reason = "a topic needs it as soon as it prints there")]
    Stdout,
}

/// Whose wording it is.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// php-fpm prints the same text: scripts look for it, so it never changes.
    Fpm,
    /// Ours.
    Ours,
}

/// A message of the catalogue, for the documentation.
#[cfg(test)]
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) place: Place,
    pub(super) origin: Origin,
    pub(super) text: &'static str,
    pub(super) what: &'static [&'static str],
    pub(super) action: &'static str,
}

/// An [`Entry`], as the macros that define messages make it.
#[cfg(test)]
macro_rules! entry {
    ($name:expr, $place:expr, $origin:ident $text:literal [$($what:literal),+] $action:literal) => {
        $crate::log::messages::entry::Entry {
            name: $name,
            place: $place,
            origin: $crate::log::messages::entry::Origin::$origin,
            text: $text,
            what: &[$($what),+],
            action: $action,
        }
    };
}
#[cfg(test)]
pub(super) use entry;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stay_what_they_are() {
        let message =
            ByteMessage::new(Level::Error, "a {path} ({reason})", &[("path", b"\xff{reason}"), ("reason", b"no")]);
        assert_eq!(message.text, b"a \xff{reason} (no)");
    }

    #[test]
    fn the_template_says_who_a_message_is_about() {
        let message = Message::new(Level::Notice, "text".to_owned())
            .about("[pool {pool}] child {pid} started", "pool", &"www")
            .about("[pool {pool}] child {pid} started", "pid", &7);
        let fields = message.fields();
        assert_eq!((fields.pool, fields.group, fields.pid), (Some("www"), None, Some(7)));
        let running = Message::new(Level::Notice, "text".to_owned()).about("fpm is running, pid {pid}", "pid", &7);
        assert_eq!(running.fields().pid, None);
    }
}

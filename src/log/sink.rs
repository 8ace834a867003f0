//! Where log lines go, stderr, a file, or syslog, and what they look like there.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use super::backlog::Line;
use super::outlet::{self, Outlet};
use super::{About, Level, classic, json, line};
use crate::request_ids::RequestIds;
use crate::sys::fd;

/// A place for lines.
#[derive(Debug)]
pub enum Sink {
    /// Descriptor 2, whatever it leads to.
    Stderr,
    /// The same, with lines without a date.
    Bare,
    /// A file opened for appending, or what stderr was.
    File(Outlet),
    /// syslog(3), by ident and facility number.
    Syslog(String, i32),
    /// Another process, which logs the lines: the pipe to it, and what makes a packet of a line. A packet is written as a whole.
    Relay(Outlet, fn(Level, &[u8]) -> Vec<u8>),
}

impl Sink {
    /// The standard stream that a path names. `None`: it names none.
    pub(super) fn of_stream(path: &Path) -> io::Result<Option<Self>> {
        Ok(match fd::standard_stream(path) {
            Some(1) => Some(Self::of(io::stdout().as_fd().try_clone_to_owned()?)),
            Some(_) => Some(Self::Stderr),
            None => None,
        })
    }

    pub(super) fn of(fd: OwnedFd) -> Self {
        Self::File(Outlet::new(File::from(fd)))
    }

    /// The same place with writes that never wait.
    pub(super) fn never_wait(self) -> Self {
        match self {
            Self::Stderr => self.descriptor().map_or(Self::Stderr, |fd| Self::of(fd::lift(fd)).never_wait()),
            Self::File(outlet) => Self::File(outlet.never_wait()),
            Self::Relay(outlet, packet) => Self::Relay(outlet.never_wait(), packet),
            Self::Bare | Self::Syslog(..) => self,
        }
    }

    pub(super) fn descriptor(&self) -> Option<OwnedFd> {
        match self {
            Self::Stderr | Self::Bare => io::stderr().as_fd().try_clone_to_owned().ok(),
            Self::File(outlet) => outlet.descriptor(),
            Self::Syslog(..) | Self::Relay(..) => None,
        }
    }

    /// Writes a line from a given byte on, as far as the reader takes it.
    ///
    /// # Errors
    /// `WouldBlock`: the reader takes nothing at present. Others: the line cannot be written.
    pub(super) fn put(&self, line: &Line, from: usize) -> io::Result<usize> {
        let rest = line.text.get(from..).unwrap_or_default();
        match self {
            Self::Stderr | Self::Bare => outlet::insist(io::stderr(), rest),
            Self::File(outlet) | Self::Relay(outlet, _) => outlet.write(rest),
            Self::Syslog(ident, facility) => {
                to_syslog(
                    ident,
                    *facility,
                    line.level,
                    String::from_utf8_lossy(rest).trim_end_matches('\n').to_owned(),
                )?;
                Ok(rest.len())
            }
        }
    }

    /// A message as a JSON object. The supervisor completes the objects of a worker with pool and pid; the worker alone knows
    /// the request.
    pub(super) fn json(&self, level: Level, text: &[u8], request: Option<&RequestIds>) -> Vec<Line> {
        match self {
            Self::Bare => json::worker_lines(level, text, request).iter().map(|text| whole(level, text)).collect(),
            _ => vec![whole(level, &json::line(level, text, &About::text(text)))],
        }
    }

    /// A message as a JSON object with these fields.
    pub(super) fn json_about(&self, level: Level, text: &[u8], about: &About<'_>) -> Line {
        whole(level, &json::line(level, text, about))
    }

    /// The text before a message.
    pub(super) fn stamp(&self, level: Level, debug: bool) -> String {
        match self {
            Self::Stderr | Self::File(_) => line::stamp(level, debug),
            Self::Bare => line::bare(level, debug),
            Self::Syslog(..) => line::bracketed(level),
            Self::Relay(..) => String::new(),
        }
    }

    /// A message for the process that logs it.
    pub(super) fn relayed(&self, level: Level, text: &[u8]) -> Option<Line> {
        let Self::Relay(_, packet) = self else { return None };
        Some(Line { level, text: packet(level, text) })
    }

    /// A message whose text is escaped already.
    pub(super) fn stamped(&self, level: Level, text: &[u8], debug: bool) -> Line {
        whole(level, &[self.stamp(level, debug).as_bytes(), text].concat())
    }

    /// The same in the original patch's form. Where the sink adds the date itself, only the wording is the original's.
    pub(super) fn classic(&self, level: Level, text: &[u8]) -> Line {
        match self {
            Self::Stderr | Self::File(_) => whole(level, &classic::line(level, text)),
            Self::Syslog(..) => self.stamped(level, text, false),
            // The supervisor gives the line its form.
            Self::Bare | Self::Relay(..) => self.stamped(level, text, false),
        }
    }

    /// Whether lines carry their date themselves.
    pub(super) fn is_dated(&self) -> bool {
        matches!(self, Self::Stderr | Self::File(_))
    }

    /// A line as it is.
    pub(super) fn raw(&self, text: &[u8]) -> Line {
        match self {
            Self::Syslog(..) => self.stamped(Level::Notice, text, false),
            Self::Relay(_, packet) => Line { level: Level::Notice, text: packet(Level::Notice, text) },
            _ => whole(Level::Notice, text),
        }
    }
}

/// A text with a newline.
pub(super) fn whole(level: Level, text: &[u8]) -> Line {
    Line { level, text: [text, b"\n"].concat() }
}

fn to_syslog(ident: &str, number: i32, level: Level, text: String) -> io::Result<()> {
    let formatter = syslog::Formatter3164 {
        facility: facility(number),
        hostname: None,
        process: ident.to_owned(),
        pid: std::process::id(),
    };
    let mut writer = syslog::unix(formatter).map_err(io::Error::other)?;
    if let syslog::LoggerBackend::Unix(socket) = &writer.backend {
        // A syslog daemon that does not read must not block this process.
        socket.set_nonblocking(true)?;
    }
    let sent = match level {
        Level::Debug => writer.debug(text),
        Level::Notice => writer.notice(text),
        Level::Warning => writer.warning(text),
        Level::Error => writer.err(text),
        Level::Alert => writer.alert(text),
    };
    sent.map_err(|e| match e {
        syslog::Error::Write(e) | syslog::Error::Io(e) => e,
        syslog::Error::Initialization(_) => io::Error::other(e),
    })
}

/// The facility of that number, as syslog.h has it; `LOG_DAEMON` for an unknown number.
fn facility(number: i32) -> syslog::Facility {
    FACILITIES.into_iter().find(|facility| *facility as i32 == number).unwrap_or(syslog::Facility::LOG_DAEMON)
}

/// The facilities that a configuration can name.
const FACILITIES: [syslog::Facility; 20] = {
    use syslog::Facility::{
        LOG_AUTH, LOG_AUTHPRIV, LOG_CRON, LOG_DAEMON, LOG_FTP, LOG_KERN, LOG_LOCAL0, LOG_LOCAL1, LOG_LOCAL2,
        LOG_LOCAL3, LOG_LOCAL4, LOG_LOCAL5, LOG_LOCAL6, LOG_LOCAL7, LOG_LPR, LOG_MAIL, LOG_NEWS, LOG_SYSLOG, LOG_USER,
        LOG_UUCP,
    };
    [
        LOG_KERN,
        LOG_USER,
        LOG_MAIL,
        LOG_DAEMON,
        LOG_AUTH,
        LOG_SYSLOG,
        LOG_LPR,
        LOG_NEWS,
        LOG_UUCP,
        LOG_CRON,
        LOG_AUTHPRIV,
        LOG_FTP,
        LOG_LOCAL0,
        LOG_LOCAL1,
        LOG_LOCAL2,
        LOG_LOCAL3,
        LOG_LOCAL4,
        LOG_LOCAL5,
        LOG_LOCAL6,
        LOG_LOCAL7,
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_facility_that_can_be_named_is_itself() {
        let named: Vec<i32> = (0..=11).chain(16..=23).map(|index| index << 3).collect();
        assert!(named.iter().all(|number| facility(*number) as i32 == *number));
    }
}

//! Where log lines go: stderr, a file, or syslog.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::{About, Level, classic, json, line};
use crate::sys::fd;

/// A place for lines.
#[derive(Debug)]
pub enum Sink {
    /// Descriptor 2, whatever stands there.
    Stderr,
    /// The same, without date.
    Bare,
    /// A file opened for appending.
    File(File),
    /// The system's log, by ident and facility number.
    Syslog(String, i32),
}

impl Sink {
    pub(super) fn open(path: &Path) -> std::io::Result<Self> {
        match fd::standard_stream(path) {
            Some(1) => Ok(Self::File(std::io::stdout().as_fd().try_clone_to_owned()?.into())),
            Some(_) => Ok(Self::Stderr),
            None => OpenOptions::new().append(true).create(true).mode(0o600).open(path).map(Self::File),
        }
    }

    pub(super) fn descriptor(&self) -> Option<OwnedFd> {
        match self {
            Self::Stderr | Self::Bare => std::io::stderr().as_fd().try_clone_to_owned().ok(),
            Self::File(file) => file.try_clone().ok().map(OwnedFd::from),
            Self::Syslog(..) => None,
        }
    }

    /// A message. A line that can't be written has nowhere else to go.
    pub(super) fn write(&self, level: Level, text: &[u8], debug: bool) {
        match self {
            Self::Stderr | Self::File(_) => {
                self.write_bytes(level, line::escaped(&String::from_utf8_lossy(text)).as_bytes(), debug);
            }
            // Whoever puts it into a line looks after that.
            Self::Bare | Self::Syslog(..) => self.write_bytes(level, text, debug),
        }
    }

    /// The same as a JSON object; a worker leaves to the supervisor what it doesn't know itself.
    pub(super) fn write_json(&self, level: Level, text: &[u8]) {
        match self {
            Self::Bare => json::worker_lines(level, text).iter().for_each(|line| self.write_raw(line)),
            _ => self.write_object(level, &json::line(level, text, &About::text(text))),
        }
    }

    pub(super) fn write_object(&self, level: Level, line: &[u8]) {
        match self {
            Self::Syslog(ident, facility) => to_syslog(ident, *facility, level, String::from_utf8_lossy(line).into()),
            _ => self.write_raw(line),
        }
    }

    /// What stands in front of a message here.
    pub(super) fn stamp(&self, level: Level, debug: bool) -> String {
        match self {
            Self::Stderr | Self::File(_) => line::stamp(level, debug),
            Self::Bare => line::bare(level, debug),
            Self::Syslog(..) => line::bracketed(level),
        }
    }

    /// A message of any bytes, which are a line already.
    pub(super) fn write_bytes(&self, level: Level, text: &[u8], debug: bool) {
        match self {
            Self::Syslog(ident, facility) => {
                let text = line::bracketed(level) + &String::from_utf8_lossy(text);
                to_syslog(ident, *facility, level, text);
            }
            _ => self.write_raw(&[self.stamp(level, debug).as_bytes(), text].concat()),
        }
    }

    /// The same in the original patch's form, of which a line without a date keeps the words alone.
    pub(super) fn write_classic(&self, level: Level, text: &[u8]) {
        match self {
            Self::Stderr | Self::File(_) => self.write_raw(&classic::line(level, text)),
            Self::Syslog(..) => self.write_bytes(level, &classic::reworded(text), false),
            // The supervisor puts it into a line.
            Self::Bare => self.write_bytes(level, text, false),
        }
    }

    /// Lines carry their date themselves.
    pub(super) fn is_dated(&self) -> bool {
        matches!(self, Self::Stderr | Self::File(_))
    }

    pub(super) fn write_raw(&self, line: &[u8]) {
        let whole = [line, b"\n"].concat();
        let _ = match self {
            Self::Stderr | Self::Bare => std::io::stderr().write_all(&whole),
            Self::File(file) => (&*file).write_all(&whole),
            Self::Syslog(ident, facility) => {
                let text = line::bracketed(Level::Notice) + &String::from_utf8_lossy(line);
                to_syslog(ident, *facility, Level::Notice, text);
                Ok(())
            }
        };
    }
}

fn to_syslog(ident: &str, number: i32, level: Level, text: String) {
    let formatter = syslog::Formatter3164 {
        facility: facility(number),
        hostname: None,
        process: ident.to_owned(),
        pid: std::process::id(),
    };
    let Ok(mut writer) = syslog::unix(formatter) else { return };
    let _ = match level {
        Level::Debug => writer.debug(text),
        Level::Notice => writer.notice(text),
        Level::Warning => writer.warning(text),
        Level::Error => writer.err(text),
        Level::Alert => writer.alert(text),
    };
}

/// The facility of that number, as syslog.h has it; the daemons' where there is none such.
fn facility(number: i32) -> syslog::Facility {
    FACILITIES.into_iter().find(|facility| *facility as i32 == number).unwrap_or(syslog::Facility::LOG_DAEMON)
}

/// Those that a configuration can name.
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

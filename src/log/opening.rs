//! A log file that is being opened. Its directory may be a user's and hang.

use std::io;
use std::path::Path;
use std::time::Instant;

use super::sink::Sink;
use crate::sys::log_file::{self, Owner};

/// A log that is being opened.
#[derive(Debug)]
pub struct Opening(Way);

#[derive(Debug)]
enum Way {
    Open(Option<io::Result<Sink>>),
    Asked(log_file::Opening),
}

/// Begins to open a log for appending, mode 0600 like php-fpm's. Standard streams are open already.
#[must_use]
pub fn begin(path: &Path) -> Opening {
    let stream = Sink::of_stream(path).transpose();
    Opening(stream.map_or_else(|| Way::Asked(log_file::start(path, Owner::Root)), |sink| Way::Open(Some(sink))))
}

impl Opening {
    /// The log, if it is open by then. It is returned once.
    pub fn poll(&mut self, until: Instant) -> Option<io::Result<Sink>> {
        match &mut self.0 {
            Way::Open(sink) => sink.take(),
            Way::Asked(opening) => opening.poll(Some(until)).map(|opened| opened.map(|log| Sink::of(log.file))),
        }
    }

    /// Waits until the log is open.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn wait(self) -> io::Result<Sink> {
        match self.0 {
            Way::Open(sink) => sink.unwrap_or_else(|| Err(io::ErrorKind::NotFound.into())),
            Way::Asked(opening) => opening.wait().map(|log| Sink::of(log.file)),
        }
    }
}

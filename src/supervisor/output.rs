//! What zygotes, workers and checks write to stdout and stderr: pipes, cut into lines for the log.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use serde::{Deserialize, Serialize};

use crate::log;

/// Whose output a pipe carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// A zygote of that group.
    Zygote(String),
    /// A worker: pool, pid, `stdout` or `stderr`, decorated or raw.
    Worker {
        /// The pool.
        pool: String,
        /// Known once it was forked.
        pid: i32,
        /// Which of its streams.
        stream: String,
        /// `decorate_workers_output`.
        decorate: bool,
    },
}

/// A pipe and the line that is not complete yet.
#[derive(Debug)]
pub struct Output {
    /// The reading end, non-blocking.
    pub fd: OwnedFd,
    /// Whose.
    pub source: Source,
    partial: Vec<u8>,
}

/// Longest piece of a line that is kept waiting for its end.
const LONGEST: usize = 8 * 1024;
/// Most that is read from one pipe before others get their turn.
const TURN: usize = 16 * 1024;

impl Output {
    /// A fresh pipe.
    #[must_use]
    pub fn new(fd: OwnedFd, source: Source) -> Self {
        Self { fd, source, partial: Vec::new() }
    }

    /// Logs what has come. False: the other side has closed it.
    pub fn relay(&mut self) -> bool {
        let mut buffer = [0u8; TURN];
        match nix::unistd::read(self.fd.as_fd(), &mut buffer) {
            Ok(0) => {
                self.finish();
                false
            }
            Ok(count) => {
                self.feed(&buffer[..count]);
                true
            }
            Err(e) => matches!(io::Error::from(e).kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' || self.partial.len() >= LONGEST {
                self.finish();
            }
            if byte != b'\n' {
                self.partial.push(byte);
            }
        }
    }

    /// Logs what waits for the end of its line.
    pub fn finish(&mut self) {
        if self.partial.is_empty() {
            return;
        }
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.partial)).into_owned();
        match &self.source {
            Source::Zygote(group) => log::warning(format!("[group {group}] zygote said: \"{line}\"")),
            Source::Worker { pool, pid, stream, decorate: true } => {
                log::warning(format!("[pool {pool}] child {pid} said into {stream}: \"{line}\""));
            }
            Source::Worker { decorate: false, .. } => log::raw(&line),
        }
    }
}

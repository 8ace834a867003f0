//! What control commands ask of the supervisor beyond the meaning of a signal: lines of JSON in a memfd of the supervisor. A
//! command finds the file in `/proc`, appends a line and sends `signal::REQUEST`. Only a process that may trace the
//! supervisor can open the file, and it has mode 0600; so only those can write it that may signal the supervisor, too.
//!
//! Writers and the reader hold a lock of the open file description (flock(2)). The supervisor never waits for it.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use nix::sys::memfd::MFdFlags;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::found_memory::find_memory;
use crate::plan::fleet::Scope;
use crate::sys::{fd, shared};

const NAME: &str = "cgi-fpm-orders";

/// The most bytes of requests that may wait.
const MOST: u64 = 64 * 1024;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Request {
    /// Reload a part.
    Reload {
        /// All groups that would run with something else than they do.
        #[serde(default)]
        changed: bool,
        /// The groups with these names or with pools of these names.
        #[serde(default)]
        pools: BTreeSet<String>,
    },
    /// Write the table of groups (`group_table`).
    Groups {
        /// The number by which the command knows its answer.
        id: u64,
    },
}

impl Request {
    /// What it asks to reload; `None` if that is nothing.
    #[must_use]
    pub(crate) fn scope(self) -> Option<Scope> {
        let Self::Reload { changed, pools } = self else { return None };
        match (changed, pools.is_empty()) {
            (false, true) => None,
            (true, true) => Some(Scope::Changed),
            (true, false) => Some(Scope::ChangedAnd(pools)),
            (false, false) => Some(Scope::Pools(pools)),
        }
    }
}

/// What the supervisor reads at once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Requests {
    /// Those that it understands, in their order.
    pub requests: Vec<Request>,
    /// The number of lines that it does not understand.
    pub unknown: usize,
}

/// The supervisor's side.
#[derive(Debug)]
pub(crate) struct RequestReader(File);

impl RequestReader {
    /// Creates the file, without requests.
    ///
    /// # Errors
    /// `EMFILE`, `ENOMEM`.
    pub(crate) fn new() -> io::Result<Self> {
        let file = File::from(fd::lift(shared::memory_file(NAME, MFdFlags::empty())?));
        file.set_permissions(Permissions::from_mode(0o600))?;
        Ok(Self(file))
    }

    /// Takes it over from the supervisor's former image, with the requests in it.
    #[must_use]
    pub(crate) fn adopt(fd: OwnedFd) -> Self {
        Self(File::from(fd))
    }

    /// Its descriptor.
    #[must_use]
    pub(crate) fn number(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Takes all requests out. `None`: a command is writing at this moment.
    ///
    /// # Errors
    /// Those of flock, read and ftruncate.
    pub(crate) fn take(&mut self) -> io::Result<Option<Requests>> {
        match self.0.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(e)) => return Err(e),
        }
        let taken = self.take_locked();
        self.0.unlock()?;
        taken.map(Some)
    }

    fn take_locked(&mut self) -> io::Result<Requests> {
        self.0.rewind()?;
        let mut text = Vec::new();
        (&self.0).take(MOST).read_to_end(&mut text)?;
        self.0.set_len(0)?;
        let mut read = Requests::default();
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice(line) {
                Ok(request) => read.requests.push(request),
                Err(_) => read.unknown += 1,
            }
        }
        Ok(read)
    }
}

/// The side of a command.
#[derive(Debug)]
pub(crate) struct RequestWriter(File);

impl RequestWriter {
    /// Opens the file of a process. `None`: the process has none, so it must not get the signal, or this process may not write it.
    #[must_use]
    pub(crate) fn open(pid: Pid) -> Option<Self> {
        OpenOptions::new().append(true).open(find_memory(pid, NAME)?).ok().map(Self)
    }

    /// Appends a request. The caller then sends the signal.
    ///
    /// # Errors
    /// `QuotaExceeded`: too many requests wait, or this one is too long. `TimedOut`: another process keeps the lock. Those of write.
    pub(crate) fn append(&mut self, request: &Request) -> io::Result<()> {
        const TRIES: u32 = 500;
        const PAUSE: Duration = Duration::from_millis(10);
        // A newline on both sides: what another process has left before it may lack one.
        let line = [b"\n", &serde_json::to_vec(request)?[..], b"\n"].concat();
        for _ in 0..TRIES {
            match self.0.try_lock() {
                Ok(()) => return self.append_locked(&line),
                Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
                Err(TryLockError::Error(e)) => return Err(e),
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    fn append_locked(&mut self, line: &[u8]) -> io::Result<()> {
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        let fits = self.0.metadata()?.len().saturating_add(length) <= MOST;
        let written = if fits { self.0.write_all(line) } else { Err(io::ErrorKind::QuotaExceeded.into()) };
        self.0.unlock()?;
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(reader: &RequestReader) -> RequestWriter {
        let path = format!("/proc/self/fd/{}", reader.number());
        RequestWriter(OpenOptions::new().append(true).open(path).unwrap())
    }

    fn pools(names: &[&str]) -> Request {
        Request::Reload { changed: false, pools: names.iter().map(|name| (*name).to_owned()).collect() }
    }

    #[test]
    fn requests_are_taken_once_and_in_their_order() {
        let reader = RequestReader::new().unwrap();
        let (first, second) = (pools(&["a", "b"]), Request::Reload { changed: true, pools: BTreeSet::new() });
        writer(&reader).append(&first).unwrap();
        writer(&reader).append(&second).unwrap();
        let mut reader = RequestReader::adopt(reader.0.try_clone().unwrap().into());
        let all = Requests { requests: vec![first, second], unknown: 0 };
        assert_eq!(reader.take().unwrap(), Some(all));
        assert_eq!(reader.take().unwrap(), Some(Requests::default()));
    }

    #[test]
    fn a_request_names_a_scope() {
        assert_eq!(pools(&[]).scope(), None);
        assert_eq!(pools(&["a"]).scope(), Some(Scope::Pools(BTreeSet::from(["a".to_owned()]))));
        let changed: Request = serde_json::from_str(r#"{"reload":{"changed":true,"later":1}}"#).unwrap();
        assert_eq!(changed.scope(), Some(Scope::Changed));
    }

    #[test]
    fn nonsense_is_counted_and_what_is_too_long_is_refused() {
        let mut reader = RequestReader::new().unwrap();
        let mut writer = writer(&reader);
        writer.0.write_all(b"nonsense\n{\"dance\":{}}\n\xff").unwrap();
        writer.append(&pools(&["a"])).unwrap();
        assert_eq!(reader.take().unwrap(), Some(Requests { requests: vec![pools(&["a"])], unknown: 3 }));
        let long = "x".repeat(70_000);
        assert_eq!(writer.append(&pools(&[&long])).unwrap_err().kind(), io::ErrorKind::QuotaExceeded);
        // A writer that keeps to no rule.
        writer.0.set_len(1 << 40).unwrap();
        assert_eq!(reader.take().unwrap().unwrap().requests, []);
        assert_eq!(reader.0.metadata().unwrap().len(), 0);
    }

    #[test]
    fn the_reader_does_not_wait_for_a_writer() {
        let mut reader = RequestReader::new().unwrap();
        let writer = writer(&reader);
        writer.0.lock().unwrap();
        assert_eq!(reader.take().unwrap(), None);
        drop(writer);
        assert_eq!(reader.take().unwrap(), Some(Requests::default()));
    }

    #[test]
    fn only_the_owner_may_open_it() {
        let reader = RequestReader::new().unwrap();
        assert_eq!(reader.0.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(RequestWriter::open(Pid::this()).is_some());
    }
}

//! A worker's access log: keeps the description of the request until its script has ended, and writes the line.
#![forbid(unsafe_code)]

use std::net::IpAddr;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Duration;

use nix::unistd::{Pid, getpid};

use super::zygote_channel::ZygoteChannel;
use crate::access_log::{Facts, Format, is_suppressed};
use crate::config::PoolConfig;
use crate::log;
use crate::request::{Description, Outcome};
use crate::request_ids::RequestIds;
use crate::sys::{clock, listen, local_time};

/// How long a line waits for a log that was opened again and is on its way to this worker.
const PATIENCE: Duration = Duration::from_secs(1);

/// The largest buffer that is kept from one request to the next, in bytes.
const KEEP: usize = 64 * 1024;

/// The format of the lines and the way to their file.
pub(super) struct AccessLog {
    control: Rc<ZygoteChannel>,
    format: Format,
    suppressed: Vec<String>,
    pool: String,
    pid: u32,
    supervisor: u32,
    /// The format shows the client's address, and the pool listens on TCP.
    wants_remote: bool,
    remote: Option<IpAddr>,
    request: OwnedDescription,
    line: Vec<u8>,
}

/// When the request began, and the time that it took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    /// When it began, in seconds since 1970.
    pub(super) accepted: u64,
    /// In microseconds.
    pub(super) duration: u64,
    /// User and system time, in microseconds.
    pub(super) cpu: (u64, u64),
}

impl AccessLog {
    /// For a worker of that pool, if it has an access log.
    pub(super) fn new(pool: &PoolConfig, control: Rc<ZygoteChannel>, supervisor: Pid) -> Option<Self> {
        pool.access_log.as_ref()?;
        let format = pool.access_format.clone()?;
        let number = |pid: Pid| u32::try_from(pid.as_raw()).unwrap_or(0);
        Some(Self {
            control,
            wants_remote: format.wants_remote() && pool.listens_on_tcp(),
            format,
            suppressed: pool.access_suppress_path.clone(),
            pool: pool.name.clone(),
            pid: number(getpid()),
            supervisor: number(supervisor),
            remote: None,
            request: OwnedDescription::default(),
            line: Vec::new(),
        })
    }

    /// Whether the format shows CPU times.
    pub(super) fn wants_cpu(&self) -> bool {
        self.format.wants_cpu()
    }

    /// Looks up the client's address. Called at once, because later the client may have gone.
    pub(super) fn attached(&mut self, connection: BorrowedFd<'_>) {
        self.remote = if self.wants_remote { listen::peer(connection).ok().flatten() } else { None };
    }

    pub(super) fn begin(&mut self) {
        self.request.fill(&Description::default());
    }

    pub(super) fn described(&mut self, request: &Description<'_>) {
        self.request.fill(request);
    }

    /// Writes the line. `reopened`: how many times the logs have been opened again so far.
    pub(super) fn ended(&mut self, outcome: &Outcome<'_>, timing: Timing, ids: Option<RequestIds>, reopened: u64) {
        if is_suppressed(&self.suppressed, &self.request.description(), outcome.status) {
            return;
        }
        self.control.follow_access_log(reopened, PATIENCE);
        self.line.clear();
        let written_micros = clock::wall();
        let facts = Facts {
            pool: &self.pool,
            pid: self.pid,
            supervisor: self.supervisor,
            remote: self.remote,
            request: self.request.description(),
            accepted: timing.accepted,
            written: written_micros / 1_000_000,
            written_micros,
            duration: timing.duration,
            cpu: timing.cpu,
            memory: outcome.memory_peak,
            status: outcome.status,
            ids,
            header: &|name| (outcome.header)(name),
            variable: &|name| (outcome.variable)(name),
            date: &local_time::push_local_time,
        };
        self.format.render(&facts, &mut self.line);
        // As in php-fpm, an empty line is not written.
        if !self.line.is_empty() {
            self.line.push(b'\n');
            // If the write fails, there is no other place for the line.
            self.control.with_access_log(|file| _ = log::write_all(file, &self.line));
        }
        self.line.shrink_to(KEEP);
    }
}

/// A copy of a description, in one buffer that is used for all requests.
#[derive(Debug, Default)]
struct OwnedDescription {
    texts: Vec<u8>,
    ends: [usize; 5],
    content_length: u64,
}

impl OwnedDescription {
    fn fill(&mut self, request: &Description<'_>) {
        self.texts.clear();
        self.texts.shrink_to(KEEP);
        for (end, text) in self.ends.iter_mut().zip(request.texts()) {
            self.texts.extend_from_slice(text);
            *end = self.texts.len();
        }
        self.content_length = request.content_length;
    }

    fn description(&self) -> Description<'_> {
        let text = |range: Range<usize>| self.texts.get(range).unwrap_or_default();
        let [method, uri, query, user, script] = self.ends;
        Description {
            method: text(0..method),
            uri: text(method..uri),
            query: text(uri..query),
            user: text(query..user),
            script: text(user..script),
            content_length: self.content_length,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_what_was_told() {
        let told = Description {
            method: b"GET",
            uri: b"/a",
            query: b"",
            user: b"me",
            script: b"/srv/a.php",
            content_length: 3,
        };
        let mut kept = OwnedDescription::default();
        kept.fill(&told);
        assert_eq!(kept.description(), told);
        kept.fill(&Description::default());
        assert_eq!(kept.description(), Description::default());
    }
}

//! The log of a process: where it goes, in which form, and the lines that are not written yet.

use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};

use once_cell::sync::Lazy;
use parking_lot::Mutex;

use super::backlog::{Backlog, Line};
use super::messages::logs::lines_lost;
use super::outlet::Outlet;
use super::{Format, Level, Message, Sink, classic, line};
use crate::escape;
use crate::request_ids::{self, RequestIds};
use crate::sys::fd::{self, Stream};

/// Lines that were dropped, since `take_lost` was called.
static LOST: AtomicU64 = AtomicU64::new(0);

/// How many lines were dropped since the last call, because the reader of the log was too slow. Those of a gap count when it has ended.
pub fn take_lost() -> u64 {
    LOST.swap(0, Ordering::Relaxed)
}

/// The log of this process. Global, because PHP's callbacks need it and cannot be given a reference.
pub(super) static LOG: Lazy<Mutex<Log>> = Lazy::new(|| Mutex::new(Log::default()));

/// Where lines go, which are logged, and what waits.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) sink: Sink,
    pub(super) level: Level,
    pub(super) format: Format,
    /// During a start, messages from this level on also go to the caller's stderr, as it was at the beginning.
    pub(super) echo: Option<(Outlet, Level)>,
    /// Whether logging waits for the reader. If not, lines that cannot be written at once wait in `backlog`.
    pub(super) waits: bool,
    pub(super) backlog: Backlog,
    /// Descriptor 2 leads to the log, where that is a file.
    pub(super) leads_stderr: bool,
    /// In a worker: the ids of the request that all messages are about, if requests have ids.
    pub(super) request: Option<RequestIds>,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            sink: Sink::Stderr,
            level: Level::Notice,
            format: Format::Default,
            echo: None,
            waits: true,
            backlog: Backlog::default(),
            leads_stderr: false,
            request: None,
        }
    }
}

impl Log {
    /// Changes where lines go. Lines that wait go there, too.
    pub(super) fn change_sink(&mut self, sink: Sink) {
        self.sink = if self.waits { sink } else { sink.never_wait() };
        self.lead_stderr();
        self.flush();
    }

    /// Makes descriptor 2 lead to the log, so that text from elsewhere, such as a panic or a message of libc, is in the log, too.
    pub(super) fn lead_stderr(&self) {
        if self.leads_stderr {
            let file = self.sink.descriptor().filter(|fd| fd::file_mark(fd).is_some());
            let to = file.or_else(|| File::options().write(true).open("/dev/null").ok().map(Into::into));
            let _ = to.map(|to| fd::redirect(Stream::Stderr, to));
        }
    }

    /// A message in the log's form. `text` is escaped already.
    pub(super) fn lines(&self, level: Level, text: &[u8]) -> Vec<Line> {
        if let Some(line) = self.sink.relayed(level, text) {
            return vec![line];
        }
        match self.format {
            Format::Default => vec![self.sink.stamped(level, text, self.level == Level::Debug)],
            Format::Json => self.sink.json(level, text, self.request.as_ref()),
            Format::Classic => vec![self.sink.classic(level, text)],
        }
    }

    /// The same for any bytes.
    pub(super) fn escaped_lines(&self, level: Level, text: &[u8]) -> Vec<Line> {
        let tagged = self.request.filter(|_| self.format != Format::Json).map(|ids| request_ids::each_line(text, &ids));
        let text = tagged.as_deref().unwrap_or(text);
        let escapes = match self.format {
            // The process that logs the line escapes it.
            Format::Default => !matches!(self.sink, Sink::Bare | Sink::Relay(..)),
            Format::Classic => !matches!(self.sink, Sink::Relay(..)),
            // JSON has escapes of its own.
            Format::Json => false,
        };
        if escapes { self.lines(level, escape::line(text).as_bytes()) } else { self.lines(level, text) }
    }

    /// A message of the catalogue in the log's form.
    pub(super) fn message_lines(&self, message: &Message) -> Vec<Line> {
        let level = message.level();
        match (&self.sink, self.format) {
            // The process that logs the line gives it its form.
            (Sink::Bare | Sink::Relay(..), _) | (_, Format::Default) => {
                self.escaped_lines(level, message.tagged(message.text()).as_bytes())
            }
            (_, Format::Classic) => self.escaped_lines(level, message.tagged(message.original()).as_bytes()),
            (_, Format::Json) => vec![self.sink.json_about(level, message.text().as_bytes(), &message.fields())],
        }
    }

    /// Writes the copy of a message to the caller's stderr. `original`: its text in `log_format = classic`.
    pub(super) fn echo(&self, level: Level, text: &[u8], original: &[u8]) {
        let Some((stderr, _)) = self.echo.as_ref().filter(|(_, least)| level >= *least) else { return };
        let _ = stderr.write(&match self.format {
            Format::Default | Format::Json => line::stamped(level, text, self.level == Level::Debug).into_bytes(),
            Format::Classic => [classic::line(level, escape::line(original).as_bytes()), b"\n".to_vec()].concat(),
        });
    }

    /// Appends lines and writes what can be written.
    pub(super) fn put(&mut self, lines: impl IntoIterator<Item = Line>) {
        let Self { sink, backlog, .. } = self;
        lines.into_iter().for_each(|line| backlog.offer(line, |line, from| sink.put(line, from)));
        self.tell_lost();
    }

    /// Writes waiting lines, as far as the reader takes them.
    pub(super) fn flush(&mut self) {
        let Self { sink, backlog, .. } = self;
        backlog.flush(|line, from| sink.put(line, from));
        self.tell_lost();
    }

    fn tell_lost(&mut self) {
        if let Some(count) = self.backlog.take_lost() {
            LOST.fetch_add(count, Ordering::Relaxed);
            let lines = self.message_lines(&lines_lost(count));
            self.put(lines);
        }
    }
}

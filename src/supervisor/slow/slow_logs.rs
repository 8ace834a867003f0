//! Slow logs: entries in php-fpm's form, written as far as each file takes them without blocking.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::escape;
use crate::log::{self, messages::output as messages};
use crate::request_ids::RequestIds;
use crate::supervisor::log_files;
use crate::sys::failure::reason;
use crate::sys::log_file::{Opening, Owner};

/// Most bytes that wait for the reader of a slow log (a FIFO, or a directory of a user's that doesn't answer).
const MOST_UNWRITTEN: usize = 256 * 1024;
/// How long the directory of a slow log is waited for before this image ends.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Entries that are not written yet, by file.
#[derive(Debug, Default)]
pub(crate) struct SlowLogs {
    files: BTreeMap<PathBuf, Unwritten>,
}

#[derive(Debug)]
struct Unwritten {
    owner: Owner,
    bytes: Vec<u8>,
    opening: Option<Opening>,
}

impl SlowLogs {
    /// Whether there is nothing to write.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Adds an entry to that file: a heading, which says when and which process, the text of a trace, and the ids of the request.
    pub(crate) fn add(
        &mut self,
        path: &Path,
        owner: Owner,
        (heading, ids): (&str, Option<RequestIds>),
        text: &[u8],
        complete: bool,
    ) {
        let new = || Unwritten { owner, bytes: Vec::new(), opening: None };
        let file = self.files.entry(path.to_owned()).or_insert_with(new);
        file.bytes.extend(entry(heading, text, complete));
        file.bytes.extend(ids.as_ref().map(id_lines).unwrap_or_default().into_bytes());
    }

    /// Writes what has been added since the last time: many slow requests at once cost one open and one write.
    pub(crate) fn write(&mut self) {
        self.write_until(None);
    }

    /// The same before this image ends: what is not taken now is lost.
    pub(crate) fn finish(&mut self) {
        self.write_until(Some(Instant::now() + LAST_WAIT));
        std::mem::take(&mut self.files).iter().for_each(|(path, file)| warn_lost(path, &file.bytes));
    }

    fn write_until(&mut self, until: Option<Instant>) {
        for (path, mut file) in std::mem::take(&mut self.files) {
            if let Err(e) = file.append(&path, until) {
                log::say(&messages::slow_log_not_opened(path.display(), reason(&e)));
            } else if file.bytes.len() > MOST_UNWRITTEN {
                warn_lost(&path, &file.bytes);
            } else if !file.bytes.is_empty() {
                self.files.insert(path, file);
            }
        }
    }
}

impl Unwritten {
    /// Appends what the file takes at once and keeps the rest. The file is opened each time, as in php-fpm: it may be moved away
    /// at any time. A directory of a user's is waited for until then (`None`: not at all).
    ///
    /// # Errors
    /// Those of open and write.
    fn append(&mut self, path: &Path, until: Option<Instant>) -> io::Result<()> {
        let owner = self.owner;
        let opening = self.opening.get_or_insert_with(|| log_files::begin(path, owner));
        let Some(opened) = opening.poll(until) else { return Ok(()) };
        self.opening = None;
        log::append(opened?.file, &mut self.bytes)
    }
}

fn warn_lost(path: &Path, entries: &[u8]) {
    log::say(&messages::slow_log_not_read(path.display(), entries.len()));
}

fn entry(heading: &str, text: &[u8], complete: bool) -> Vec<u8> {
    let mut entry = format!("\n{heading}\n").into_bytes();
    // It comes from a worker, so it need not be lines of text.
    entry.extend_from_slice(escape::lines(text).as_bytes());
    if !complete {
        entry.extend_from_slice(b"+++ dump failed\n");
    }
    entry
}

/// The ids, at the end of an entry. Programs that read slow logs expect the innermost call right after `script_filename`, and skip
/// lines that they don't know up to the empty line before the next entry.
fn id_lines(ids: &RequestIds) -> String {
    let trace = ids.trace.map(|context| format!("trace_id = {}\nspan_id = {}\n", context.trace, context.span));
    format!("request_id = {}\n{}", ids.request, trace.unwrap_or_default())
}

/// The calls of a trace for a line of the error log, the innermost first.
#[must_use]
pub(crate) fn in_one_line(text: &[u8]) -> Vec<u8> {
    let calls = text.split(|b| *b == b'\n').filter(|line| line.starts_with(b"[0x"));
    let calls = calls.filter_map(|line| line.splitn(2, |b| *b == b' ').nth(1));
    escape::line(&calls.collect::<Vec<_>>().join(b" < ".as_slice())).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &[u8] = b"script_filename = /srv/a.php\n[0x00007f0000000001] sleep() /srv/a.php:3\n[0x00007f0000000002] f() /srv/a.php:9\n";

    #[test]
    fn an_entry_is_php_fpms() {
        let text = entry("[21-Sep-2026 16:22:19]  [pool www] pid 42", TRACE, true);
        let expected = "\n[21-Sep-2026 16:22:19]  [pool www] pid 42\nscript_filename = /srv/a.php\n\
            [0x00007f0000000001] sleep() /srv/a.php:3\n[0x00007f0000000002] f() /srv/a.php:9\n";
        assert_eq!(String::from_utf8_lossy(&text), expected);
        let failed = entry("t", b"script_filename = /a\0\x1b[31m\n", false);
        assert_eq!(failed, b"\nt\nscript_filename = /a\\x00\\x1B[31m\n+++ dump failed\n");
    }

    #[test]
    fn ids_are_lines_as_the_scripts_name_is() {
        use crate::request_ids::{RequestId, TraceContext};
        let ids = RequestIds { request: RequestId::accept(b"a-1").unwrap(), trace: None };
        assert_eq!(id_lines(&ids), "request_id = a-1\n");
        let traced = RequestIds { trace: TraceContext::of_numbers((0xab, 0xcd)), ..ids };
        let expected = "request_id = a-1\ntrace_id = 000000000000000000000000000000ab\nspan_id = 00000000000000cd\n";
        assert_eq!(id_lines(&traced), expected);
    }

    #[test]
    fn a_line_has_the_calls_alone() {
        assert_eq!(in_one_line(TRACE), b"sleep() /srv/a.php:3 < f() /srv/a.php:9");
        assert_eq!((in_one_line(b""), in_one_line(b"[0x\nscript")), (vec![], vec![]));
    }
}

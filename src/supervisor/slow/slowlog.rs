//! The slow log: entries in php-fpm's form, of traces that workers sent.

use std::io;
use std::path::Path;
use std::time::Instant;

use crate::escape;
use crate::log;
use crate::supervisor::access_logs;
use crate::sys::log_file::{Opening, Owner};

/// An entry: its heading, which says when and whose, and where the script was.
#[must_use]
pub fn entry(heading: &str, text: &[u8], complete: bool) -> Vec<u8> {
    let mut entry = format!("\n{heading}\n").into_bytes();
    // From a worker: it can't be trusted to be lines of text.
    entry.extend_from_slice(escape::lines(text).as_bytes());
    if !complete {
        entry.extend_from_slice(b"+++ dump failed\n");
    }
    entry
}

/// What is to be written to a slow log.
#[derive(Debug)]
pub struct Unwritten {
    owner: Owner,
    /// Entries.
    pub bytes: Vec<u8>,
    opening: Option<Opening>,
}

impl Unwritten {
    /// Nothing yet.
    #[must_use]
    pub fn new(owner: Owner) -> Self {
        Self { owner, bytes: Vec::new(), opening: None }
    }

    /// Appends what is taken at once and leaves the rest. The file is opened each time, as php-fpm does: it may be moved away
    /// at any time. A directory of a user's is waited for until then (`None`: not at all).
    ///
    /// # Errors
    /// Those of open and write.
    pub fn append(&mut self, path: &Path, until: Option<Instant>) -> io::Result<()> {
        let owner = self.owner;
        let opening = self.opening.get_or_insert_with(|| access_logs::begin(path, owner));
        let Some(opened) = opening.poll(until) else { return Ok(()) };
        self.opening = None;
        log::append(opened?.file, &mut self.bytes)
    }
}

/// The calls of a trace for a line of the error log, the innermost first.
#[must_use]
pub fn in_one_line(text: &[u8]) -> Vec<u8> {
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
    fn a_line_has_the_calls_alone() {
        assert_eq!(in_one_line(TRACE), b"sleep() /srv/a.php:3 < f() /srv/a.php:9");
        assert_eq!((in_one_line(b""), in_one_line(b"[0x\nscript")), (vec![], vec![]));
    }
}

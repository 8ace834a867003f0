//! How the reloads and log openings that the supervisor was asked for went: a memfd of the supervisor, which `php-fpm
//! reload` finds in `/proc`. Every process that may signal the supervisor may read it there; no process inherits it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;

use nix::sys::memfd::MFdFlags;
use nix::unistd::{Pid, ftruncate};
use serde::{Deserialize, Serialize};

use crate::sys::{fd, shared};

const NAME: &str = "cgi-fpm-bulletin";

/// The most bytes of it that are read.
const MOST: u64 = 64 * 1024;
/// The most bytes of a text in it. There are two texts, and each byte may take six as JSON, so everything is always
/// read.
const LONGEST: usize = 4096;

/// The results of commands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct CommandResults {
    /// The number of reloads that were requested.
    pub reloads_asked: u64,
    /// The number of requests that the last reload to begin answers.
    pub reloads_begun: u64,
    /// The number of requests that are answered.
    pub reloads_settled: u64,
    /// Why the last reload had no effect; `None` if it had.
    pub refusal: Option<String>,
    /// How many times the logs were opened again.
    pub reopened: u64,
    /// Why a log could not be opened; `None` if all were.
    pub not_reopened: Option<String>,
}

/// The supervisor's side.
#[derive(Debug)]
pub(crate) struct ResultsWriter {
    file: File,
    results: CommandResults,
    /// Log lines of the present reload, which become the reason if it has no effect.
    reasons: Vec<String>,
}

impl ResultsWriter {
    /// Creates it, without results.
    ///
    /// # Errors
    /// `EMFILE`, `ENOMEM`.
    pub(crate) fn new() -> io::Result<Self> {
        let file = File::from(fd::lift(shared::memory_file(NAME, MFdFlags::empty())?));
        let writer = Self { file, results: CommandResults::default(), reasons: Vec::new() };
        writer.publish()?;
        Ok(writer)
    }

    /// Takes it over from the supervisor's former image.
    #[must_use]
    pub(crate) fn adopt(fd: OwnedFd) -> Self {
        let file = File::from(fd);
        let results = read(&file).unwrap_or_default();
        Self { file, results, reasons: Vec::new() }
    }

    /// Its descriptor.
    #[must_use]
    pub(crate) fn number(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// A reload was requested.
    pub(crate) fn reload_asked(&mut self) {
        self.results.reloads_asked += 1;
        self.update();
    }

    /// A reload begins to read the configuration: it answers all requests so far.
    pub(crate) fn reload_begins(&mut self) {
        self.results.reloads_begun = self.results.reloads_asked;
        self.reasons.clear();
        self.update();
    }

    /// Adds a line that may be the reason why the present reload fails.
    pub(crate) fn reason(&mut self, line: &str) {
        const ENOUGH: usize = 20;
        if self.reasons.len() < ENOUGH {
            self.reasons.push(line.chars().take(1000).collect());
        }
    }

    /// The reload has taken effect.
    pub(crate) fn reload_done(&mut self) {
        self.settle(None);
    }

    /// The reload has had no effect.
    pub(crate) fn reload_failed(&mut self, line: &str) {
        let mut lines = std::mem::take(&mut self.reasons);
        lines.push(line.to_owned());
        self.settle(Some(text(&lines)));
    }

    fn settle(&mut self, refusal: Option<String>) {
        if self.results.reloads_settled < self.results.reloads_begun {
            self.results.reloads_settled = self.results.reloads_begun;
            self.results.refusal = refusal;
            self.update();
        }
    }

    /// The logs were opened again; `wrong` says what failed.
    pub(crate) fn reopened(&mut self, wrong: &[String]) {
        self.results.reopened += 1;
        self.results.not_reopened = (!wrong.is_empty()).then(|| text(wrong));
        self.update();
    }

    /// If this fails, the log still has the result.
    fn update(&self) {
        let _ = self.publish();
    }

    /// A concurrent reader sees an incomplete text, never a mixture of two.
    fn publish(&self) -> io::Result<()> {
        let text = serde_json::to_vec(&self.results)?;
        ftruncate(self.file.as_fd(), 0)?;
        self.file.write_all_at(&text, 0)
    }
}

/// Joins lines into one text. If they don't fit, the last line stays.
fn text(lines: &[String]) -> String {
    const CUT: &str = "... (the log has more)";
    let text = lines.join("\n");
    if text.len() <= LONGEST {
        return text;
    }
    let last = lines.last().filter(|_| lines.len() > 1).map_or("", String::as_str);
    let last = &last[..last.floor_char_boundary(LONGEST / 2)];
    let first = &text[..text.floor_char_boundary(LONGEST - last.len() - CUT.len() - 2)];
    [first, CUT, last].join("\n").trim_end().to_owned()
}

fn read(file: &File) -> Option<CommandResults> {
    let mut text = vec![0; usize::try_from(file.metadata().ok()?.len().min(MOST)).ok()?];
    file.read_exact_at(&mut text, 0).ok()?;
    serde_json::from_slice(&text).ok()
}

/// The reader's side: the path of the file of another process.
#[derive(Debug)]
pub(crate) struct ResultsReader(String);

impl ResultsReader {
    /// Finds the file of a process. `None`: it has none, or this process may not look.
    #[must_use]
    pub(crate) fn find(pid: Pid) -> Option<Self> {
        let is_bulletin = |path: &std::path::Path| {
            fs::read_link(path).is_ok_and(|target| target.to_string_lossy().starts_with(&format!("/memfd:{NAME}")))
        };
        let mut descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten().map(|entry| entry.path());
        descriptors.find(|path| is_bulletin(path)).map(|path| Self(path.to_string_lossy().into_owned()))
    }

    /// The present results; `None` while they are being written.
    #[must_use]
    pub(crate) fn read(&self) -> Option<CommandResults> {
        let mut text = Vec::new();
        File::open(&self.0).ok()?.take(MOST).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_is_settled_for_all_who_had_asked_when_it_began() {
        let mut writer = ResultsWriter::new().unwrap();
        writer.reload_asked();
        writer.reload_asked();
        writer.reload_begins();
        writer.reload_asked();
        writer.reason("[www] no such user");
        writer.reload_failed("reload refused");
        let CommandResults { reloads_asked, reloads_settled, refusal, .. } = writer.results.clone();
        assert_eq!((reloads_asked, reloads_settled), (3, 2));
        assert_eq!(refusal.as_deref(), Some("[www] no such user\nreload refused"));
        writer.reload_done();
        assert_eq!(writer.results.refusal, refusal, "nothing was under way");
        writer.reload_begins();
        writer.reload_done();
        assert_eq!((writer.results.reloads_settled, writer.results.refusal.as_deref()), (3, None));
    }

    #[test]
    fn however_much_there_is_to_be_said_it_can_be_read() {
        let mut writer = ResultsWriter::new().unwrap();
        writer.reload_asked();
        writer.reload_begins();
        (0..20).for_each(|_| writer.reason(&"\u{1b}".repeat(1000)));
        writer.reload_failed("reload refused");
        writer.reopened(&vec!["\u{1b}".repeat(100); 1000]);
        let read = read(&writer.file).unwrap();
        assert_eq!(read, writer.results);
        assert!(read.refusal.is_some_and(|text| text.ends_with("\n... (the log has more)\nreload refused")));
        let long = super::text(&["\u{e4}".repeat(5000)]);
        assert!(long.len() <= LONGEST && long.ends_with("\u{e4}\n... (the log has more)"), "{}", long.len());
    }

    #[test]
    fn others_can_read_it_and_a_later_image_goes_on_with_it() {
        let mut writer = ResultsWriter::new().unwrap();
        writer.reopened(&["no directory".to_owned()]);
        let path = ResultsReader(format!("/proc/self/fd/{}", writer.number()));
        let read = path.read().unwrap();
        assert_eq!((read.reopened, read.not_reopened.as_deref()), (1, Some("no directory")));
        assert!(ResultsReader::find(Pid::this()).is_some());
        let mut later = ResultsWriter::adopt(writer.file.try_clone().unwrap().into());
        later.reopened(&[]);
        assert_eq!(path.read().map(|results| (results.reopened, results.not_reopened)), Some((2, None)));
    }
}

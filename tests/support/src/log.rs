//! Reading a server's log while it grows.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::clock::ms;

const ACCUSATIONS: [&str; 7] = [
    " memory leaks detected",
    ") :  Freeing 0x",
    ": Assertion `",
    "zend_signal: ",
    "zend_mm_heap corrupted",
    "Bailed out without a bailout address",
    "' panicked at ",
];

/// A log file.
#[derive(Debug, Clone)]
pub struct Log {
    path: PathBuf,
}

/// A position in a log: later lines are new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(usize);

impl Log {
    /// The log at that path; it need not exist yet.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// All of it.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.path).unwrap_or_default()).into_owned()
    }

    /// Its present end.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark(fs::metadata(&self.path).map_or(0, |data| usize::try_from(data.len()).unwrap_or(usize::MAX)))
    }

    /// The text written after the mark.
    #[must_use]
    pub fn since(&self, mark: Mark) -> String {
        let bytes = fs::read(&self.path).unwrap_or_default();
        String::from_utf8_lossy(bytes.get(mark.0..).unwrap_or_default()).into_owned()
    }

    /// Waits until these texts appear after the mark, in this order.
    ///
    /// # Errors
    /// If they do not appear within the limit; the text shows the log.
    pub fn wait_for(&self, mark: Mark, texts: &[&str], limit: Duration) -> Outcome {
        let start = Instant::now();
        loop {
            let seen = self.since(mark);
            if in_order(&seen, texts) {
                return Ok(());
            }
            crate::ensure!(start.elapsed() < limit, "not in the log within {limit:?}: {texts:?}; there is:\n{seen}");
            std::thread::sleep(ms(1));
        }
    }

    /// How many lines have the text.
    #[must_use]
    pub fn count(&self, text: &str) -> usize {
        self.text().lines().filter(|line| line.contains(text)).count()
    }

    /// The first line that no server may log: PHP in debug mode found a leak or a broken invariant, or our library
    /// panicked.
    #[must_use]
    pub fn accusation(&self) -> Option<String> {
        let accuses = |line: &&str| ACCUSATIONS.iter().any(|mark| line.contains(mark));
        self.text().lines().find(accuses).map(str::to_owned)
    }

    /// The last lines, long ones cut.
    #[must_use]
    pub fn tail(&self, count: usize) -> String {
        self.last(count, |_| true)
    }

    /// The last lines about something else than a worker that starts or exits as it should, long ones cut.
    #[must_use]
    pub fn unusual(&self, count: usize) -> String {
        let is_routine = |line: &str| {
            line.contains("] child ") && (line.ends_with(" started") || line.contains(" exited with code 0 "))
        };
        self.last(count, |line| !is_routine(line))
    }

    fn last(&self, count: usize, which: impl Fn(&str) -> bool) -> String {
        let text = self.text();
        let lines: Vec<String> = text.lines().filter(|line| which(line)).map(|line| format!("{line:.300}")).collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }
}

fn in_order(text: &str, wanted: &[&str]) -> bool {
    let mut rest = text;
    wanted.iter().all(|one| match rest.split_once(one) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

/// The text of a line in the form that the original patch writes, `Sep 21 16:22:19.399162 [WARNING] fpm(), line 1: text`. None
/// for a line of another form.
#[must_use]
pub fn classic(line: &str) -> Option<&str> {
    const MONTHS: &str = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec";
    let (date, rest) = line.split_at_checked("Sep 21 16:22:19.399162".len())?;
    let digits = date.get(3..)?.chars().map(|c| if c.is_ascii_digit() { '0' } else { c });
    let dated = MONTHS.contains(date.get(..3)?) && digits.eq(" 00 00:00:00.000000".chars());
    let (level, text) = rest.strip_prefix(" [")?.split_once("] fpm(), line 1: ")?;
    (dated && ["DEBUG", "NOTICE", "WARNING", "ERROR", "ALERT"].contains(&level)).then_some(text)
}

/// The configuration in the output of `-tt`, a line each, in either form of the log.
#[must_use]
pub fn words_of_dump(text: &str) -> Vec<&str> {
    let lines = text.lines().filter_map(|line| classic(line).or_else(|| line.split_once("] NOTICE: ").map(|(_, l)| l)));
    let lines = lines.skip_while(|line| *line != "[global]");
    lines.filter(|line| !line.contains("test is successful")).collect()
}

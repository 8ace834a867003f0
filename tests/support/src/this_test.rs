//! The running test: its name, its messages, and why it did not run.

use std::fs::File;
use std::io::Write as _;

/// The name of this test as the harness prints it: the harness gives it to the thread that runs the test. None in any other thread.
#[must_use]
pub fn name() -> Option<String> {
    std::thread::current().name().filter(|name| *name != "main").map(str::to_owned)
}

/// Prints one line that starts with the test's name, past the capture of the test harness.
pub fn say(line: &str) {
    let line = match name() {
        Some(name) => format!("{name}: {line}\n"),
        None => format!("{line}\n"),
    };
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Tells that this test, or a part of it, does not run, and why; the caller then returns. The line also goes into the file that
/// `CGI_FPM_SKIPS` names, as `BINARY::TEST<tab>REASON`: build-aux/test.sh compares these with tests/skips.txt.
///
/// # Panics
/// When that file can't be written.
pub fn skip(reason: &str) {
    say(&format!("skipped: {reason}"));
    if let Some(file) = std::env::var_os("CGI_FPM_SKIPS") {
        let line = format!("{}::{}\t{}\n", binary(), name().unwrap_or_default(), reason.replace('\n', " "));
        let written =
            File::options().append(true).create(true).open(&file).and_then(|mut f| f.write_all(line.as_bytes()));
        assert!(written.is_ok(), "{}: {written:?}", file.display());
    }
}

/// The name of this test program: that of its file without the hash that cargo appends.
fn binary() -> String {
    let path = std::env::current_exe().unwrap_or_default();
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    stem.rsplit_once('-').map_or(stem.clone(), |(name, _)| name.to_owned())
}

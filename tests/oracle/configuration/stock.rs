//! Runs stock php-fpm and extracts from its output the parts that can be compared.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The result of one configuration.
pub(crate) struct Outcome {
    pub(crate) accepted: bool,
    /// Without time, and in debug mode without process, function and line.
    pub(crate) lines: Vec<String>,
}

impl Outcome {
    /// Whether both results for the configuration are equal, except for intended differences.
    pub(crate) fn same(&self, ours: &Outcome, conf: &str) -> bool {
        // Stock reads past the end of a line with an open single quote, into memory that is not part of the line.
        let open = conf.lines().any(|line| line.matches('\'').count() % 2 == 1);
        // The same for an access.format with an open brace, so it may accept or refuse it.
        let brace = ours.lines.iter().any(|line| line.contains("missing closing embrace"));
        if (open || brace) && !ours.accepted {
            return true;
        }
        if self.accepted != ours.accepted {
            return false;
        }
        // Before PHP 8.3 a `]` outside of brackets is part of a name, which is then unknown or without a value; also
        // after `${`.
        let bracket = ours.lines.iter().any(|line| line.contains("unexpected ']'")) || conf.contains("${]");
        (bracket && !ours.accepted) || self.comparable(conf) == ours.comparable(conf)
    }

    fn comparable(&self, conf: &str) -> Vec<String> {
        let lines = self.lines.iter().filter(|line| !line.starts_with("DEBUG: ") && !line.starts_with("[DEBUG] "));
        let lines = lines.filter(|line| !line.contains("] hint: "));
        // PHP 8.3 and before print an empty line after the result of `-t`.
        let lines = lines.filter(|line| !line.is_empty());
        // Lines for syslog also appear on stderr, in syslog's form.
        let mut lines: Vec<String> = lines.map(|line| from_syslog(line)).collect();
        // PHP 8.3 knows `${name:-fallback}`.
        lines.iter_mut().for_each(|line| *line = line.replace("expecting TC_FALLBACK or '}'", "expecting '}'"));
        if conf.contains("include") {
            // Stock continues to count lines in the last included file.
            lines = lines.iter().map(|line| without_numbers(line)).collect();
        }
        if ["/dev/std", "/proc/self", "pool.d/*"].iter().any(|log| conf.contains(log)) {
            // Before 8.3 stock writes a line twice if stderr is the error log; docker.conf in pool.d sets that.
            let mut seen = HashSet::new();
            lines.retain(|line| seen.insert(line.clone()));
        }
        lines
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "accepted: {}\n{}", self.accepted, self.lines.join("\n"))
    }
}

fn from_syslog(line: &str) -> String {
    let level = ["NOTICE", "WARNING", "ERROR", "ALERT"].into_iter().find_map(|level| {
        let rest = line.strip_prefix('[')?.strip_prefix(level)?.strip_prefix("] ")?;
        Some(format!("{level}: {rest}"))
    });
    level.unwrap_or_else(|| line.to_owned())
}

fn without_numbers(line: &str) -> String {
    let Some(at) = line.find(".conf:").or_else(|| line.find(" at line ")) else { return line.to_owned() };
    let (head, tail) = line.split_at(at);
    head.to_owned() + &tail.replace(|byte: char| byte.is_ascii_digit(), "")
}

/// A stock php-fpm.
pub(crate) struct Stock {
    program: PathBuf,
    /// PHP_PREFIX, taken from where the program lies.
    pub(crate) prefix: PathBuf,
    /// `8.2.32`
    pub(crate) version: String,
}

impl Stock {
    pub(crate) fn new(program: &Path) -> Self {
        let output = Command::new(program).args(["-n", "-v"]).output().expect("stock php-fpm starts");
        let version = String::from_utf8_lossy(&output.stdout);
        let version = version.split_ascii_whitespace().nth(1).expect("a version").to_owned();
        let prefix = program.parent().and_then(Path::parent).expect("a prefix").to_owned();
        Self { program: program.to_owned(), prefix, version }
    }

    /// `php-fpm -tt`
    pub(crate) fn test(&self, file: &Path, prefix: Option<&Path>) -> Outcome {
        let mut command = Command::new(&self.program);
        command.args(["-n", "-tt", "-y"]).arg(file);
        if let Some(prefix) = prefix {
            command.arg("-p").arg(prefix);
        }
        let output = command.output().expect("stock php-fpm runs");
        let text = String::from_utf8_lossy(&output.stderr);
        let mut lines: Vec<String> = text.split('\n').map(without_time).collect();
        lines.pop();
        Outcome { accepted: output.status.success(), lines }
    }
}

impl Stock {
    /// The result of a command line, as visible from outside.
    pub(crate) fn run(&self, arguments: &[OsString]) -> String {
        let output = Command::new(&self.program).args(arguments).output().expect("stock php-fpm runs");
        let (out, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let did = match (output.status.code(), out.lines().next().unwrap_or_default()) {
            (Some(0), first) if first.starts_with("Usage:") => "help",
            (Some(64), first) if first.starts_with("Usage:") => "usage",
            (Some(0), first) if first.starts_with("PHP ") => "version",
            (Some(0), "phpinfo()") => "info",
            (Some(0), "[PHP Modules]") => "modules",
            (Some(0), "") if log.contains("[global]") => "dump",
            (Some(0), "") if log.contains("test is successful") => "test",
            (code, first) => return format!("exit {code:?}, {first}"),
        };
        did.to_owned()
    }
}

/// `[23-Nov-2026 02:35:08] NOTICE: x` to `NOTICE: x`; `[….123456] ERROR: pid 1, f(), line 2: x` to `ERROR: x`.
fn without_time(line: &str) -> String {
    let timed = line.starts_with('[') && line.get(3..4) == Some("-") && line.get(15..16) == Some(":");
    let Some((_, rest)) = line.split_once("] ").filter(|_| timed) else { return line.to_owned() };
    let debug = line.get(21..22) == Some(".");
    match (rest.split_once(": pid "), rest.split_once(", line ")) {
        (Some((level, _)), Some((_, tail))) if debug => {
            format!("{level}: {}", tail.split_once(": ").map_or("", |(_, text)| text))
        }
        _ => rest.to_owned(),
    }
}

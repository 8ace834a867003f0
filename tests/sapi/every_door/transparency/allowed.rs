//! Permitted differences between two answers: those in docs/differences.md, and those that neither side decides.

use std::path::Path;

use testkit::front::Kind;
use testkit::setup::Setup;
use testkit::target::{Door, Target};

/// The kinds of differences that a comparison permits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    /// Caddy sends its variables in random order; dash passes on the environment in random order through the stock
    /// door, with another PWD.
    order: bool,
    /// Debian builds php-cgi with pcntl and other options than php-fpm.
    build: bool,
}

impl Allowance {
    /// For a target with that web server in front.
    pub(super) fn new(target: &Target, kind: Kind, setup: &Setup) -> Self {
        let dash = target.door == Door::Stock && setup.pool.iter().any(|line| line == "clear_env = no");
        Self { order: kind.is_caddy() || dash, build: target.partner().prefix == Path::new("/usr") }
    }

    /// An answer's lines without the permitted differences; if the order may differ, neighbours of a kind are sorted.
    pub(super) fn comparable(self, text: &str) -> Vec<String> {
        let mut section = "";
        let lines = text.lines().filter(|line| {
            if line.starts_with("<h2>") {
                section = line;
            }
            let of_build = section.contains("module_pcntl") || of_build(line);
            !(self.build && of_build || self.order && named(line, "PWD"))
        });
        let mut lines: Vec<String> = lines.map(without_tail).map(without_binary).collect();
        if self.order {
            lines.chunk_by_mut(|one, other| kind(one) == kind(other)).for_each(<[String]>::sort);
        }
        lines
    }
}

const CELL: &str = "<tr><td class=\"e\">";

/// The prefixes of lines of a list.
fn kind(line: &str) -> &str {
    // The shell that runs `env` puts variables that fall into one bucket of its table into the order in which it got them.
    [CELL, "child environment: "]
        .into_iter()
        .find(|kind| line.starts_with(kind))
        .unwrap_or_else(|| line.split_once('[').map_or(line, |(kind, _)| kind))
}

/// A line of that variable.
fn named(line: &str, name: &str) -> bool {
    ["_SERVER", "_ENV", "getenv"].iter().any(|array| line.starts_with(&format!("{array}[\"{name}\"]")))
        || line.starts_with(&format!("child environment: \"{name}="))
        || [name.to_owned(), format!("$_SERVER['{name}']"), format!("$_ENV['{name}']")].iter().any(|cell| {
            line.strip_prefix(CELL)
                .and_then(|rest| rest.strip_prefix(&**cell))
                .is_some_and(|r| r.trim_start().starts_with("</td>"))
        })
}

fn of_build(line: &str) -> bool {
    [
        "extension: \"pcntl ",
        "function: \"pcntl_",
        "function: \"chroot\"",
        "constant pcntl[",
        "constant Core[\"PHP_CONFIG_FILE_",
        "class: \"Pcntl",
        "<tr><td class=\"e\">Configuration File (php.ini) Path",
        "<tr><td class=\"e\">Configure Command",
        "<tr><td class=\"e\">Build Date",
    ]
    .iter()
    .any(|start| line.starts_with(start))
}

/// `PHP_BINARY` is php-cgi.
fn without_binary(line: String) -> String {
    if line.starts_with("constant Core[\"PHP_BINARY\"]") { "PHP_BINARY".to_owned() } else { line }
}

/// With Apache, php-fpm's getenv() continues after the end of a value that php-fpm has cut.
fn without_tail(line: &str) -> String {
    match line.split_once("\\000") {
        Some((head, _)) if line.starts_with("getenv[\"SCRIPT_FILENAME\"]") => format!("{head}\""),
        _ => line.to_owned(),
    }
}

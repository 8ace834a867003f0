//! Compares docs/configuration.md and build-aux/php-fpm.conf.default with the program's table of directives: both
//! contain every directive and no other, with its real default.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use cgi_fpm::config::{
    Config, Directive, Dumped, GLOBAL_DIRECTIVES, Kind, LIST_DIRECTIVES, LoadOptions, Message, Messages,
    POOL_DIRECTIVES, load,
};
use testkit::sandbox::Sandbox;
use testkit::stage::run_to_end;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::source;

/// A configuration with as few directives as possible, except for files that other directives need.
const GLOBAL: &str = "[global]\n";
const POOL: &str = "[www]\nuser = nobody\nlisten = 127.0.0.1:9000\npm = static\npm.max_children = 3\n\
                    access.log = log/a\nslowlog = log/s\nping.path = /ping\n";

/// Defaults that depend on another value, so that no fixed value describes them.
const IN_WORDS: [&str; 13] = [
    "on_sigterm",
    "user",
    "group",
    "process.group_idle_timeout",
    "process.php",
    "process.php_library",
    "process.php_ini",
    "process.php_ini_scan_dir",
    "chdir",
    "listen.owner",
    "listen.group",
    "listen.allowed_clients",
    "pm.start_servers",
];

/// A directory that is PHP's prefix.
struct Place(tempfile::TempDir);

/// The result of reading a configuration, and the output of `-tt`.
type Read = (Config, Vec<String>);

impl Place {
    fn new() -> Outcome<Self> {
        let place = Self(tempfile::tempdir()?);
        for dir in ["log", "www/log", "etc/php-fpm.d"] {
            fs::create_dir_all(place.0.path().join(dir))?;
        }
        Ok(place)
    }

    /// Reads it as root would, or returns the messages.
    fn read(&self, conf: &str) -> Result<Read, String> {
        let dir = self.0.path();
        let file = dir.join("php-fpm.conf");
        fs::write(&file, conf).map_err(|e| e.to_string())?;
        let options = LoadOptions {
            php_prefix: dir.to_owned(),
            local_state_dir: dir.to_owned(),
            environment: vec![("HOSTNAME".into(), "host".into())],
            root: true,
            ..LoadOptions::default()
        };
        let loaded = load(&file, &options).map_err(|e| texts(&e.messages).join("\n"))?;
        let config = loaded.config.clone();
        let dumped = loaded.test(true).map_err(|e| texts(&e.messages).join("\n"))?;
        Ok((config, texts(&dumped)))
    }

    /// With a line at the end of `[global]` or of the pool.
    fn with(&self, global: bool, line: &str) -> Result<Read, String> {
        self.read(&if global { format!("{GLOBAL}{line}\n{POOL}") } else { format!("{GLOBAL}{POOL}{line}\n") })
    }
}

fn texts(messages: &Messages) -> Vec<String> {
    messages.lines.iter().map(Message::text).map(str::to_owned).collect()
}

/// A row of the page: its section, name, value, default and text.
struct Row {
    global: bool,
    cells: Vec<String>,
}

/// The rows below `## [global]` and `## Pools`. No cell contains a `\|`.
fn rows(page: &str) -> Vec<Row> {
    let (_, directives) = page.split_once("\n## [global]\n").unwrap_or_default();
    let (global, rest) = directives.split_once("\n## Pools\n").unwrap_or_default();
    let (pools, _) = rest.split_once("\n## ").unwrap_or_default();
    let mut rows = Vec::new();
    for (global, text) in [(true, global), (false, pools)] {
        let lines = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
        for line in lines.filter(|line| line.starts_with('`')) {
            rows.push(Row { global, cells: line.split(" | ").map(str::to_owned).collect() });
        }
    }
    rows
}

fn plain(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.strip_suffix('`')
}

fn value_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::Integer(_) => "number",
        Kind::Priority => "nice",
        Kind::Seconds(_) | Kind::PlainSeconds(_) | Kind::Milliseconds(_) => "time",
        Kind::Flag(_) => "yes/no",
        Kind::LogLevel => "level",
        Kind::LogFormat => "format",
        Kind::Facility => "facility",
        Kind::CoreLimit => "limit",
        Kind::Bytes => "bytes",
        Kind::FastcgiPhpValue => "trust",
        Kind::OnSigterm => "way",
        Kind::StartFailure => "policy",
        Kind::BaseUse => "use",
        Kind::ProcessManager => "manager",
    }
}

#[test]
fn the_page_has_each_directive_once() -> Outcome {
    let page = source("docs/configuration.md")?;
    let rows = rows(&page);
    for (global, table) in [(true, GLOBAL_DIRECTIVES), (false, POOL_DIRECTIVES)] {
        let named = rows.iter().filter(|row| row.global == global && row.cells.len() == 4);
        let mut named: Vec<&str> = named.filter_map(|row| plain(&row.cells[0])).collect();
        let mut known: Vec<&str> = table.iter().map(|directive| directive.name).collect();
        named.sort_unstable();
        known.sort_unstable();
        ensure!(named == known, "on the page:\n{named:?}\nin the table:\n{known:?}");
    }
    let lists: Vec<&str> = rows.iter().filter(|row| row.cells.len() == 2).filter_map(|r| plain(&r.cells[0])).collect();
    let known: Vec<String> = LIST_DIRECTIVES
        .iter()
        .map(|(name, _)| format!("{name}[{}]", if *name == "access.suppress_path" { "" } else { "NAME" }))
        .collect();
    ensure!(lists == known, "{lists:?}");
    ensure!(rows.iter().all(|row| matches!(row.cells.len(), 2 | 4)), "a row with another number of cells");
    Ok(())
}

#[test]
fn each_list_takes_an_entry() -> Outcome {
    let place = Place::new()?;
    for (name, _) in LIST_DIRECTIVES {
        let line = if *name == "access.suppress_path" { format!("{name}[] = /x") } else { format!("{name}[a] = 1") };
        let (_, dumped) = place.with(false, &line)?;
        ensure!(dumped != place.with(false, "")?.1, "{line} has no effect");
    }
    Ok(())
}

#[test]
fn values_and_defaults_of_the_page_are_right() -> Outcome {
    let page = source("docs/configuration.md")?;
    let place = Place::new()?;
    for row in rows(&page).iter().filter(|row| row.cells.len() == 4) {
        let table = if row.global { GLOBAL_DIRECTIVES } else { POOL_DIRECTIVES };
        let name = plain(&row.cells[0]).unwrap_or_default();
        let directive = table.iter().find(|known| known.name == name).ok_or(format!("{name} is unknown"))?;
        ensure!(row.cells[1] == value_word(directive.kind), "{name}: {}", row.cells[1]);
        let ours = row.cells[3].starts_with("**ours** ");
        ensure!(ours == (directive.dumped == Dumped::WhenSet), "{name}: ours or not?");
        default_holds(&place, row.global, directive, &row.cells[2]).map_err(|e| format!("{name}: {e}"))?;
    }
    Ok(())
}

fn default_holds(place: &Place, global: bool, directive: &Directive, default: &str) -> Outcome {
    let name = directive.name;
    let (config, dumped) = place.with(global, "")?;
    if let Some(value) = plain(default) {
        // Setting it explicitly changes nothing.
        let (said, said_dumped) = place.with(global, &format!("{name} = {value}"))?;
        ensure!(said == config || said_dumped == dumped, "{value} is not the default");
        return Ok(());
    }
    if default == "needed" {
        let conf = format!("{GLOBAL}{POOL}");
        let without: Vec<&str> = conf.lines().filter(|line| !line.starts_with(&format!("{name} = "))).collect();
        ensure!(without.len() + 1 == conf.lines().count() && place.read(&without.join("\n")).is_err(), "not needed");
        return Ok(());
    }
    ensure!(default == "–" || IN_WORDS.contains(&name), "the default is told as {default}");
    let section = if global { 0 } else { dumped.iter().position(|line| line == "[www]").unwrap_or(0) };
    let line = dumped[section..].iter().find_map(|line| line.strip_prefix(&format!("\t{name} = ")));
    ensure!(
        line.is_none_or(|value| value == "undefined" || IN_WORDS.contains(&name) || sample(name)),
        "it has a default: {line:?}"
    );
    Ok(())
}

/// Set in `POOL`, for others.
fn sample(name: &str) -> bool {
    ["access.log", "slowlog", "ping.path"].contains(&name)
}

#[test]
fn the_mistake_on_the_page_is_what_is_said() -> Outcome {
    let page = source("docs/configuration.md")?;
    let place = Place::new()?;
    // The seventh line.
    let lines: Vec<&str> = POOL.lines().take(5).collect();
    let Err(said) = place.read(&format!(
        "{GLOBAL}{}
pm.max_childs = 1
",
        lines.join(
            "
"
        )
    )) else {
        return Err("accepted".into());
    };
    let said = said.replace(&place.0.path().display().to_string(), "/srv");
    let (_, block) = page.split_once("```text\n").unwrap_or_default();
    let (block, _) = block.split_once("```").unwrap_or_default();
    let shown: Vec<&str> = block.lines().filter_map(|line| line.split_once(": ").map(|(_, text)| text)).collect();
    ensure!(said == shown.join("\n"), "{said}");
    Ok(())
}

/// A paragraph of the sample file: its comment, and the lines that an operator may enable.
struct Sample {
    global: bool,
    example: bool,
    line: String,
}

/// `; name = value` and `name = value`, each with whether the comment above says "example".
fn samples(file: &str) -> Vec<Sample> {
    let (mut samples, mut global, mut example, mut in_comment) = (Vec::new(), true, false, false);
    for line in file.lines() {
        let text = line.strip_prefix("; ").unwrap_or(line);
        let name = text.split_once(" = ").map_or("", |(name, _)| name);
        let is_entry = !name.is_empty() && !name.contains(' ');
        if line == "[www]" {
            global = false;
        } else if is_entry {
            samples.push(Sample { global, example: example || !line.starts_with(';'), line: text.to_owned() });
        } else {
            example = (in_comment && example) || text.contains("xample");
        }
        in_comment = line.starts_with(';') && !is_entry;
    }
    samples
}

#[test]
fn the_sample_file_has_each_directive_with_its_default() -> Outcome {
    let file = source("build-aux/php-fpm.conf.default")?;
    let place = Place::new()?;
    let samples = samples(&file);
    let names = |global: bool| {
        let names = samples.iter().filter(move |sample| sample.global == global).map(|sample| &sample.line);
        names.map(|line| line.split([' ', '[']).next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let lists = LIST_DIRECTIVES.iter().map(|(name, _)| *name);
    for (global, known) in [
        (true, GLOBAL_DIRECTIVES.iter().map(|d| d.name).chain(["include"]).collect::<BTreeSet<_>>()),
        (false, POOL_DIRECTIVES.iter().map(|d| d.name).chain(lists).collect()),
    ] {
        let shown = names(global);
        let once: BTreeSet<&str> = shown.iter().map(String::as_str).collect();
        ensure!(once == known, "only in the file or the table: {:?}", once.symmetric_difference(&known));
        let may_repeat = |name: &str| ["listen", "env", "php_admin_value"].contains(&name);
        let twice = known.iter().find(|n| !may_repeat(n) && shown.iter().filter(|shown| shown == n).count() > 1);
        ensure!(twice.is_none(), "{twice:?} stands twice");
    }
    for sample in &samples {
        let line = sample.line.replace("/srv/", &format!("{}/", place.0.path().display()));
        let said = place.with(sample.global, &line).map_err(|e| format!("{line}: {e}"))?;
        let silent = place.with(sample.global, "")?;
        ensure!(sample.example || said.0 == silent.0 || said.1 == silent.1, "{line}: not the default, nor an example");
    }
    Ok(())
}

#[test]
fn the_sample_file_passes_the_test_of_the_configuration() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    fs::create_dir(sandbox.file("log"))?;
    sandbox.put("php-fpm.conf", &source("build-aux/php-fpm.conf.default")?)?;
    let mut command = Command::new(target.program());
    command.args(["-n", "-p", ".", "-y", "php-fpm.conf", "-t"]).envs(target.environment());
    command.current_dir(sandbox.path()).stdin(Stdio::null());
    run_to_end(&mut command)?.expect(0, &["test is successful"])?;
    Ok(())
}

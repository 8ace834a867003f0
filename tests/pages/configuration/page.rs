//! docs/configuration.md.

use cgi_fpm::config::{Directive, Dumped, GLOBAL_DIRECTIVES, Kind, LIST_DIRECTIVES, POOL_DIRECTIVES};
use testkit::{Outcome, ensure};

use super::{GLOBAL, POOL, Place};
use crate::{blocks, source};

/// Defaults that depend on another value, so that no fixed value describes them.
const IN_WORDS: [&str; 9] = [
    "on_sigterm",
    "user",
    "group",
    "process.group_idle_timeout",
    "chdir",
    "listen.owner",
    "listen.group",
    "listen.allowed_clients",
    "pm.start_servers",
];

/// Directives without a default of their own: `of_php` compares what the page tells with a running server.
const OF_PHP: [&str; 4] = ["process.php", "process.php_library", "process.php_ini", "process.php_ini_scan_dir"];

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
    let in_words = IN_WORDS.contains(&name) || OF_PHP.contains(&name);
    ensure!(default == "–" || in_words, "the default is told as {default}");
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
    let block = blocks("docs/configuration.md", "text")?.swap_remove(0);
    let shown: Vec<&str> = block.lines().filter_map(|line| line.split_once(": ").map(|(_, text)| text)).collect();
    ensure!(said == shown.join("\n"), "{said}");
    Ok(())
}

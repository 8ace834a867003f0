//! The table of groups that `php-fpm status` prints, if this process may ask the supervisor for it.

use std::time::{Duration, Instant};

use crate::ipc::{GroupRow, Request, RequestWriter, read_group_table};
use crate::sys::local_time::local_time;
use crate::sys::pidfd::Process;
use crate::sys::signal::Heard;

/// So long the supervisor may take, which is a moment longer while it executes itself.
const LIMIT: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(10);

/// Asks for the table. `None`: the supervisor does not answer, or this process may not ask it.
pub(super) fn table(process: &Process) -> Option<Vec<String>> {
    let mut requests = RequestWriter::open(process.pid)?;
    let micros = u64::try_from(std::time::UNIX_EPOCH.elapsed().ok()?.as_micros()).ok()?;
    let id = micros ^ u64::from(std::process::id());
    requests.append(&Request::Groups { id }).ok()?;
    process.send(Heard::Request).ok()?;
    let begun = Instant::now();
    while begun.elapsed() < LIMIT {
        if let Some(table) = read_group_table(process.pid).filter(|table| table.answers == id) {
            return Some(lines(&table.groups));
        }
        if process.ends_within(LOOK) {
            return None;
        }
    }
    None
}

fn lines(groups: &[GroupRow]) -> Vec<String> {
    const TITLES: [&str; 9] =
        ["GROUP", "USER", "PHP", "PHP.INI", "ZYGOTE", "GENERATION", "SINCE", "WORKERS", "DRAINING"];
    let rows: Vec<[String; 9]> = groups.iter().map(cells).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([TITLES[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..TITLES.len()).map(width).collect();
    let line = |row: &[String; 9]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(&TITLES.map(str::to_owned))];
    for (group, row) in groups.iter().zip(&rows) {
        lines.push(line(row));
        lines.extend(group.failure.as_ref().map(|reason| match group.generation {
            0 => format!("    could not start: {reason}"),
            _ => format!("    keeps its configuration of {}: {reason}", time(group.since)),
        }));
    }
    lines
}

fn cells(group: &GroupRow) -> [String; 9] {
    let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let serves = group.generation > 0;
    [
        or_dash(&group.name),
        or_dash(&group.user),
        or_dash(&group.php),
        or_dash(group.php_ini.as_deref().unwrap_or_default()),
        group.zygote.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
        if serves { group.generation.to_string() } else { "-".to_owned() },
        if serves { time(group.since) } else { "-".to_owned() },
        group.workers.to_string(),
        group.draining.to_string(),
    ]
}

fn time(seconds: u64) -> String {
    local_time(seconds, c"%Y-%m-%d %H:%M")
}

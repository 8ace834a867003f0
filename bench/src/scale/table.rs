//! The tables on stdout.

use std::time::Duration;

use testkit::target::Target;

use super::case::{Case, Figures};
use super::side::Side;
use crate::report::print_table;
use crate::table::Table;

/// Prints what is measured.
pub fn head(target: &Target) {
    println!("{} beside php-fpm of the same build; each pool has a user of its own.", target.program().display());
    println!("Memory is Pss (private memory, and each process's share of shared memory) of the whole process tree.\n");
}

/// A line: its name, and a value of each side.
type Row = (&'static str, fn(&Figures) -> f64);

const ROWS: [Row; 11] = [
    ("static, 1 worker each, after a request: memory, MB", |f| mb(f.serving.pss)),
    ("- page tables, MB", |f| mb(f.serving.tables)),
    ("- start until ready, s", |f| f.start.as_secs_f64()),
    ("- CPU time of the start, s", |f| f.start_cpu.as_secs_f64()),
    ("- reload (SIGUSR2) until ready, s", |f| f.reload.as_secs_f64()),
    ("- most memory during the reload, MB", |f| mb(f.peak)),
    ("- CPU time without clients, ms per second", |f| f.idle_cpu),
    ("ondemand, no clients: memory, MB", |f| mb(f.asleep.pss)),
    ("- CPU time, ms per second", |f| f.asleep_cpu),
    ("- scheduled per second", |f| f.wakeups),
    ("- first request to a sleeping pool, ms", |f| millis(f.first)),
];

/// Prints a case; the first side is php-fpm, and the others have a ratio to it.
pub fn print(case: Case, sides: &[Side], all: &[Figures]) {
    let names: Vec<&str> = std::iter::once("").chain(sides.iter().map(|side| side.name)).collect();
    let mut table = Table::new(&names);
    for (name, value) in ROWS {
        let stock = all.first().map_or(f64::NAN, value);
        let cell = |(index, figures): (usize, &Figures)| {
            let value = value(figures);
            if index == 0 { format!("{value:.2}") } else { format!("{value:.2} ({:>5.2} x)", value / stock) }
        };
        table.row(std::iter::once(name.to_owned()).chain(all.iter().enumerate().map(cell)).collect());
    }
    let Case { pools, strings } = case;
    print_table(&format!("{pools} pools, opcache.interned_strings_buffer = {strings}:"), &table);
}

/// A server's figures by the names of the rows.
pub fn figures(all: &Figures) -> serde_json::Value {
    ROWS.iter().map(|(name, value)| ((*name).to_owned(), serde_json::Value::from(value(all)))).collect()
}

fn mb(kb: u64) -> f64 {
    kb as f64 / 1024.0
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

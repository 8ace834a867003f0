//! The results: a table for each part, and all figures as JSON.

use std::path::Path;
use std::process::Command;

use serde::Serialize;
use serde_json::{Value, json};
use testkit::Outcome;
use testkit::target::Target;

use crate::figures::{Figures, Row, Sample};
use crate::options::Options;
use crate::table::{Table, short};

/// What was measured, and where.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    program: String,
    php: String,
    processor: String,
    cores: usize,
    kernel: String,
    date: String,
    /// Of the last minute before the start: other work makes figures less exact.
    load: f64,
}

impl Machine {
    /// This machine, now.
    pub(crate) fn look(ours: &Target) -> Self {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            program: ours.program().display().to_string(),
            php: output(&ours.host_in(&ours.prefix).display().to_string(), &["-v"]),
            processor: model.map_or("an unknown processor", |(_, name)| name).to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: output("uname", &["-sr"]),
            date: output("date", &["-u", "+%F"]),
            load: load.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(f64::NAN),
        }
    }

    /// In one line.
    pub(crate) fn line(&self) -> String {
        let Self { php, processor, cores, kernel, date, load, .. } = self;
        let php = php.split(" (").next().unwrap_or_default();
        format!("{php}, {cores} cores of {processor}, {kernel}, {date} (load average at the start: {load})")
    }
}

/// The first line that a program prints.
fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).lines().next().unwrap_or_default().to_owned()
}

/// Prints the rows of a part under its heading.
pub(crate) fn print(heading: &str, rows: &[Row], options: &Options) {
    print_table(heading, &if options.markdown { brief(rows) } else { full(rows) });
}

/// Prints a table under its heading, unless it is empty.
pub(crate) fn print_table(heading: &str, table: &Table) {
    if !table.is_empty() {
        println!("\n{heading}\n\n{}", table.text().trim_end());
    }
}

/// For a document: what an operator compares.
fn brief(rows: &[Row]) -> Table {
    let mut table = Table::new(&["", "cgi-fpm, µs", "php-fpm, µs", "ratio", "p99, ms", "php-fpm's p99"]);
    for row in rows {
        let p99 = |figures: &Figures| short(figures.median(|round| round.p99));
        let cpu = [short(row.ours.cpu()), short(row.stock.cpu()), format!("{:.2}", row.ratio())];
        table.row([vec![row.case.clone()], cpu.to_vec(), vec![p99(&row.ours), p99(&row.stock)]].concat());
    }
    table
}

/// Everything; of each pair the first is ours.
fn full(rows: &[Row]) -> Table {
    let mut table = Table::new(&[
        "case",
        "CPU µs (median)",
        "php-fpm's",
        "ratio",
        "median",
        "sleeps",
        "calls",
        "per second",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "unanswered",
    ]);
    for row in rows {
        let cpu =
            |figures: &Figures| format!("{} ({})", short(figures.cpu()), short(figures.median(|round| round.cpu)));
        let both = |of: fn(&Sample) -> f64| format!("{} / {}", short(row.ours.median(of)), short(row.stock.median(of)));
        let calls = |figures: &Figures| figures.calls().map_or("-".to_owned(), short);
        let lost = |figures: &Figures| figures.rounds.iter().map(|round| round.unanswered).sum::<usize>();
        table.row(vec![
            row.case.clone(),
            cpu(&row.ours),
            cpu(&row.stock),
            format!("{:.2}", row.ratio()),
            format!("{:.2}", row.median_ratio()),
            both(|round| round.sleeps),
            format!("{} / {}", calls(&row.ours), calls(&row.stock)),
            both(|round| round.rate),
            both(|round| round.p50),
            both(|round| round.p99),
            both(|round| round.p999),
            format!("{} / {}", lost(&row.ours), lost(&row.stock)),
        ]);
    }
    table
}

/// Everything that was measured, by part.
#[derive(Debug, Default)]
pub(crate) struct Results(serde_json::Map<String, Value>);

impl Results {
    /// Adds a part.
    ///
    /// # Errors
    /// If a figure is no number of JSON.
    pub(crate) fn add(&mut self, part: &str, figures: impl Serialize) -> Outcome {
        self.0.insert(part.to_owned(), serde_json::to_value(figures)?);
        Ok(())
    }

    /// Writes the file.
    ///
    /// # Errors
    /// If it can't be written.
    pub(crate) fn write(self, path: &Path, machine: &Machine) -> Outcome {
        let all = json!({ "machine": machine, "parts": self.0 });
        Ok(std::fs::write(path, serde_json::to_string_pretty(&all)? + "\n")?)
    }
}

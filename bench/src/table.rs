//! The table on stdout.

use testkit::target::Target;

use crate::Figures;
use crate::case::Case;

/// Prints a description of the measurement, and the names of the columns.
pub fn head(target: &Target, rounds: usize, requests: usize) {
    println!(
        "{} beside php-fpm of the same build; {rounds} rounds of {requests} requests each,",
        target.program().display()
    );
    println!("2 workers, 2 clients; CPU of the whole process tree in microseconds per request: median (least)\n");
    println!(
        "| case                   | ours            | php-fpm         | ratio | calls ours | php-fpm | req/s ours | php-fpm |"
    );
    println!(
        "|------------------------|-----------------|-----------------|-------|------------|---------|------------|---------|"
    );
}

/// Prints a case: our figures and php-fpm's.
pub fn row(case: Case, [ours, stock]: &[Figures; 2]) {
    let ratios = ours.rounds.iter().zip(&stock.rounds).map(|(ours, stock)| ours.cpu / stock.cpu);
    println!(
        "| {:<22} | {:<15} | {:<15} | {:>5.2} | {:>10} | {:>7} | {:>10.0} | {:>7.0} |",
        case.name(),
        cpu(ours),
        cpu(stock),
        median(ratios.collect()),
        calls(ours),
        calls(stock),
        median(ours.rounds.iter().map(|round| round.rate).collect()),
        median(stock.rounds.iter().map(|round| round.rate).collect()),
    );
}

fn cpu(figures: &Figures) -> String {
    let all: Vec<f64> = figures.rounds.iter().map(|round| round.cpu).collect();
    let least = all.iter().copied().fold(f64::INFINITY, f64::min);
    format!("{:.1} ({least:.1})", median(all))
}

fn calls(figures: &Figures) -> String {
    figures.calls.map_or_else(|| "-".to_owned(), |calls| format!("{:.1}", calls.0))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

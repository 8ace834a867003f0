//! `make bench`: cgi-fpm beside the php-fpm of the same build, with the same settings, in rounds that alternate.
//!
//! CPU time is that of all threads of the whole process tree, from `/proc`. The figure to compare is the least of a case's rounds,
//! because other work on the machine only adds; medians stand beside it. Every answer is compared byte for byte. System calls are
//! counted in a run of their own, under strace.
//!
//! Traps that the bench avoids:
//! - opcache does not cache files that are younger than two seconds: the pages have an old date.
//! - A client that works between connect and its request wakes the server twice: `client::Single` sends at once.
//! - A single client and worker on two cores cost whatever their sleep happens to cost: micro cases run on one core.
//! - A closed loop does not see how long requests would have waited: fixed rates count from the intended time.
//! - php-fpm leaves kept connections unserved if there are more than workers, which costs it nothing: see the p99 beside.
#![forbid(unsafe_code)]

mod bodies;
mod client;
mod clients;
mod figures;
mod fresh;
mod front;
mod memory;
mod micro;
mod options;
mod pages;
mod pair;
mod rates;
mod report;
mod scale;
mod stats;
mod table;
mod web;

use testkit::sandbox::Sandbox;
use testkit::target::Target;
use testkit::{Outcome, ensure, say, turn};

use options::{Options, Part};
use report::{Machine, Results};

/// Runs the bench with these words of the command line.
///
/// # Errors
/// If an option is wrong, or something cannot be measured.
pub fn run(words: impl IntoIterator<Item = String>) -> Outcome {
    let options = Options::read(words)?;
    let ours = Target::find().ok_or("nothing to measure")?;
    ensure!(ours.partner().program().exists(), "{} is missing", ours.partner().program().display());
    let machine = Machine::look(&ours);
    println!("{}", machine.line());
    report_skips();
    let mut results = Results::default();
    let pages = pages::make()?;
    for part in &options.parts {
        let _turn = turn::alone()?;
        measure(*part, &ours, &pages, &options, &mut results)?;
    }
    if let Some(path) = &options.json {
        results.write(path, &machine)?;
        say(&format!("figures of all rounds: {}", path.display()));
    }
    Ok(())
}

/// Measures a part and prints its table.
fn measure(part: Part, ours: &Target, pages: &Sandbox, options: &Options, results: &mut Results) -> Outcome {
    match part {
        Part::Micro => {
            let rows = micro::run(ours, pages, options)?;
            report::print("One worker, one client, one core:", &rows, options);
            results.add("micro", rows)
        }
        Part::Fresh => {
            let rows = fresh::run(ours, pages, options)?;
            report::print_table("New workers:", &fresh::table(&rows));
            results.add("fresh", rows)
        }
        Part::Web => {
            let rows = web::run(ours, pages, options)?;
            report::print("Behind a web server, 4 workers, c clients without a pause:", &rows, options);
            results.add("web", rows)
        }
        Part::Rates => {
            let rows = rates::run(ours, pages, options)?;
            report::print("Behind nginx, 4 workers, at shares of php-fpm's highest rate:", &rows, options);
            results.add("rates", rows)
        }
        Part::Memory => {
            let rows = memory::run(ours, pages, options)?;
            report::print_table("Memory of a pool with 20 workers after 2,000 requests (Pss):", &memory::table(&rows));
            results.add("memory", rows)
        }
        Part::Clients => {
            let rows = clients::run(ours, pages, options)?;
            report::print_table(
                "200 workers, kept TCP clients, 5,000 requests per second together:",
                &clients::table(&rows),
            );
            results.add("clients", rows)
        }
        Part::Pools => results.add("pools", scale::run(ours, options)?),
    }
}

/// Says which programs are missing, and what is not measured without them.
fn report_skips() {
    if !testkit::calls::is_installed() {
        say("skipped: system calls; strace is missing (apt-get install strace)");
    }
    front::missing().iter().for_each(|line| say(line));
}

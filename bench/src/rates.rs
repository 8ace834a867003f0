//! Web servers at fixed rates: the same requests at the same times for both servers, at a share of what php-fpm can do at most.
//! So latencies compare, and CPU is for equal work.

use std::time::Duration;

use testkit::sandbox::Sandbox;
use testkit::target::Target;
use testkit::{Outcome, say};

use crate::figures::{Figures, Row};
use crate::front::{Fronted, Program, wanted};
use crate::options::Options;
use crate::stats::median;

/// Percents of php-fpm's rate in a closed loop.
const SHARES: [u32; 2] = [30, 70];
/// Clients that find php-fpm's limit.
const CLIENTS: usize = 64;
/// Connections of the open loop: more than it ever needs, unless the server stalls.
const CONNECTIONS: usize = 256;
/// Rounds take some seconds, so fewer of them do.
const ROUNDS: usize = 5;

/// Measures nginx with all ways to the pool; a quick run, one way only.
///
/// # Errors
/// If a server does not start, or an answer is wrong.
pub(crate) fn run(ours: &Target, pages: &Sandbox, options: &Options) -> Outcome<Vec<Row>> {
    let fronts = wanted(options).into_iter().filter(|front| front.program == Program::Nginx);
    let mut rows = Vec::new();
    for front in fronts.filter(|front| !options.quick || front.name == "nginx TCP") {
        let fronted = front.start(ours, pages, options)?;
        let limit = limit(&fronted, options)?;
        for share in SHARES {
            let rate = limit * f64::from(share) / 100.0;
            let case = format!("{}, {share} % ({rate:.0}/s)", front.name);
            say(&case);
            rows.push(measure(&fronted, case, rate, options)?);
        }
        fronted.stop()?;
    }
    Ok(rows)
}

/// php-fpm's rate in a closed loop.
fn limit(fronted: &Fronted, options: &Options) -> Outcome<f64> {
    let run = |_| Ok(fronted.load(1, CLIENTS).closed(options.requests(20_000, 4000))?.rate());
    Ok(median(&(0..3).map(run).collect::<Outcome<Vec<f64>>>()?))
}

fn measure(fronted: &Fronted, case: String, rate: f64, options: &Options) -> Outcome<Row> {
    let lasts = Duration::from_secs(if options.quick { 2 } else { 5 });
    let work = |at| fronted.load(at, CONNECTIONS).open(rate, lasts);
    let [ours, stock] = Figures::of_rounds(&fronted.pair, options.rounds.min(ROUNDS), work)?;
    Ok(Row { case, ours, stock })
}

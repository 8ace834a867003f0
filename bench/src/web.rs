//! Web servers as fast as they can: clients that send their next request after an answer.

use testkit::sandbox::Sandbox;
use testkit::target::Target;
use testkit::{Outcome, say};

use crate::figures::Row;
use crate::front::{Fronted, Program, wanted};
use crate::options::Options;

/// Requests of a round: about two seconds.
const REQUESTS: usize = 20_000;

/// Clients at once.
fn clients(program: Program, options: &Options) -> &'static [usize] {
    match program {
        _ if options.quick => &[16],
        Program::Nginx => &[2, 16, 64],
        Program::Apache => &[2, 16],
    }
}

/// Measures all cases.
///
/// # Errors
/// If a server does not start, or an answer is wrong.
pub(crate) fn run(ours: &Target, pages: &Sandbox, options: &Options) -> Outcome<Vec<Row>> {
    let mut rows = Vec::new();
    for front in wanted(options) {
        let fronted = front.start(ours, pages, options)?;
        for &clients in clients(front.program, options) {
            let case = format!("{}, c = {clients}", front.name);
            say(&case);
            rows.push(measure(&fronted, case, clients, options)?);
        }
        fronted.stop()?;
    }
    Ok(rows)
}

fn measure(fronted: &Fronted, case: String, clients: usize, options: &Options) -> Outcome<Row> {
    let requests = options.requests(REQUESTS, 2000);
    Row::measure(case, &fronted.pair, options.rounds, [requests, requests / 10], |at, requests| {
        fronted.load(at, clients).closed(requests)
    })
}

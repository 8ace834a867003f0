//! Many clients on kept connections, each of which sends a request now and then, at a fixed rate together.
//!
//! php-fpm binds a worker to each kept connection. It serves as many clients as it has workers, and the others never.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::Serialize;
use testkit::fastcgi::Request;
use testkit::sandbox::Sandbox;
use testkit::setup::Listen;
use testkit::target::Target;
use testkit::{Outcome, say};

use std::time::Duration;

use crate::client::{Check, Many, Protocol, Single};
use crate::figures::Figures;
use crate::options::Options;
use crate::pair::{OURS, Pair, setup};
use crate::table::{Table, short};

const WORKERS: u32 = 200;
/// As many as workers, where both servers serve all, and ten times as many.
const CLIENTS: [usize; 2] = [200, 2000];
/// Requests per second of all clients together.
const RATE: f64 = 5000.0;
const ROUNDS: usize = 3;

/// A number of clients.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    clients: usize,
    ours: Figures,
    stock: Figures,
}

/// Measures all numbers of clients.
///
/// # Errors
/// If a server does not start, or an answer is wrong.
pub(crate) fn run(ours: &Target, pages: &Sandbox, options: &Options) -> Outcome<Vec<Row>> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let mut rows = Vec::new();
    let bytes = Request::get(&pages.page("hello.php")).keep().encode(1);
    for clients in CLIENTS {
        say(&format!("{WORKERS} workers, {clients} kept clients"));
        // php-fpm's workers stay with the connections of the former run for a moment: a new pair each time.
        let pair = Pair::start(ours, &setup(WORKERS, Listen::Tcp), options)?;
        let check = Check::like(Single::new(&pair.0[OURS].address, &bytes, true).ask()?, false);
        let lasts = Duration::from_secs(if options.quick { 3 } else { 10 });
        let [ours, stock] = Figures::of_rounds(&pair, options.rounds.min(ROUNDS), |at| {
            let load = Many {
                address: &pair.0[at].address,
                protocol: Protocol::FastCgi,
                request: &bytes,
                check: &check,
                connections: clients,
            };
            load.open(RATE, lasts)
        })?;
        pair.stop()?;
        rows.push(Row { clients, ours, stock });
    }
    Ok(rows)
}

/// The table.
pub(crate) fn table(rows: &[Row]) -> Table {
    let columns = ["", "CPU µs per request", "p50, ms", "p99, ms", "p99.9, ms", "clients served", "unanswered"];
    let mut table = Table::new(&columns);
    for row in rows {
        for (name, figures) in [("cgi-fpm", &row.ours), ("php-fpm", &row.stock)] {
            table.row(vec![
                format!("{} clients: {name}", row.clients),
                short(figures.cpu()),
                short(figures.median(|round| round.p50)),
                short(figures.median(|round| round.p99)),
                short(figures.median(|round| round.p999)),
                format!("{:.0}", figures.median(|round| round.served as f64)),
                format!("{:.0}", figures.median(|round| round.unanswered as f64)),
            ]);
        }
    }
    table
}

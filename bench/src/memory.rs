//! Memory of one pool after some requests: private memory, and each process's share of what several have (Pss).

use serde::Serialize;
use testkit::fastcgi::Request;
use testkit::process::Process;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Listen;
use testkit::target::Target;
use testkit::{Outcome, say};

use crate::client::{Check, Many, Protocol, Single};
use crate::options::Options;
use crate::pair::{OURS, Pair, setup};
use crate::stats::median;
use crate::table::{Table, short};

const WORKERS: u32 = 20;
const REQUESTS: usize = 2000;
/// Each starts both servers.
const ROUNDS: usize = 3;

/// The pages. The second one waits, so that every worker serves its part.
const CASES: [(&str, &str); 2] = [("hello", "hello.php"), ("application of 200 classes that waits", "busy.php")];

/// Memory of the tree in MB, of each round.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    case: &'static str,
    ours: Vec<f64>,
    stock: Vec<f64>,
}

/// Measures all pages.
///
/// # Errors
/// If a server does not start, or an answer is wrong.
pub(crate) fn run(ours: &Target, pages: &Sandbox, options: &Options) -> Outcome<Vec<Row>> {
    let mut rows = Vec::new();
    for (case, page) in CASES.iter().filter(|(name, _)| options.wants(name)) {
        say(&format!("memory: {case}"));
        let bytes = Request::get(&pages.page(page)).keep().encode(1);
        let mut all = [Vec::new(), Vec::new()];
        for _ in 0..if options.quick { 1 } else { ROUNDS } {
            let pair = Pair::start(ours, &setup(WORKERS, Listen::Unix), options)?;
            let check = Check::like(Single::new(&pair.0[OURS].address, &bytes, true).ask()?, false);
            for (server, values) in pair.0.iter().zip(&mut all) {
                values.push(measure(server, &bytes, &check)?);
            }
            pair.stop()?;
        }
        let [ours, stock] = all;
        rows.push(Row { case, ours, stock });
    }
    Ok(rows)
}

fn measure(server: &Server, request: &[u8], check: &Check) -> Outcome<f64> {
    let connections = WORKERS as usize;
    let load = Many { address: &server.address, protocol: Protocol::FastCgi, request, check, connections };
    load.closed(REQUESTS)?;
    let kb: u64 = server.supervisor.tree().into_iter().map(Process::pss_kb).sum();
    Ok(kb as f64 / 1024.0)
}

/// The table.
pub(crate) fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&["", "cgi-fpm, MB", "php-fpm, MB", "ratio"]);
    for row in rows {
        let (ours, stock) = (median(&row.ours), median(&row.stock));
        table.row(vec![row.case.to_owned(), short(ours), short(stock), format!("{:.2}", ours / stock)]);
    }
    table
}

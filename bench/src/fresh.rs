//! What a new worker costs: its first request, beyond what a later one costs, and its whole life.
//!
//! A worker ends after four requests here. Between two requests all processes come to rest, so that the CPU time of the tree
//! belongs to one request: the first, or the third. Then each worker serves one request only. Pools with `pm = ondemand` or a small
//! `pm.max_requests` pay for both often.

use std::time::{Duration, Instant};

use serde::Serialize;
use testkit::clock::wait_until;
use testkit::fastcgi::Request;
use testkit::process::Process;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::{Listen, Setup};
use testkit::target::Target;
use testkit::usage::Usage;
use testkit::{Outcome, ensure, say};

use crate::client::{Check, Single};
use crate::figures::Figures;
use crate::options::Options;
use crate::pair::{OURS, Pair, Pinned, setup};
use crate::stats::{least, median};
use crate::table::{Table, short};

/// Requests of a worker.
const LIFE: usize = 4;
/// The processes rest if they have used no CPU for this long.
const REST: Duration = Duration::from_millis(12);
const LIMIT: Duration = Duration::from_secs(10);

/// The pages.
const CASES: [(&str, &str); 2] = [("hello", "hello.php"), ("application of 200 classes", "application.php")];

/// CPU time of the tree in milliseconds, one value for each worker.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Fresh {
    /// Of the first request.
    first: Vec<f64>,
    /// Of the third request.
    later: Vec<f64>,
    /// The time of the first answer.
    answer: Vec<f64>,
    /// A worker that serves one request, from its fork to its end: one value for many workers, since the kernel tells the time of
    /// ended processes in steps of 10 ms.
    life: Vec<f64>,
}

/// A page, ours first.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    case: &'static str,
    ours: Fresh,
    stock: Fresh,
}

impl Fresh {
    /// What the first request costs beyond a later one: of the least values, and of the medians.
    fn beyond(&self) -> [f64; 2] {
        [least(&self.first) - least(&self.later), median(&self.first) - median(&self.later)]
    }

    /// What a worker for one request costs beyond a later request of a worker.
    fn life_beyond(&self) -> [f64; 2] {
        [least(&self.life) - least(&self.later), median(&self.life) - median(&self.later)]
    }
}

/// Measures all pages.
///
/// # Errors
/// If a server does not start, or an answer is wrong.
pub(crate) fn run(ours: &Target, pages: &Sandbox, options: &Options) -> Outcome<Vec<Row>> {
    let _pinned = Pinned::to_one_core()?;
    let mut rows = Vec::new();
    for (case, page) in CASES.iter().filter(|(name, _)| options.wants(name)) {
        say(&format!("new workers: {case}"));
        let bytes = Request::get(&pages.page(page)).encode(1);
        let mut all = [Fresh::default(), Fresh::default()];
        first_requests(ours, &bytes, options, &mut all)?;
        whole_lives(ours, &bytes, options, &mut all)?;
        let [ours, stock] = all;
        rows.push(Row { case, ours, stock });
    }
    Ok(rows)
}

fn of_life(requests: usize) -> Setup {
    setup(1, Listen::Unix).pool(&format!("pm.max_requests = {requests}"))
}

fn first_requests(ours: &Target, bytes: &[u8], options: &Options, all: &mut [Fresh; 2]) -> Outcome {
    let pair = Pair::start(ours, &of_life(LIFE), options)?;
    let check = Check::like(Single::new(&pair.0[OURS].address, bytes, false).ask()?, false);
    for at in 0..2 {
        // The first workers do not count: opcache is empty. Ours has already answered a request.
        measure_one(&pair.0[at], bytes, &check, if at == OURS { LIFE - 1 } else { LIFE }, &mut Fresh::default())?;
    }
    for _ in 0..options.requests(30, 8) {
        for (server, fresh) in pair.0.iter().zip(all.iter_mut()) {
            measure_one(server, bytes, &check, LIFE, fresh)?;
        }
    }
    pair.stop()
}

fn whole_lives(ours: &Target, bytes: &[u8], options: &Options, all: &mut [Fresh; 2]) -> Outcome {
    let pair = Pair::start(ours, &of_life(1), options)?;
    let check = Check::like(Single::new(&pair.0[OURS].address, bytes, false).ask()?, false);
    Single::new(&pair.0[1].address, bytes, false).run(&check, 1)?;
    let requests = options.requests(200, 100);
    let lives = Figures::of_rounds(&pair, options.rounds.min(3), |at| {
        Single::new(&pair.0[at].address, bytes, false).run(&check, requests)
    })?;
    for (fresh, figures) in all.iter_mut().zip(lives) {
        fresh.life = figures.all(|round| round.cpu / 1e3);
    }
    pair.stop()
}

/// The life of one worker: its requests, until its successor rests.
fn measure_one(server: &Server, bytes: &[u8], check: &Check, requests: usize, into: &mut Fresh) -> Outcome {
    let mut before = rest(server)?;
    let (worker, mut costs) = (worker(server)?, Vec::new());
    for number in 0..requests {
        let start = Instant::now();
        check.expect(Single::new(&server.address, bytes, false).ask()?)?;
        if number == 0 {
            into.answer.push(start.elapsed().as_secs_f64() * 1e3);
        }
        if number + 1 < requests {
            let after = rest(server)?;
            costs.push(after.since(before).cpu.as_secs_f64() * 1e3);
            before = after;
        }
    }
    wait_until("the end of the worker", LIMIT, || !worker.lives())?;
    server.await_workers(1, LIMIT)?;
    if let [first, .., later] = costs[..] {
        into.first.push(first);
        into.later.push(later);
    }
    Ok(())
}

fn worker(server: &Server) -> Outcome<Process> {
    let workers = server.workers();
    ensure!(workers.len() == 1, "{} workers", workers.len());
    Ok(workers[0])
}

/// Waits until no process of the server works; what they have used by then.
fn rest(server: &Server) -> Outcome<Usage> {
    let begun = Instant::now();
    let mut last = Usage::of_tree(server.supervisor);
    loop {
        std::thread::sleep(REST);
        let now = Usage::of_tree(server.supervisor);
        if now.cpu == last.cpu && server.workers().len() == 1 {
            return Ok(now);
        }
        ensure!(begun.elapsed() < LIMIT, "the server does not come to rest");
        last = now;
    }
}

/// The table.
pub(crate) fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&["", "cgi-fpm, ms", "php-fpm, ms", "ratio", "median"]);
    for Row { case, ours, stock } in rows {
        let (mine, theirs) = (ours.beyond(), stock.beyond());
        let mut row = |name: &str, [least, middle]: [f64; 2], [other, other_middle]: [f64; 2]| {
            let ratios = [format!("{:.2}", least / other), format!("{:.2}", middle / other_middle)];
            table.row([vec![format!("{case}: {name}"), short(least), short(other)], ratios.to_vec()].concat());
        };
        let both = |values: &[f64]| [least(values), median(values)];
        row("CPU of the first request beyond a later one", mine, theirs);
        row("time of the first answer", both(&ours.answer), both(&stock.answer));
        row("CPU of a worker for one request, beyond a later one", ours.life_beyond(), stock.life_beyond());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_new_worker_costs_is_beyond_a_later_request() {
        let fresh = Fresh { first: vec![5.0, 9.0], later: vec![1.0, 6.0], life: vec![8.0, 10.0], ..Fresh::default() };
        assert_eq!(fresh.beyond(), [4.0, 3.5]);
        assert_eq!(fresh.life_beyond(), [7.0, 5.5]);
    }
}

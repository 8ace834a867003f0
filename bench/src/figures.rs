//! The figures of a case: what each round cost each server.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use testkit::calls::{self, Calls};
use testkit::server::Server;
use testkit::usage::Usage;
use testkit::{Outcome, say};

use crate::client::Report;
use crate::pair::Pair;
use crate::stats::{least, median, quantile};

/// How long a server gets to finish its own work after the last answer.
const REST: Duration = Duration::from_millis(10);

/// One round of one server.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Sample {
    /// CPU time of all processes, in microseconds per request.
    pub(crate) cpu: f64,
    /// Voluntary context switches of all processes per request.
    pub(crate) sleeps: f64,
    /// Involuntary ones.
    pub(crate) preempted: f64,
    /// Answers per second.
    pub(crate) rate: f64,
    /// Latencies in milliseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    /// Requests without an answer at the end.
    pub(crate) unanswered: usize,
    /// Connections that got an answer.
    pub(crate) served: usize,
    /// Connections that the web server closed.
    pub(crate) reopened: usize,
}

/// All rounds of one server.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Figures {
    pub(crate) rounds: Vec<Sample>,
    /// System calls per request, by name.
    pub(crate) calls: Option<BTreeMap<String, f64>>,
}

/// A case, ours first.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) case: String,
    pub(crate) ours: Figures,
    pub(crate) stock: Figures,
}

impl Sample {
    /// Does the work, and returns what it cost the server.
    ///
    /// # Errors
    /// If the work fails.
    pub(crate) fn take(server: &Server, work: impl FnOnce() -> Outcome<Report>) -> Outcome<Self> {
        let before = Usage::of_tree(server.supervisor);
        let report = work()?;
        std::thread::sleep(REST);
        Ok(Self::new(&report, Usage::of_tree(server.supervisor).since(before)))
    }

    /// From what a client saw and what the server used.
    pub(crate) fn new(report: &Report, used: Usage) -> Self {
        let count = report.answered as f64;
        let ms = |share| quantile(&report.latencies, share).as_secs_f64() * 1e3;
        Self {
            cpu: used.cpu.as_secs_f64() * 1e6 / count,
            sleeps: used.sleeps as f64 / count,
            preempted: used.preempted as f64 / count,
            rate: report.rate(),
            p50: ms(0.5),
            p99: ms(0.99),
            p999: ms(0.999),
            unanswered: report.unanswered,
            served: report.served,
            reopened: report.reopened,
        }
    }
}

impl Figures {
    /// Does the work in so many rounds with each server, given by its place in the pair.
    ///
    /// # Errors
    /// If the work fails.
    pub(crate) fn of_rounds(
        pair: &Pair,
        rounds: usize,
        mut work: impl FnMut(usize) -> Outcome<Report>,
    ) -> Outcome<[Self; 2]> {
        let rounds = pair.rounds(rounds, |at, server| Sample::take(server, || work(at)))?;
        Ok(rounds.map(|rounds| Self { rounds, calls: None }))
    }

    /// One value of each round.
    pub(crate) fn all(&self, of: fn(&Sample) -> f64) -> Vec<f64> {
        self.rounds.iter().map(of).collect()
    }

    /// The least CPU time of a round.
    pub(crate) fn cpu(&self) -> f64 {
        least(&self.all(|round| round.cpu))
    }

    /// The median of a value.
    pub(crate) fn median(&self, of: fn(&Sample) -> f64) -> f64 {
        median(&self.all(of))
    }

    /// System calls per request.
    pub(crate) fn calls(&self) -> Option<f64> {
        self.calls.as_ref().map(|calls| calls.values().sum())
    }

    /// Counts system calls in a run of its own. Without strace, and if it may not attach, there are none.
    fn count(&mut self, server: &Server, work: impl FnOnce() -> Outcome<Report>) {
        if !calls::is_installed() {
            return;
        }
        let mut answered = 0;
        let counted = calls::count(server, || {
            answered = work()?.answered;
            Ok(())
        });
        match counted {
            Ok(Calls(all)) => {
                let each = all.into_iter().map(|(name, count)| (name, count as f64 / answered as f64));
                self.calls = Some(each.collect());
            }
            Err(error) => say(&format!("system calls were not counted: {error}")),
        }
    }
}

impl Row {
    /// Measures rounds, and counts system calls in further, shorter work.
    ///
    /// # Errors
    /// If the work of a round fails.
    pub(crate) fn measure(
        case: String,
        pair: &Pair,
        rounds: usize,
        [requests, counted]: [usize; 2],
        work: impl Fn(usize, usize) -> Outcome<Report>,
    ) -> Outcome<Self> {
        let mut figures = Figures::of_rounds(pair, rounds, |at| work(at, requests))?;
        for (at, (figures, server)) in figures.iter_mut().zip(&pair.0).enumerate() {
            figures.count(server, || work(at, counted));
        }
        let [ours, stock] = figures;
        Ok(Self { case, ours, stock })
    }

    /// Least CPU time, ours to php-fpm's.
    pub(crate) fn ratio(&self) -> f64 {
        self.ours.cpu() / self.stock.cpu()
    }

    /// The median of the rounds' ratios: each round of ours to the one of php-fpm beside it.
    pub(crate) fn median_ratio(&self) -> f64 {
        let pairs = self.ours.rounds.iter().zip(&self.stock.rounds);
        median(&pairs.map(|(ours, stock)| ours.cpu / stock.cpu).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(cpu: &[f64]) -> Figures {
        let rounds = cpu.iter().map(|cpu| Sample { cpu: *cpu, ..Sample::default() });
        Figures { rounds: rounds.collect(), calls: None }
    }

    #[test]
    fn a_row_compares_least_values_and_neighbours() {
        let row = Row { case: String::new(), ours: figures(&[5.0, 9.0, 8.0]), stock: figures(&[10.0, 10.0, 20.0]) };
        assert_eq!(row.ratio(), 0.5);
        // 0.5, 0.9 and 0.4
        assert_eq!(row.median_ratio(), 0.5);
    }

    #[test]
    fn a_sample_is_per_request() {
        let report = Report {
            latencies: (1..101).map(Duration::from_millis).collect(),
            answered: 100,
            elapsed: Duration::from_secs(2),
            ..Report::default()
        };
        let used = Usage { cpu: Duration::from_millis(1), sleeps: 150, preempted: 0 };
        let sample = Sample::new(&report, used);
        assert_eq!((sample.cpu, sample.sleeps, sample.rate), (10.0, 1.5, 50.0));
        assert_eq!((sample.p50, sample.p99, sample.p999), (50.0, 99.0, 100.0));
    }
}

//! `make bench`: the cost of a request, compared with the php-fpm of the same build.
//!
//! CPU time is that of all threads of the server's process tree, from /proc. Rounds alternate between the two
//! servers. A figure is the median of its rounds, a ratio the median of the rounds' ratios. System calls are counted
//! in a round of their own, under strace. Options: `--rounds N`, `--requests N` (of one round). With `--scale` it
//! measures many pools instead (`scale`).

mod case;
mod round;
mod scale;
mod table;

use std::process::ExitCode;

use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::{Door, Target};
use testkit::{Outcome, say, turn};

use case::Case;
use round::{Counted, Round};

/// A server's figures for one case.
#[derive(Debug, Default)]
struct Figures {
    rounds: Vec<Round>,
    calls: Option<Counted>,
}

fn main() -> ExitCode {
    let scale = std::env::args().any(|word| word == "--scale");
    match if scale { scale::run() } else { run() } {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("bench: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome {
    let (rounds, requests) = (option("--rounds", 7)?, option("--requests", 10_000)?);
    let ours = Target::find().ok_or("nothing to measure")?;
    let stock = Target { prefix: ours.prefix.clone(), door: Door::PhpFpm };
    let _turn = turn::alone()?;
    let servers = [start(&ours)?, start(&stock)?];
    table::head(&ours, rounds, requests);
    for case in Case::ALL {
        let mut figures = [Figures::default(), Figures::default()];
        for server in &servers {
            round::measure(server, case, requests / 5)?;
        }
        for turn in 0..rounds {
            // Both servers go first equally often.
            for at in [turn % 2, (turn + 1) % 2] {
                figures[at].rounds.push(round::measure(&servers[at], case, requests)?);
            }
        }
        for (server, figures) in servers.iter().zip(&mut figures) {
            figures.calls = round::count_calls(server, case, requests / 5).ok();
        }
        table::row(case, &figures);
    }
    servers.into_iter().try_for_each(Server::stop)
}

fn start(target: &Target) -> Outcome<Server> {
    Server::start(target, &Setup::new(2).ini("opcache.validate_timestamps = 0"))
}

fn option(name: &str, default: usize) -> Outcome<usize> {
    let mut words = std::env::args().skip_while(|word| word != name);
    match (words.next(), words.next()) {
        (None, _) => Ok(default),
        (Some(_), Some(value)) => value.parse().map_err(|_| format!("{name} {value}: no number").into()),
        (Some(_), None) => Err(format!("{name} wants a number").into()),
    }
}

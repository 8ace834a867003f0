//! One round: requests from two clients, and their cost in the server.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::clock::{ms, wait_until};
use testkit::fastcgi::Client;
use testkit::load::{Job, Plan};
use testkit::server::Server;
use testkit::{Outcome, ensure};

use crate::case::Case;

/// Microseconds of CPU per request, and requests per second.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// All threads of all processes.
    pub cpu: f64,
    /// Of two clients that share the cores with the server.
    pub rate: f64,
}

/// System calls per request.
#[derive(Debug, Clone, Copy)]
pub struct Counted(pub f64);

/// Sends the requests and returns their cost.
pub fn measure(server: &Server, case: Case, requests: usize) -> Outcome<Round> {
    let (start, before) = (Instant::now(), cpu(server));
    drive(server, case, requests)?;
    let (took, spent) = (start.elapsed(), cpu(server).saturating_sub(before));
    let count = requests as f64;
    Ok(Round { cpu: spent.as_secs_f64() * 1e6 / count, rate: count / took.as_secs_f64() })
}

/// Sends the requests under strace and counts the server's system calls.
pub fn count_calls(server: &Server, case: Case, requests: usize) -> Outcome<Counted> {
    let summary = server.sandbox.file("strace");
    let mut command = Command::new("strace");
    command.args(["-c", "-f", "-o"]).arg(&summary).stdin(Stdio::null()).stderr(Stdio::null());
    for process in [vec![server.supervisor], server.supervisor.descendants()].concat() {
        command.args(["-p", &process.pid.to_string()]);
    }
    let mut strace = command.spawn().map_err(|_| "strace is missing: apt-get install strace")?;
    let pid = Pid::from_raw(i32::try_from(strace.id())?);
    let traced = || server.supervisor.status("TracerPid") == [pid.to_string()];
    let attached = wait_until("strace is attached", ms(5000), || traced() && workers_are_traced(server));
    let driven = attached.and_then(|_| drive(server, case, requests));
    kill(pid, Signal::SIGINT)?;
    strace.wait()?;
    driven?;
    let text = std::fs::read_to_string(&summary)?;
    let total = text.lines().find(|line| line.trim_end().ends_with("total"));
    let calls: Option<f64> = total.and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
    Ok(Counted(calls.ok_or("strace counted nothing")? / requests as f64))
}

fn workers_are_traced(server: &Server) -> bool {
    server.workers().iter().all(|worker| worker.status("TracerPid") != ["0"])
}

fn drive(server: &Server, case: Case, requests: usize) -> Outcome {
    let load = Plan::clients(2).requests(requests as u64).start(|_| client(server, case));
    load.finish().expect_no_failure()
}

fn client(server: &Server, case: Case) -> Job {
    let (address, bytes) = (server.address.clone(), case.request(server).encode(1));
    let mut open: Option<Client> = None;
    Box::new(move || {
        let mut client = match open.take() {
            Some(client) => client,
            None => Client::connect(&address, ms(10_000))?,
        };
        client.send(&bytes)?;
        let length = client.answer()?.body().len();
        ensure!(length == case.length(), "{length} bytes in place of {}", case.length());
        open = case.kept().then_some(client);
        Ok(())
    })
}

fn cpu(server: &Server) -> Duration {
    let tree = [vec![server.supervisor], server.supervisor.descendants()].concat();
    tree.into_iter().map(testkit::process::Process::cpu).sum()
}

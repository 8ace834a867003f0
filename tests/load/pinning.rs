//! Kept connections, far more than workers: no client waits because of others that are silent.
#![forbid(unsafe_code)]

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use testkit::clock::ms;
use testkit::fastcgi::{Client, Request};
use testkit::load::{Job, Plan};
use testkit::server::Server;
use testkit::setup::{Listen, Setup};
use testkit::stream::Stream;
use testkit::target::Target;
use testkit::{Outcome, ensure, say, turn};

#[test]
fn sixty_four_on_four_unix() -> Outcome {
    sixty_four_on_four(Listen::Unix)
}

#[test]
fn sixty_four_on_four_tcp() -> Outcome {
    sixty_four_on_four(Listen::Tcp)
}

fn sixty_four_on_four(listen: Listen) -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let turn = turn::alone()?;
    let server = Server::start(&target, &Setup::new(4).listen(listen))?;
    let clients: Outcome<Vec<Job>> = (0..64).map(|_| keeper(&server, 1)).collect();
    let mut clients = clients?;
    // 40 requests each.
    let load = Plan::clients(64)
        .pause(ms(30))
        .requests(64 * 40)
        .start(|_| clients.pop().unwrap_or_else(|| Box::new(|| Ok(()))));
    let tally = load.finish();
    say(&tally.summary());
    tally.expect_no_failure()?;
    turn.expect_within("the longest wait", tally.worst(), ms(100))?;
    server.stop()
}

/// Raises the limit of open files of this process. Drop restores it, because servers of other tests inherit it.
struct MoreFiles {
    soft: u64,
    hard: u64,
}

impl MoreFiles {
    fn allow(least: u64) -> Outcome<Self> {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        ensure!(hard >= least, "the hard limit of open files is {hard}: too low for this test");
        setrlimit(Resource::RLIMIT_NOFILE, hard.min(2 * least), hard)?;
        Ok(Self { soft, hard })
    }
}

impl Drop for MoreFiles {
    fn drop(&mut self) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, self.soft, self.hard);
    }
}

/// Eight clients, each with 250 connections that it uses in turn.
#[test]
fn two_thousand_on_eight() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::alone()?;
    let _files = MoreFiles::allow(4096)?;
    let server = Server::start(&target, &Setup::new(8).global("rlimit_files = 4096"))?;
    let clients: Outcome<Vec<Job>> = (0..8).map(|_| keeper(&server, 250)).collect();
    let mut clients = clients?;
    let load = Plan::clients(8).requests(2000 * 5).start(|_| clients.pop().unwrap_or_else(|| Box::new(|| Ok(()))));
    let tally = load.finish();
    say(&tally.summary());
    tally.expect_no_failure()?;
    server.stop()
}

/// A client that uses this number of kept connections in turn. It stops after a failure.
fn keeper(server: &Server, count: usize) -> Outcome<Job> {
    let connections: Outcome<Vec<Client>> = (0..count).map(|_| Client::connect(&server.address, ms(3000))).collect();
    let mut connections = connections?;
    let request = Request::get(&server.sandbox.page("hello.php")).keep();
    let (mut next, mut failed) = (0, false);
    Ok(Box::new(move || {
        ensure!(!failed, "not asked: this client has failed before");
        failed = true;
        let body = connections[next].ask(&request)?.body();
        ensure!(body == "hello", "{body}");
        next = (next + 1) % count;
        failed = false;
        Ok(())
    }))
}

/// Clients that connect and send nothing, or stop after an answer, do not delay others.
#[test]
fn silent_clients() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let turn = turn::alone()?;
    let server = Server::start(&target, &Setup::new(2))?;
    let request = Request::get(&server.sandbox.page("hello.php"));
    let mute: Result<Vec<Stream>, _> = (0..8).map(|_| server.address.connect(ms(3000))).collect();
    let mute = mute?;
    let mut kept = Vec::new();
    for _ in 0..8 {
        let mut client = Client::connect(&server.address, ms(3000))?;
        client.ask(&request.clone().keep())?;
        kept.push(client);
    }
    let load = Plan::clients(2).pause(ms(5)).requests(200).start(|_| newcomer(&server, &request));
    let tally = load.finish();
    say(&tally.summary());
    tally.expect_no_failure()?;
    turn.expect_within("the longest wait", tally.worst(), ms(100))?;
    for client in &mut kept {
        client.ask(&request)?;
    }
    drop(mute);
    server.stop()
}

fn newcomer(server: &Server, request: &Request) -> Job {
    let (address, request) = (server.address.clone(), request.clone());
    Box::new(move || {
        let body = testkit::fastcgi::ask_once(&address, &request, ms(3000))?;
        ensure!(body == "hello", "{body}");
        Ok(())
    })
}

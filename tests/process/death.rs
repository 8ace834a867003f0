//! `kill -9` of any process, under load: only the request that the killed worker had in hand is lost, and no process
//! or file remains.
#![forbid(unsafe_code)]

use std::net::TcpListener;
use std::ops::RangeInclusive;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Client, Request, ask_once};
use testkit::load::{Job, Plan, Tally};
use testkit::nginx::{Nginx, Upstream};
use testkit::process::Process;
use testkit::server::Server;
use testkit::setup::{Listen, Setup};
use testkit::stream::Address;
use testkit::target::Target;
use testkit::turn::Alone;
use testkit::{Outcome, ensure, say, turn};

fn work(server: &Server, milliseconds: u32) -> Request {
    Request::get(&server.sandbox.page("work.php")).param("QUERY_STRING", &format!("ms={milliseconds}"))
}

/// A client that connects for each request. A sleep that a signal interrupted is a valid answer, too.
fn worker_client(server: &Server, milliseconds: u32) -> Job {
    let (address, request) = (server.address.clone(), work(server, milliseconds));
    Box::new(move || {
        let body = ask_once(&address, &request, ms(5000))?;
        ensure!(body == "done" || body.ends_with("short"), "{body:?}");
        Ok(())
    })
}

/// Kills a process and sends a request at once: the time to the answer.
fn time_to_answer(server: &Server, kill: impl FnOnce()) -> Outcome<Duration> {
    let start = Instant::now();
    kill();
    let body = ask_once(&server.address, &Request::get(&server.sandbox.page("hello.php")), ms(5000))?;
    ensure!(body == "hello", "{body:?}");
    Ok(start.elapsed())
}

/// The only worker is killed 20 times while it waits: its slot serves again within 50 ms (the median).
#[test]
fn slot_serves_again() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let turn = turn::alone()?;
    let server = Server::start(&target, &Setup::new(1))?;
    let mut times = Vec::new();
    for _ in 0..20 {
        server.await_workers(1, ms(5000))?;
        sleep(ms(30));
        let worker = *server.workers().first().ok_or("no worker")?;
        times.push(time_to_answer(&server, || worker.signal(Signal::SIGKILL))?);
    }
    times.sort_unstable();
    say(&format!("median {:.1?}, worst {:.1?}", times[10], times[19]));
    turn.expect_within("the median", times[10], ms(50))?;
    turn.expect_within("the worst", times[19], ms(250))?;
    server.stop()
}

#[test]
fn workers_under_load() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let turn = turn::alone()?;
    let server = Server::start(&target, &Setup::new(4))?;
    let load = Plan::clients(8).start(|_| worker_client(&server, 5));
    let kills = kill_workers(&server)?;
    check(&turn, &load.stop(), &kills, ms(0))?;
    server.stop()
}

#[test]
fn workers_behind_nginx() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let turn = turn::alone()?;
    let server = Server::start(&target, &Setup::new(4))?;
    let nginx = Nginx::start(&server.sandbox, &server.address, Upstream::Kept(8))?;
    let load = Plan::clients(8).start(|_| {
        let mut web = nginx.client(ms(5000));
        Box::new(move || web.post("/work.php?ms=5", b"a=b")?.expect(200).map(|_| ()))
    });
    let kills = kill_workers(&server)?;
    // nginx may still write into a connection that a dying worker holds.
    check(&turn, &load.stop(), &kills, ms(5))?;
    server.stop()
}

/// From before the signal until after it.
type Kill = RangeInclusive<Instant>;

/// Kills a worker every 50 ms for 3 s; returns the times.
fn kill_workers(server: &Server) -> Outcome<Vec<Kill>> {
    let mut kills = Vec::new();
    for turn in 0..60 {
        sleep(ms(50));
        let workers = server.workers();
        ensure!(!workers.is_empty() || turn == 0, "no worker is left");
        if let Some(worker) = workers.get(turn % workers.len().max(1)) {
            let before = Instant::now();
            worker.signal(Signal::SIGKILL);
            kills.push(before..=Instant::now());
        }
    }
    server.await_workers(4, ms(2000))?;
    Ok(kills)
}

/// Each failed request was in flight at a kill, or was sent at most `grace` after it. A worker has one request in
/// hand and, for microseconds, a second one that it passes on.
fn check(turn: &Alone, tally: &Tally, kills: &[Kill], grace: Duration) -> Outcome {
    say(&format!("{} kills; {}", kills.len(), tally.summary()));
    ensure!(tally.times.len() > 500, "hardly anything was answered: {}", tally.summary());
    ensure!(tally.failures.len() <= kills.len() + kills.len() / 20, "{} kills; {}", kills.len(), tally.summary());
    for failure in &tally.failures {
        let in_flight = |kill: &Kill| failure.start <= *kill.end() + grace && *kill.start() <= failure.end;
        let last =
            kills.iter().filter(|kill| *kill.end() < failure.start).map(|kill| failure.start - *kill.end()).min();
        let took = failure.end - failure.start;
        ensure!(kills.iter().any(in_flight), "sent {last:?} after a kill, failed after {took:?}: {}", failure.what);
    }
    turn.expect_within("the longest wait", tally.worst(), ms(1000))?;
    Ok(())
}

/// After the death of the zygote its workers finish their requests; no request to another pool waits over 300 ms.
#[test]
fn zygote() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let turn = turn::alone()?;
    let server = Server::start(&target, &Setup::new(2))?;
    let (address, long) = (server.address.clone(), work(&server, 1000));
    let in_flight = std::thread::spawn(move || ask_once(&address, &long, ms(5000)));
    let load = Plan::clients(2).start(|_| worker_client(&server, 1));
    sleep(ms(200));
    let zygote = *server.zygotes().first().ok_or("no zygote")?;
    zygote.signal(Signal::SIGKILL);
    sleep(ms(1000));
    let tally = load.stop();
    say(&tally.summary());
    tally.expect_no_failure()?;
    turn.expect_within("the longest wait", tally.worst(), ms(300))?;
    let body = in_flight.join().map_err(|_| "the client panicked")??;
    ensure!(body == "done" || body.ends_with("short"), "the request in flight: {body:?}");
    server.await_workers(2, ms(3000))?;
    ensure!(!zygote.lives() && server.zygotes().len() == 1, "zygotes: {:?}", server.zygotes());
    server.stop()
}

/// A worker whose zygote has died serves one more request on its kept connection, then it closes it and exits. A client
/// that always sends the next request in time does not keep it.
#[test]
fn a_kept_connection_without_a_zygote() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1))?;
    let mut client = Client::connect(&server.address, ms(5000))?;
    let request = Request::get(&server.sandbox.page("pid.php")).keep();
    let pid: i32 = client.ask(&request)?.body().parse()?;
    let worker = Process::find(pid).ok_or("the worker has gone")?;
    // The worker is inside a request when its zygote dies, so it holds the connection afterwards.
    client.send(&Request { keep: true, ..work(&server, 300) }.encode(1))?;
    sleep(ms(100));
    server.zygotes().iter().for_each(|zygote| zygote.signal(Signal::SIGKILL));
    client.answer()?;
    let mut answered = 0;
    while client.ask(&request).is_ok() {
        answered += 1;
        ensure!(answered <= 3, "the worker still serves the connection");
        sleep(ms(100));
    }
    let gone = wait_until("the end of the worker", ms(1000), || !worker.lives())?;
    say(&format!("{answered} more requests, the worker has gone after {gone:.1?}"));
    server.says_hello(&server.address)?;
    server.stop()
}

/// Zygotes are killed every 500 ms under load: no request is lost. The time that requests wait is not checked: a
/// zygote that keeps dying early is restarted with growing pauses.
#[test]
fn zygotes_under_load() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::alone()?;
    let server = Server::start(&target, &Setup::new(4))?;
    let load = Plan::clients(8).start(|_| worker_client(&server, 20));
    for _ in 0..6 {
        sleep(ms(500));
        server.zygotes().iter().for_each(|zygote| zygote.signal(Signal::SIGKILL));
    }
    server.await_workers(4, ms(3000))?;
    let tally = load.stop();
    say(&tally.summary());
    tally.expect_no_failure()?;
    server.stop()
}

/// After the death of the supervisor all processes end: requests in flight are answered, and the port is free.
#[test]
fn supervisor() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::alone()?;
    let mut server = Server::start(&target, &Setup::new(4).listen(Listen::Tcp))?;
    let load = Plan::clients(4).start(|_| worker_client(&server, 200));
    sleep(ms(700));
    let killed = Instant::now();
    server.supervisor.signal(Signal::SIGKILL);
    sleep(ms(600));
    let tally = load.stop();
    server.await_end(ms(3000))?;
    say(&format!("all ended after {:.1?}", killed.elapsed()));
    let Address::Tcp(address) = server.address else { return Err("not TCP".into()) };
    TcpListener::bind(address).map_err(|error| format!("{address} can't be bound again: {error}"))?;
    let lost = tally.failures.iter().filter(|failure| failure.start + ms(30) < killed).count();
    ensure!(lost == 0, "{lost} requests in flight were lost: {}", tally.summary());
    Ok(())
}

//! Signals to every process at once, as systemd, a terminal or `kill -PGID` send them: the supervisor decides for all
//! processes, and no request is lost.
#![forbid(unsafe_code)]

use std::time::Duration;

use nix::sys::signal::Signal::{self, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::{Client, Request};
use testkit::load::{Job, Plan};
use testkit::process::Process;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, say, skip, turn};

const LIMIT: Duration = Duration::from_secs(10);
const GRACEFUL: &str = "on_sigterm = graceful";

/// The process that gets a signal first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Supervisor,
    Workers,
}

fn all(server: &Server, order: Order) -> Vec<Process> {
    let mut all = server.supervisor.tree();
    if order == Order::Workers {
        all.reverse();
    }
    all
}

fn signal_all(server: &Server, signal: Signal, order: Order) {
    all(server, order).into_iter().for_each(|process| process.signal(signal));
}

/// A client that sends requests as long as the socket accepts; every accepted connection must get an answer.
fn asker(server: &Server) -> Job {
    let (address, request) = (server.address.clone(), Request::get(&server.sandbox.page("hello.php")));
    Box::new(move || {
        let Ok(mut client) = Client::connect(&address, LIMIT) else {
            std::thread::sleep(ms(20));
            return Ok(());
        };
        let body = client.ask(&request)?.body();
        ensure!(body == "hello", "{body}");
        Ok(())
    })
}

/// `on_sigterm = graceful`: after SIGTERM and SIGINT to all processes they finish running requests, as after SIGQUIT.
#[test]
fn a_graceful_end() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::alone()?;
    for (signal, order) in
        [SIGTERM, SIGINT, SIGQUIT].into_iter().flat_map(|s| [Order::Supervisor, Order::Workers].map(|o| (s, o)))
    {
        let mut server = Server::start(&target, &Setup::new(4).global(GRACEFUL))?;
        let load = Plan::clients(3).start(|_| asker(&server));
        let mut long = server.in_hand(ms(1500))?;
        signal_all(&server, signal, order);
        let body = long.answer().map_err(|e| format!("{signal}, {order:?}: the request in hand: {e}"))?.body();
        ensure!(body == "done" || body.ends_with("short"), "{signal}, {order:?}: {body}");
        let status = server.await_end(bar(ms(5000)))?;
        let tally = load.stop();
        say(&format!("{signal}, {order:?}: {}", tally.summary()));
        tally.expect_no_failure().map_err(|e| format!("{signal}, {order:?}: {e}"))?;
        ensure!(status == Some(0), "{signal}, {order:?}: status {status:?}");
        ensure!(server.log.count("Finishing ...") == 1, "{signal}, {order:?}: {}", server.log.text());
    }
    Ok(())
}

/// In a graceful end a kept connection is closed soon, however long the last request takes: no worker would answer on
/// it.
#[test]
fn kept_connections_in_a_graceful_end() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let mut server = Server::start(&target, &Setup::new(2).global(GRACEFUL))?;
    let hello = Request::get(&server.sandbox.page("hello.php")).keep();
    let mut kept = Client::connect(&server.address, ms(4000))?;
    ensure!(kept.ask(&hello)?.body() == "hello", "no answer");
    let mut long = server.in_hand(ms(6000))?;
    server.supervisor.signal(SIGTERM);
    let end = kept.record()?;
    ensure!(end.is_none(), "something came: {end:?}");
    let body = long.answer()?.body();
    ensure!(body == "done", "the request in hand: {body}");
    let status = server.await_end(bar(ms(5000)))?;
    ensure!(status == Some(0), "status {status:?}");
    Ok(())
}

/// With a graceful SIGTERM, the supervisor's own SIGTERM still ends a worker: after a time limit, and at a second
/// signal.
#[test]
fn what_still_ends_a_worker() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let setup = Setup::new(2).global(GRACEFUL).pool("request_terminate_timeout = 1s");
    let server = Server::start(&target, &setup)?;
    let mut long = server.in_hand(ms(20_000))?;
    ensure!(long.answer().is_err(), "the request has come to its end");
    wait_until("the worker's end", LIMIT, || server.log.count("exited on signal 15 (SIGTERM)") == 1)
        .map_err(|e| format!("{e}: {}", server.log.text()))?;
    server.supervisor.signal(SIGQUIT);
    end_within(server, ms(3000))?;
    for by_zygote in [true, false] {
        let server = Server::start(&target, &Setup::new(2).global(GRACEFUL))?;
        let _long = server.in_hand(ms(20_000))?;
        if !by_zygote {
            server.zygotes().iter().for_each(|zygote| zygote.signal(Signal::SIGKILL));
            wait_until("the next zygote", LIMIT, || server.workers().len() > 2)?;
        }
        signal_all(&server, SIGTERM, Order::Supervisor);
        wait_until("the first word", LIMIT, || server.log.count("Finishing ...") == 1)?;
        signal_all(&server, SIGTERM, Order::Supervisor);
        end_within(server, ms(3000)).map_err(|e| format!("by its zygote: {by_zygote}: {e}"))?;
    }
    Ok(())
}

fn end_within(mut server: Server, limit: Duration) -> Outcome {
    let status = server.await_end(bar(limit))?;
    ensure!(status == Some(0), "status {status:?}: {}", server.log.tail(5));
    Ok(())
}

/// Signals that only the supervisor acts on: the logs are reopened, a reload happens, and no request is lost.
#[test]
fn what_workers_overhear() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::alone()?;
    let server = Server::start(&target, &Setup::new(3))?;
    let load = Plan::clients(3).start(|_| asker(&server));
    for round in 1..=4 {
        let mut long = server.in_hand(ms(700))?;
        for signal in [SIGUSR1, SIGHUP, SIGUSR2] {
            signal_all(&server, signal, if round % 2 == 0 { Order::Workers } else { Order::Supervisor });
        }
        // While zygotes of the next generation start.
        for _ in 0..20 {
            std::thread::sleep(ms(7));
            signal_all(&server, SIGUSR1, Order::Supervisor);
        }
        let body = long.answer().map_err(|e| format!("round {round}: {e}"))?.body();
        ensure!(body == "done" || body.ends_with("short"), "round {round}: {body}");
        wait_until("the reload's end", bar(LIMIT), || server.log.count("ready to handle connections") > round)?;
        server.await_workers(3, LIMIT)?;
    }
    let tally = load.stop();
    say(&tally.summary());
    tally.expect_no_failure()?;
    ensure!(server.log.count("Reloading in progress") == 4, "{}", server.log.text());
    let calm = |line: &&str| !line.contains("WARNING") && !line.contains("ERROR");
    let text = server.log.text();
    ensure!(text.lines().all(|line| calm(&line)), "{text}");
    server.stop()
}

/// A worker with a connection on which no byte has arrived yet ignores a signal: the connection stays open.
#[test]
fn a_silent_client_is_kept() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1))?;
    let worker = *server.workers().first().ok_or("no worker")?;
    let sockets = || worker.fds().values().filter(|to| to.starts_with("socket:")).count();
    let before = sockets();
    let mut client = Client::connect(&server.address, LIMIT)?;
    wait_until("the worker has the connection", bar(LIMIT), || sockets() > before)?;
    for signal in [SIGUSR1, SIGHUP, SIGUSR2] {
        worker.signal(signal);
        let pending = || worker.status("ShdPnd").iter().any(|mask| mask.bytes().any(|digit| digit != b'0'));
        wait_until("the worker takes the signal", bar(LIMIT), || !pending() && worker.state() == 'S')?;
    }
    let page = server.sandbox.page("hello.php");
    let body = client.ask(&Request::get(&page))?.body();
    ensure!(body == "hello", "{body}; {} exists: {}", page.display(), page.exists());
    ensure!(server.workers() == [worker], "another worker: {}", server.log.text());
    server.stop()
}

/// Signals end a process that a script has forked as they end any program.
#[test]
fn a_forked_process_ends_by_them() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1).global(GRACEFUL))?;
    let script = r"<?php
if (!function_exists('pcntl_fork')) { exit('no pcntl'); }
foreach ([SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2] as $signal) {
    $child = pcntl_fork();
    if ($child === 0) { while (true) { sleep(60); } }
    posix_kill($child, $signal);
    pcntl_waitpid($child, $status);
    echo pcntl_wifsignaled($status) && pcntl_wtermsig($status) === $signal ? 'ended ' : 'not ended ';
}
";
    server.sandbox.put("www/children.php", script)?;
    let mut client = Client::connect(&server.address, LIMIT)?;
    let body = client.ask(&Request::get(&server.sandbox.page("children.php")))?.body();
    if body == "no pcntl" {
        skip("this PHP has no pcntl");
    } else {
        ensure!(body == "ended ".repeat(5), "{body}");
    }
    server.stop()
}

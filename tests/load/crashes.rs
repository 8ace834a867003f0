//! Workers that crash: `emergency_restart_threshold`, and crash loops that do not affect other pools.
#![forbid(unsafe_code)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Request, ask_once};
use testkit::load::{Job, Plan, Tally, asker};
use testkit::process::Process;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stream::Address;
use testkit::target::{Target, web_user};
use testkit::{Outcome, ensure, say, turn};

/// A second pool, in a group of its own.
fn with_neighbour(setup: Setup, sandbox: &Sandbox) -> (Setup, Address) {
    let socket = sandbox.file("other.sock");
    let mut setup = setup
        .pool("[other]")
        .pool("process.group = other")
        .pool("pm = static")
        .pool("pm.max_children = 2")
        .pool(&format!("listen = {}", socket.display()));
    if let Some(user) = web_user() {
        for line in ["user", "group", "listen.owner", "listen.group"] {
            setup = setup.pool(&format!("{line} = {user}"));
        }
    }
    (setup, Address::Unix(socket))
}

fn page(server: &Server, name: &str, query: &str) -> Request {
    Request::get(&server.sandbox.page(name)).param("QUERY_STRING", query)
}

/// Makes a worker of the pool die by that signal.
fn crash(server: &Server, signal: i32) {
    // The connection ends without an answer.
    let _ = ask_once(&server.address, &page(server, "crash.php", &format!("signal={signal}")), ms(10_000));
}

fn cache(address: &Address, server: &Server) -> Outcome<(String, String)> {
    let body = ask_once(address, &page(server, "cache.php", ""), ms(10_000))?;
    let (started, pid) = body.split_once(' ').ok_or_else(|| format!("{body:?}"))?;
    Ok((started.to_owned(), pid.to_owned()))
}

/// At the threshold the group gets a new zygote and a new opcode cache; other groups keep theirs.
#[test]
fn emergency() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let setup = Setup::new(2).global("emergency_restart_threshold = 4").global("emergency_restart_interval = 1m");
    let (setup, other) = with_neighbour(setup, &sandbox);
    let server = Server::start_in(sandbox, &target, &setup)?;
    let zygotes = |server: &Server| -> Vec<Process> { server.zygotes() };
    let (before, (started, _), others) = (zygotes(&server), cache(&server.address, &server)?, cache(&other, &server)?);
    // start_time is in seconds.
    sleep(ms(1100));
    for signal in [11, 7, 4] {
        crash(&server, signal);
        server.says_hello(&server.address)?;
    }
    // The program did not cause this one.
    crash(&server, 9);
    ensure!(zygotes(&server) == before, "a zygote was replaced too early: {}", server.log.tail(8));
    crash(&server, 6);
    wait_until("its renewal", ms(5000), || server.log.count("is renewed: new processes serve") == 1)?;
    wait_until("the end of the former zygote", ms(5000), || zygotes(&server).len() == 2)?;
    let (restarted, _) = cache(&server.address, &server)?;
    ensure!(restarted != started, "the cache has started at {started} and {restarted}");
    ensure!(cache(&other, &server)?.0 == others.0, "the other pool's cache is new, too");
    let kept = zygotes(&server).iter().filter(|z| before.contains(z)).count();
    ensure!(kept == 1, "{kept} zygotes were kept");
    ensure!(server.log.count("failed processes threshold (4 in 60 sec) is reached") == 1, "{}", server.log.tail(8));
    server.stop()
}

fn quick(address: &Address, page: &Path) -> Job {
    let (address, page) = (address.clone(), page.to_owned());
    asker(&address, &Request::get(&page), "hello", ms(10_000))
}

fn neighbours_load(address: &Address, server: &Server) -> Tally {
    let page = server.sandbox.page("hello.php");
    Plan::clients(2).requests(4000).start(|_| quick(address, &page)).finish()
}

/// A pool whose workers crash on every request: they restart with growing pauses, the log says so once, and the
/// answers of the other pool take as long as before.
#[test]
fn crash_loop() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let turn = turn::alone()?;
    let sandbox = Sandbox::new()?;
    let (setup, other) = with_neighbour(Setup::new(4), &sandbox);
    let server = Server::start_in(sandbox, &target, &setup)?;
    let _ = neighbours_load(&other, &server);
    let calm = neighbours_load(&other, &server);
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (over, address, request) = (Arc::clone(&over), server.address.clone(), page(&server, "crash.php", ""));
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let _ = ask_once(&address, &request, ms(1000));
                }
            })
        })
        .collect();
    sleep(ms(1500));
    let deaths = || server.log.count("exited on signal 11");
    let (first, start) = (deaths(), Instant::now());
    let storm = neighbours_load(&other, &server);
    let busy = start.elapsed();
    sleep(Duration::from_secs(4).saturating_sub(start.elapsed()));
    let rate = (deaths() - first) as f64 / start.elapsed().as_secs_f64();
    over.store(true, Ordering::Relaxed);
    clients.into_iter().try_for_each(|client| client.join().map_err(|_| "a client panicked"))?;
    let (before, meanwhile) = (calm.percentile(99), storm.percentile(99));
    say(&format!(
        "{rate:.1} deaths a second, the neighbour's p99 {meanwhile:.1?}, {before:.1?} before, {} requests in {busy:.1?}",
        storm.times.len()
    ));
    storm.expect_no_failure()?;
    ensure!(rate < 8.0, "{rate} workers a second");
    turn.expect_within("the neighbour's p99", meanwhile, before + before / 10 + ms(2))?;
    ensure!(server.log.count("its workers fail at their first request or before") == 1, "{}", server.log.tail(8));
    // A worker that survives its request ends the crash loop.
    let answered = wait_until("an answer", ms(20_000), || server.says_hello(&server.address).is_ok())?;
    say(&format!("{answered:.1?} to the first answer after the requests that were given up"));
    server.await_workers(6, ms(8000))?;
    server.stop()
}

/// Some requests among good ones crash: each worker is replaced at once.
#[test]
fn crashes_among_others() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let turn = turn::alone()?;
    let server = Server::start(&target, &Setup::new(1))?;
    for _ in 0..20 {
        server.says_hello(&server.address)?;
        crash(&server, 11);
        let start = Instant::now();
        server.says_hello(&server.address)?;
        turn.expect_within("the answer after a crash", start.elapsed(), ms(90))?;
    }
    ensure!(server.log.count("fail at their first request") == 0, "{}", server.log.tail(5));
    server.stop()
}

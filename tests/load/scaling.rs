//! `pm = dynamic` and `ondemand`: workers start and end with the load, and no request fails.
#![forbid(unsafe_code)]

use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Client, Request, ask_once};
use testkit::load::{Job, Plan, Tally, poster};
use testkit::nginx::{Nginx, Upstream};
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::{Door, Target};
use testkit::{Outcome, ensure, say, turn};

fn dynamic(most: u32, start: u32, spare: (u32, u32)) -> Setup {
    let (min, max) = spare;
    let setup = Setup::new(most).pool("pm = dynamic").pool(&format!("pm.start_servers = {start}"));
    setup.pool(&format!("pm.min_spare_servers = {min}")).pool(&format!("pm.max_spare_servers = {max}"))
}

fn ondemand(most: u32, idle: u32) -> Setup {
    Setup::new(most).pool("pm = ondemand").pool(&format!("pm.process_idle_timeout = {idle}s"))
}

/// Whether PHP runs in no process.
fn sleeps(server: &Server) -> bool {
    server.zygotes().is_empty() && server.bases().is_empty()
}

/// Clients that send requests of 50 ms, each on a new connection.
fn sleepers(server: &Server, clients: usize, requests: u64) -> Tally {
    let request = Request::get(&server.sandbox.page("work.php")).param("QUERY_STRING", "ms=50");
    let job = |_| -> Job {
        let (address, request) = (server.address.clone(), request.clone());
        Box::new(move || {
            let body = ask_once(&address, &request, ms(30_000))?;
            ensure!(body == "done", "{body:?}");
            Ok(())
        })
    };
    Plan::clients(clients).requests(requests).start(job).finish()
}

/// From 20 clients to 200 at once: every request is served, p99 is not above php-fpm's, and the workers end again.
#[test]
fn burst() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::alone()?;
    let setup = dynamic(200, 10, (10, 20));
    let ours = Server::start(&target, &setup)?;
    let tally = burst_on(&ours)?;
    let back = wait_until("no more than the spare workers", ms(15_000), || ours.workers().len() <= 20)?;
    ours.stop()?;
    let stock = Target { prefix: target.prefix, door: Door::PhpFpm };
    if stock.program().exists() {
        let stock = Server::start(&stock, &setup)?;
        let theirs = burst_on(&stock)?;
        stock.stop()?;
        let (our, their) = (tally.percentile(99), theirs.percentile(99));
        say(&format!("p99 {our:.1?}, php-fpm's {their:.1?}; spare workers again after {back:.1?}"));
        ensure!(our <= their + their / 10, "p99 {our:.1?}, php-fpm's {their:.1?}");
    }
    Ok(())
}

fn burst_on(server: &Server) -> Outcome<Tally> {
    sleepers(server, 20, 400).expect_no_failure()?;
    let tally = sleepers(server, 200, 4000);
    say(&format!("{}; {} workers", tally.summary(), server.workers().len()));
    tally.expect_no_failure()?;
    Ok(tally)
}

/// Clients whose connections one worker retains ask for more than it can serve: the pool grows.
#[test]
fn clients_of_one_worker_make_the_pool_grow() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::alone()?;
    let server = Server::start(&target, &ondemand(8, 30))?;
    let hello = Request::get(&server.sandbox.page("hello.php")).keep();
    let request = Request::get(&server.sandbox.page("work.php")).param("QUERY_STRING", "ms=4").keep();
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut client = Client::connect(&server.address, ms(5000))?;
        client.ask(&hello)?;
        clients.push(client);
    }
    let load = Plan::clients(8).start(|_| {
        let (client, request) = (clients.pop(), request.clone());
        let mut client = client;
        Box::new(move || {
            let body = client.as_mut().ok_or("no client")?.ask(&request)?.body();
            ensure!(body == "done", "{body:?}");
            Ok(())
        })
    });
    let grown = wait_until("enough workers", ms(5000), || server.workers().len() >= 6);
    let tally = load.stop();
    say(&format!("{}; {} workers", tally.summary(), server.workers().len()));
    tally.expect_no_failure()?;
    grown?;
    server.stop()
}

/// The number of workers goes up and down while POSTs arrive on kept connections: none fails.
#[test]
fn shrinking_loses_no_post() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::alone()?;
    let server = Server::start(&target, &dynamic(24, 2, (1, 2)))?;
    let nginx = Nginx::start(&server.sandbox, &server.address, Upstream::Kept(32))?;
    let (mut most, mut least, mut answered) = (0, usize::MAX, 0);
    for _ in 0..4 {
        let many = Plan::clients(24).start(|_| poster(nginx.client(ms(15_000)), 20, &["done"]));
        sleep(ms(1500));
        most = most.max(server.workers().len());
        let few = Plan::clients(2).start(|_| poster(nginx.client(ms(15_000)), 1, &["done"]));
        answered += expect_all(&many.stop(), &nginx)?;
        wait_until("few workers", ms(10_000), || server.workers().len() <= 4)?;
        least = least.min(server.workers().len());
        answered += expect_all(&few.stop(), &nginx)?;
    }
    say(&format!("{answered} answered, {least} to {most} workers"));
    ensure!(most >= 16, "{most} workers at most: it didn't grow");
    ensure!(server.log.count("SIGKILL") == 0, "a worker was killed: {}", server.log.tail(5));
    server.stop()
}

fn expect_all(tally: &Tally, nginx: &Nginx) -> Outcome<usize> {
    tally.expect_no_failure().map_err(|error| format!("{error}; {}", nginx.errors()))?;
    Ok(tally.times.len())
}

/// No process until a client connects; then as many workers as the requests need; none after the idle timeout.
#[test]
fn ondemand_comes_and_goes() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::alone()?;
    let server = Server::start(&target, &ondemand(32, 1))?;
    // The testkit has connected once, to check that it can.
    server.await_workers(1, ms(2000))?;
    server.await_workers(0, ms(6000))?;
    server.says_hello(&server.address)?;
    ensure!(server.workers().len() == 1, "{} workers for one request", server.workers().len());
    let tally = sleepers(&server, 4, 40);
    tally.expect_no_failure()?;
    let workers = server.workers().len();
    // If the machine stalls for longer than workers take to look again, there may be one worker more.
    ensure!((3..=5).contains(&workers), "{workers} workers for four clients");
    server.await_workers(0, ms(6000))?;
    ensure!(server.zygotes().len() == 1, "the cache is gone with the workers");
    server.says_hello(&server.address)?;
    server.stop()
}

/// A kept connection outlives all workers, and its next request starts one.
#[test]
fn kept_connection_without_workers() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server =
        Server::start(&target, &ondemand(4, 1).pool("process.group_idle_timeout = 1s").global("log_level = debug"))?;
    let request = Request::get(&server.sandbox.page("hello.php")).keep();
    let mut kept = Client::connect(&server.address, ms(5000))?;
    for round in 0..3 {
        let body = kept.ask(&request)?.body();
        ensure!(body == "hello", "{body:?}");
        server.await_workers(0, ms(6000))?;
        sleep(ms(2500));
        ensure!(server.zygotes().len() == 1, "the zygote left its connection alone");
        if round == 1 {
            server.reload()?;
            ensure!(server.workers().is_empty(), "a reload without load made workers");
        }
    }
    drop(kept);
    wait_until("the zygote leaves", ms(8000), || sleeps(&server))?;
    server.says_hello(&server.address)?;
    server.stop()
}

/// A reload of a group without workers starts no process; the new generation serves the next request.
#[test]
fn reload_asleep() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let turn = turn::alone()?;
    let server = Server::start(&target, &ondemand(4, 1).pool("process.group_idle_timeout = 1s"))?;
    server.await_workers(1, ms(2000))?;
    wait_until("the group sleeps", ms(8000), || sleeps(&server))?;
    for _ in 0..3 {
        server.reload()?;
        ensure!(sleeps(&server), "a reload woke the group");
    }
    let start = Instant::now();
    server.says_hello(&server.address)?;
    say(&format!("first answer after {:.1?}", start.elapsed()));
    turn.expect_within("the first answer", start.elapsed(), ms(1000))?;
    let title = server.zygotes().first().map(|z| z.title()).unwrap_or_default();
    ensure!(title.contains("generation 4"), "{title}");
    server.reload()?;
    server.says_hello(&server.address)?;
    server.stop()
}

/// 20 reloads under load of pools that scale: no request fails.
#[test]
fn reloads_under_load() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::alone()?;
    for setup in [dynamic(12, 2, (1, 3)), ondemand(12, 1)] {
        let server = Server::start(&target, &setup)?;
        let nginx = Nginx::start(&server.sandbox, &server.address, Upstream::Kept(8))?;
        let load = Plan::clients(8).start(|_| poster(nginx.client(ms(15_000)), 10, &["done"]));
        for _ in 0..10 {
            server.reload()?;
            sleep(ms(200));
        }
        let tally = load.stop();
        say(&tally.summary());
        expect_all(&tally, &nginx)?;
        server.stop()?;
    }
    Ok(())
}

/// Workers that leave after ten requests, in pools that scale: no POST is lost.
#[test]
fn retirement() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::alone()?;
    for setup in [dynamic(12, 2, (1, 3)), ondemand(12, 1)] {
        let server = Server::start(&target, &setup.pool("pm.max_requests = 10"))?;
        let nginx = Nginx::start(&server.sandbox, &server.address, Upstream::Kept(8))?;
        let tally = Plan::clients(16).requests(8000).start(|_| poster(nginx.client(ms(15_000)), 0, &["done"])).finish();
        say(&tally.summary());
        expect_all(&tally, &nginx)?;
        server.stop()?;
    }
    Ok(())
}

/// Whichever process is killed, the next request is answered.
#[test]
fn death() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::alone()?;
    for setup in [dynamic(4, 1, (1, 1)), ondemand(4, 10)] {
        let server = Server::start(&target, &setup)?;
        for round in 0..10 {
            server.says_hello(&server.address)?;
            let victims = if round % 2 == 0 { server.workers() } else { server.zygotes() };
            ensure!(!victims.is_empty(), "no process to kill in round {round}");
            victims.iter().for_each(|victim| victim.signal(Signal::SIGKILL));
            server.says_hello(&server.address)?;
            wait_until("their end", ms(3000), || victims.iter().all(|victim| !victim.lives()))?;
            wait_until("a worker", ms(5000), || !server.workers().is_empty() && !server.zygotes().is_empty())?;
        }
        server.stop()?;
    }
    Ok(())
}

/// The lines that php-fpm logs when the limits are reached.
#[test]
fn limits_are_said() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::alone()?;
    let server = Server::start(&target, &dynamic(2, 1, (1, 1)))?;
    let _ = sleepers(&server, 6, 160);
    let line = "[pool www] server reached pm.max_children setting (2), consider raising it";
    ensure!(server.log.count(line) >= 1, "not said: {}", server.log.tail(5));
    server.stop()?;
    let server = Server::start(&target, &Setup::new(4).global("process.max = 3"))?;
    server.await_workers(3, ms(5000))?;
    ensure!(server.log.count("consider raising 'process.max'") == 1, "not said: {}", server.log.tail(5));
    server.says_hello(&server.address)?;
    server.stop()
}

/// A pool with a limit of 12,800 workers starts, and costs only what its few workers cost.
#[test]
fn twelve_thousand_eight_hundred() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::alone()?;
    let server = Server::start(&target, &dynamic(12_800, 1, (1, 1)))?;
    server.says_hello(&server.address)?;
    let before = server.supervisor.cpu();
    sleep(Duration::from_secs(3));
    let spent = server.supervisor.cpu() - before;
    say(&format!("{spent:.1?} of CPU in 3 s, {} kB", server.supervisor.anonymous_kb()));
    ensure!(spent < ms(60), "{spent:?} of CPU in 3 s without load");
    server.stop()
}

/// A worker whose memory has grown too large is replaced after its request.
#[test]
fn max_memory() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1).pool("pm.max_memory = 1G"))?;
    server.says_hello(&server.address)?;
    let first = server.workers();
    server.says_hello(&server.address)?;
    ensure!(server.workers() == first, "a worker was replaced without need");
    server.stop()?;
    let server = Server::start(&target, &Setup::new(1).pool("pm.max_memory = 1M"))?;
    for _ in 0..3 {
        let before = server.workers();
        server.says_hello(&server.address)?;
        wait_until("another worker", ms(3000), || server.workers().iter().any(|w| !before.contains(w)))?;
        server.await_workers(1, ms(3000))?;
    }
    server.stop()
}

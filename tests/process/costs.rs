//! What a request costs, in counts that do not depend on how fast or busy the machine is: system calls, and processes that wake up.
#![forbid(unsafe_code)]

use testkit::calls::{self, Calls};
use testkit::clock::ms;
use testkit::fastcgi::{Client, Request};
use testkit::load::{Plan, asker};
use testkit::process::Process;
use testkit::sandbox::free_port;
use testkit::server::Server;
use testkit::setup::{Listen, Setup};
use testkit::target::Target;
use testkit::usage::Usage;
use testkit::{Outcome, ensure, turn};

/// Requests of a count.
const REQUESTS: u64 = 200;

/// The fewest system calls of so many requests over one connection, of three counts. Processes that become idle meanwhile return
/// memory, which takes more calls, once.
fn kept(server: &Server, requests: u64) -> Outcome<Calls> {
    let hello = Request::get(&server.sandbox.page("hello.php")).keep();
    let count = || -> Outcome<Calls> {
        let mut client = Client::connect(&server.address, ms(20_000))?;
        client.ask(&hello)?;
        calls::count(server, || (0..requests).try_for_each(|_| client.ask(&hello).map(drop)))
    };
    let counts: Vec<Calls> = (0..3).map(|_| count()).collect::<Outcome<_>>()?;
    Ok(counts.into_iter().min_by_key(Calls::total).ok_or("no count")?)
}

/// Two for opcache's lock, two for the time limit, two for the signal of the time limit, two for the directory, which are PHP's own;
/// the wait, and the request and its answer. A monitor adds none to a request: two a second for CPU times.
#[test]
fn system_calls_of_a_kept_connection() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    if !calls::installed_or_skip() {
        return Ok(());
    }
    let _turn = turn::alone()?;
    let setup = Setup::new(2).pool("chdir = /");
    system_calls_of(&target, &setup)?;
    system_calls_of(&target, &setup.global(&format!("monitor.listen = 127.0.0.1:{}", free_port()?)))
}

fn system_calls_of(target: &Target, setup: &Setup) -> Outcome {
    let server = Server::start(target, setup)?;
    // Until workers know whether there is a monitor.
    std::thread::sleep(ms(1200));
    let more = kept(&server, 2 * REQUESTS)?.beyond(&kept(&server, REQUESTS)?);
    let most = 11 * REQUESTS + REQUESTS / 10;
    // PHP 8.4 asks for its pid at the start of each request.
    ensure!(
        more.total() - more.of("getpid") <= most,
        "{} system calls of {REQUESTS} requests: {:?}",
        more.total(),
        more.0
    );
    for (name, most) in [("epoll_wait", 1), ("recvfrom", 1), ("sendto", 1), ("recvmsg", 0), ("accept4", 0), ("read", 0)]
    {
        ensure!(more.of(name) <= most * REQUESTS + 20, "{name}: {:?}", more.0);
    }
    server.stop()
}

/// With a status page, CPU times are read at the beginning and at the end of a request: two calls each. Whether the worker's directory
/// is still there is looked up once in a while.
#[test]
fn system_calls_with_a_status_page_and_a_directory() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    if !calls::installed_or_skip() {
        return Ok(());
    }
    let _turn = turn::alone()?;
    let setup = Setup::new(2).pool("chdir = /usr/share").pool("pm.status_path = /status");
    let server = Server::start(&target, &setup)?;
    let more = kept(&server, 2 * REQUESTS)?.beyond(&kept(&server, REQUESTS)?);
    for (name, most) in [("getrusage", 2 * REQUESTS), ("clock_gettime", 2 * REQUESTS), ("newfstatat", REQUESTS * 3 / 4)]
    {
        ensure!(more.of(name) <= most + 20, "{name}: {:?}", more.0);
    }
    server.stop()
}

/// More clients than workers: their connections are not passed from process to process for each request.
#[test]
fn messages_of_many_kept_connections() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    if !calls::installed_or_skip() {
        return Ok(());
    }
    let _turn = turn::alone()?;
    let server = Server::start(&target, &Setup::new(2))?;
    let hello = Request::get(&server.sandbox.page("hello.php")).keep();
    let mut clients: Vec<Client> =
        (0..16).map(|_| Client::connect(&server.address, ms(20_000))).collect::<Outcome<_>>()?;
    let mut ask = |rounds: u64| -> Outcome {
        let all = (0..rounds).flat_map(|_| 0..16);
        all.into_iter().try_for_each(|n: usize| clients[n].ask(&hello).map(drop))
    };
    ask(3)?;
    let used = calls::count(&server, || ask(50))?;
    let messages = used.of("sendmsg") + used.of("recvmsg");
    ensure!(messages <= 80, "{messages} messages for 800 requests: {:?}", used.0);
    server.stop()
}

/// One process serves the requests of one client. The others sleep.
#[test]
fn nobody_wakes_up_for_nothing() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::alone()?;
    for (listen, keep) in [(Listen::Unix, true), (Listen::Unix, false), (Listen::Tcp, true), (Listen::Tcp, false)] {
        let server = Server::start(&target, &Setup::new(4).listen(listen))?;
        let hello = Request::get(&server.sandbox.page("hello.php"));
        let hello = if keep { hello.keep() } else { hello };
        let mut client = Client::connect(&server.address, ms(20_000))?;
        let mut ask = |times: u64| -> Outcome {
            for _ in 0..times {
                if !keep {
                    client = Client::connect(&server.address, ms(20_000))?;
                }
                client.ask(&hello)?;
            }
            Ok(())
        };
        ask(50)?;
        let tree = server.supervisor.tree();
        let sleeps = |process: &Process| Usage::of(&[*process]).sleeps;
        let before: Vec<u64> = tree.iter().map(sleeps).collect();
        ask(REQUESTS)?;
        let woken: Vec<(String, u64)> =
            tree.iter().zip(before).map(|(one, was)| (one.title(), sleeps(one) - was)).collect();
        let workers = || woken.iter().filter(|(title, _)| title.contains("pool www"));
        let others: u64 = woken.iter().filter(|(title, _)| !title.contains("pool www")).map(|(_, sleeps)| sleeps).sum();
        // The supervisor looks after its pools now and then.
        ensure!(others <= REQUESTS / 10, "{listen:?}, kept {keep}: {woken:?}");
        // A new connection may come before its request, for which the worker waits once more.
        let most = if keep { REQUESTS + REQUESTS / 10 } else { 2 * REQUESTS + REQUESTS / 10 };
        let all: u64 = workers().map(|(_, sleeps)| sleeps).sum();
        ensure!(all <= most, "{listen:?}, kept {keep}: {woken:?}");
        server.stop()?;
    }
    Ok(())
}

/// Sleeps of the whole tree per request while more clients than workers send over new TCP connections.
#[test]
fn sleeps_of_many_clients_over_tcp() -> Outcome {
    const MANY: u64 = 4000;
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::alone()?;
    let server = Server::start(&target, &Setup::new(4).listen(Listen::Tcp).pool("listen.backlog = 4096"))?;
    let hello = Request::get(&server.sandbox.page("hello.php"));
    let load =
        |requests| Plan::clients(16).requests(requests).start(|_| asker(&server.address, &hello, "hello", ms(20_000)));
    load(400).finish().expect_no_failure()?;
    let before = Usage::of_tree(server.supervisor);
    load(MANY).finish().expect_no_failure()?;
    let used = Usage::of_tree(server.supervisor).since(before);
    let each = used.sleeps as f64 / MANY as f64;
    ensure!(each <= 1.1, "{each:.2} sleeps per request");
    server.stop()
}

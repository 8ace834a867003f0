//! Memory of requests that a worker returns when it has nothing to do.
#![forbid(unsafe_code)]

use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Client, Request};
use testkit::process::Process;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

/// Uses some chunks of PHP's allocator, and a large part of the worker's buffer.
const USES: &str = "<?php $all = []; for ($i = 0; $i < 200000; $i++) { $all[] = \"text number $i of many\"; }
    echo count($all), ' ', strlen($_SERVER['LONG']), ' ', getmypid();";

/// A worker that has served a large request needs no more memory a second later than after a small one, and serves the next ones
/// like the first, on the connection that it has kept and on a new one.
#[test]
fn an_idle_worker_returns_the_memory_of_its_requests() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1))?;
    server.sandbox.put("www/uses.php", USES)?;
    let mut client = Client::connect(&server.address, ms(10_000))?;
    ensure!(client.ask(&server.hello().keep())?.body() == "hello", "a small request");
    let worker = server.workers().into_iter().next().ok_or("no worker")?;
    let small = worker.anonymous_kb();
    let large = Request::get(&server.sandbox.page("uses.php")).param("LONG", &"x".repeat(50_000));
    let expected = format!("200000 50000 {}", worker.pid);
    for _ in 0..2 {
        for _ in 0..3 {
            ensure!(client.ask(&large.clone().keep())?.body() == expected, "the same worker serves");
        }
        ensure!(worker.anonymous_kb() > small + 2 * 1024, "it keeps memory for the next request at first");
        wait_until("the return of the memory", ms(5_000), || worker.anonymous_kb() < small + 512)?;
    }
    let mut other = Client::connect(&server.address, ms(10_000))?;
    drop(client);
    ensure!(other.ask(&large.keep())?.body() == expected, "a new connection");
    server.stop()
}

/// The time at which a worker returns memory does not end its wait for a connection that has sent nothing yet.
#[test]
fn a_new_connection_outlives_the_return_of_memory() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1))?;
    server.says_hello(&server.address)?;
    let mut client = Client::connect(&server.address, ms(10_000))?;
    // More than the second until then, less than the five seconds after which a silent connection is closed.
    std::thread::sleep(ms(1_500));
    ensure!(client.ask(&server.hello())?.body() == "hello", "the first request of the connection");
    server.stop()
}

/// A zygote and its supervisor have no pages of programs and libraries mapped that only their start needed: fewer than a worker that
/// has served a request.
#[test]
fn a_zygote_unmaps_what_only_its_start_needed() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1))?;
    server.says_hello(&server.address)?;
    let mapped = |process: Process| process.status_number("RssFile");
    let worker = mapped(server.workers().into_iter().next().ok_or("no worker")?);
    let zygote = mapped(server.zygotes().into_iter().next().ok_or("no zygote")?);
    ensure!(zygote < worker * 3 / 4, "zygote: {zygote} kB, worker: {worker} kB");
    // Much less than the second for which a worker keeps memory.
    wait_until("a small supervisor", ms(700), || mapped(server.supervisor) < worker * 3 / 4)?;
    server.stop()
}

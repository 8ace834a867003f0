//! Resources that clients and scripts can use up are limited.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::Signal;
use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::{Client, Request, ask_once};
use testkit::inside::packet_sockets;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

/// With `cgi.fix_pathinfo = 0` no check tells whether a directory exists: each name is another one whose .user.ini is
/// remembered.
#[test]
fn directories_that_clients_make_up() -> Outcome {
    const NAMES: usize = 6_000;
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1).ini("cgi.fix_pathinfo = 0"))?;
    let root = server.sandbox.file("www");
    // 3,900 bytes.
    let deep = format!("/{}", "d".repeat(240)).repeat(16);
    let mut client = Client::connect(&server.address, ms(10_000))?;
    let mut ask = |name: usize| {
        let page = root.join(format!("{name}{deep}/page.php"));
        client.ask(&Request::get(&page).param("DOCUMENT_ROOT", &root.to_string_lossy()).keep())
    };
    for name in 0..200 {
        ensure!(ask(name)?.body() == "No input file specified.\n", "a page that isn't there");
    }
    let worker = server.workers().into_iter().next().ok_or("no worker")?;
    let before = worker.anonymous_kb();
    for name in 200..NAMES {
        ask(name)?;
    }
    let grown = worker.anonymous_kb().saturating_sub(before);
    // The worker remembers a thousand of them, 4 MB; all would be 23.
    ensure!(grown < 10_000, "{NAMES} directories: {grown} kB");
    server.stop()
}

/// A process that a script has forked may hold the channel of the dead worker to the zygote, and write to it without
/// end.
#[test]
fn the_word_of_a_dead_worker() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else {
        return Ok(());
    };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1))?;
    let zygote = server.zygotes().into_iter().next().ok_or("no zygote")?;
    let worker = server.workers().into_iter().next().ok_or("no worker")?;
    let over = AtomicBool::new(false);
    let answered = std::thread::scope(|scope| {
        let mut ways = Vec::new();
        for _ in 0..6 {
            ways.push(packet_sockets(worker, zygote)?);
        }
        ensure!(ways.iter().all(|ways| !ways.is_empty()), "the worker has no way to its zygote");
        for ways in ways {
            scope.spawn(|| {
                let ways = ways;
                while !over.load(Ordering::Relaxed) {
                    ways.iter().for_each(|way| _ = way.say(br#""Accepting""#));
                }
            });
        }
        worker.signal(Signal::SIGKILL);
        let hello = Request::get(&server.sandbox.page("hello.php"));
        let served = || ask_once(&server.address, &hello, ms(1_000)).is_ok();
        let served = wait_until("another worker that serves", ms(8_000), served);
        over.store(true, Ordering::Relaxed);
        served
    });
    let after = answered?;
    ensure!(after < bar(ms(2_000)), "another worker serves only after {after:?}");
    server.stop()
}

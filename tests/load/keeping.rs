//! Workers that keep several connections: none of these waits for a long request, or is lost with a worker.
#![forbid(unsafe_code)]

use std::time::Instant;

use nix::sys::signal::Signal;
use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Client, Request};
use testkit::load::{Plan, asker};
use testkit::process::Process;
use testkit::server::Server;
use testkit::setup::{Listen, Setup};
use testkit::target::Target;
use testkit::{Outcome, ensure, say, turn};

fn hello(server: &Server) -> Request {
    Request::get(&server.sandbox.page("hello.php")).keep()
}

fn slow(server: &Server, how: &str) -> Request {
    Request::get(&server.sandbox.page("slow.php")).keep().param("QUERY_STRING", how)
}

/// Clients with connections that workers keep: all have asked, one after the other, several times.
fn keepers(server: &Server, count: usize) -> Outcome<Vec<Client>> {
    let clients: Outcome<Vec<Client>> = (0..count).map(|_| Client::connect(&server.address, ms(5000))).collect();
    let mut clients = clients?;
    for _ in 0..3 {
        ask_all(server, &mut clients)?;
    }
    Ok(clients)
}

fn ask_all(server: &Server, clients: &mut [Client]) -> Outcome {
    for client in clients {
        let body = client.ask(&hello(server))?.body();
        ensure!(body == "hello", "{body}");
    }
    Ok(())
}

/// While one of two workers is inside a request, the other answers all other clients, whichever worker has kept their connections.
fn others_are_answered(listen: Listen, how: &str) -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let turn = turn::alone()?;
    let server = Server::start(&target, &Setup::new(2).listen(listen))?;
    let mut clients = keepers(&server, 12)?;
    for turn_of in 0..4 {
        let (busy, others) = clients.split_at_mut(1);
        busy[0].send(&slow(&server, how).encode(1))?;
        let began = Instant::now();
        let mut worst = ms(0);
        while began.elapsed() < ms(800) {
            for client in &mut *others {
                let asked = Instant::now();
                ensure!(client.ask(&hello(&server))?.body() == "hello", "no answer");
                worst = worst.max(asked.elapsed());
            }
        }
        say(&format!("keeping::others_are_answered, {how}: worst {worst:.1?}"));
        turn.expect_within("the longest wait", worst, ms(100))?;
        ensure!(busy[0].answer()?.body() == "whole", "round {turn_of}: the long request was cut short");
        clients.rotate_left(5);
    }
    ask_all(&server, &mut clients)?;
    server.stop()
}

#[test]
fn a_long_request_delays_no_other_unix() -> Outcome {
    others_are_answered(Listen::Unix, "how=nap&seconds=1")
}

#[test]
fn a_long_request_delays_no_other_tcp() -> Outcome {
    others_are_answered(Listen::Tcp, "how=nap&seconds=1")
}

/// The connection of the script itself is free as well.
#[test]
fn a_script_that_goes_on_after_its_answer_delays_no_client() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let turn = turn::alone()?;
    let server = Server::start(&target, &Setup::new(2))?;
    let mut clients = keepers(&server, 8)?;
    let body = clients[0].ask(&slow(&server, "how=finished&seconds=1"))?.body();
    ensure!(body == "whole", "{body}");
    let asked = Instant::now();
    ask_all(&server, &mut clients)?;
    turn.expect_within("all answers", asked.elapsed(), ms(200))?;
    server.stop()
}

/// Workers whose kept connections always have the next request serve new connections as well.
#[test]
fn clients_that_never_pause_keep_no_newcomer_waiting() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let turn = turn::alone()?;
    let server = Server::start(&target, &Setup::new(2))?;
    let mut clients = keepers(&server, 16)?;
    let request = hello(&server);
    let hot = Plan::clients(16).start(|_| {
        let (client, request) = (clients.pop(), request.clone());
        let mut client = client;
        Box::new(move || {
            let client = client.as_mut().ok_or("no client")?;
            ensure!(client.ask(&request)?.body() == "hello", "no answer");
            Ok(())
        })
    });
    let plain = Request::get(&server.sandbox.page("hello.php"));
    let newcomers = Plan::clients(2).pause(ms(2)).requests(400);
    let newcomers = newcomers.start(|_| asker(&server.address, &plain, "hello", ms(5000))).finish();
    let hot = hot.stop();
    say(&format!("newcomers: {}; hot: {}", newcomers.summary(), hot.summary()));
    hot.expect_no_failure()?;
    newcomers.expect_no_failure()?;
    turn.expect_within("the longest wait of a newcomer", newcomers.worst(), ms(250))?;
    server.stop()
}

/// A worker that is killed while it waits takes at most the connection of its last request with it.
#[test]
fn connections_outlive_their_worker() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1))?;
    let mut clients = keepers(&server, 6)?;
    let worker = server.workers()[0];
    worker.signal(Signal::SIGKILL);
    wait_until("another worker", ms(5000), || server.workers().iter().any(|other| *other != worker))?;
    let last = clients.pop();
    ask_all(&server, &mut clients)?;
    drop(last);
    server.stop()
}

/// Clients that leave free their connections, here and in the zygote.
#[test]
fn connections_of_clients_that_left_are_closed() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1))?;
    drop(keepers(&server, 2)?);
    let worker = server.workers()[0];
    let zygote = Process::find(worker.parent()).ok_or("no zygote")?;
    let open = || (worker.fds().len(), zygote.fds().len());
    let before = open();
    for _ in 0..5 {
        drop(keepers(&server, 80)?);
    }
    // A worker notices a closed connection at its next event.
    wait_until("as many open files in worker and zygote as before", ms(5000), || open() == before)?;
    server.stop()
}

//! Workers that leave after ten requests, kept connections from the web server, POSTs without a pause: no request is
//! lost.
#![forbid(unsafe_code)]

use testkit::clock::ms;
use testkit::http::Client;
use testkit::load::{Job, Plan};
use testkit::nginx::{Nginx, Upstream};
use testkit::server::Server;
use testkit::setup::{Listen, Setup};
use testkit::target::{Target, full};
use testkit::{Outcome, apache::Apache, ensure, say, turn};

/// To close a kept connection after an answer loses 0.16 to 0.47 % of retirements: three or more of 2,000.
const REQUESTS: u64 = 20_000;
const ALL_REQUESTS: u64 = 200_000;

#[test]
fn nginx_unix() -> Outcome {
    behind_nginx(Listen::Unix)
}

#[test]
fn nginx_tcp() -> Outcome {
    behind_nginx(Listen::Tcp)
}

#[test]
fn apache_unix() -> Outcome {
    behind_apache(Listen::Unix)
}

#[test]
fn apache_tcp() -> Outcome {
    behind_apache(Listen::Tcp)
}

fn behind_nginx(listen: Listen) -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::alone()?;
    let server = start(&target, listen)?;
    let nginx = Nginx::start(&server.sandbox, &server.address, Upstream::Kept(8))?;
    post_all(server, || nginx.client(ms(10_000))).map_err(|error| format!("{error}; {}", nginx.errors()).into())
}

fn behind_apache(listen: Listen) -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::alone()?;
    let server = start(&target, listen)?;
    let apache = Apache::start(&server.sandbox, &server.address)?;
    post_all(server, || apache.client(ms(10_000))).map_err(|error| format!("{error}; {}", apache.errors()).into())
}

fn start(target: &Target, listen: Listen) -> Outcome<Server> {
    Server::start(target, &Setup::new(4).listen(listen).pool("pm.max_requests = 10"))
}

fn post_all(server: Server, client: impl Fn() -> Client) -> Outcome {
    let first = server.workers();
    let requests = if full() { ALL_REQUESTS } else { REQUESTS };
    let load = Plan::clients(16).requests(requests).start(|_| poster(client()));
    let tally = load.finish();
    say(&tally.summary());
    tally.expect_no_failure()?;
    ensure!(first.iter().all(|worker| !worker.lives()), "a worker of the start still lives: no worker retires");
    server.await_workers(4, ms(5000))?;
    server.stop()
}

fn poster(mut web: Client) -> Job {
    let mut count = 0_u32;
    Box::new(move || {
        count += 1;
        let body = format!("n={count}");
        let text = web.post("/form.php", body.as_bytes())?.expect(200)?.text();
        ensure!(text == format!(r#"{{"n":"{count}"}}"#), "another's answer: {text}");
        Ok(())
    })
}

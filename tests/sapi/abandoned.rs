//! `request_drop_abandoned`: requests whose clients have closed while they waited for a worker.
#![forbid(unsafe_code)]

use std::fs;

use serde_json::Value;
use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::{Client, Request, ask_once};
use testkit::log::Log;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::{Listen, Setup};
use testkit::stream::Address;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

const LEAVES_A_NOTE: &str = "<?php file_put_contents('OUT/ran', $_GET['who'] . ' ', FILE_APPEND); echo 'done';";

/// How long the only worker is busy.
const BUSY: &str = "ms=700";

fn start(target: &Target, listen: Listen, directive: Option<&str>) -> Outcome<Server> {
    let sandbox = Sandbox::new()?;
    let log = format!("access.log = {}", sandbox.file("access.log").display());
    let status = format!("pm.status_listen = {}", sandbox.file("status.sock").display());
    let setup = Setup::new(1).listen(listen).pool(&log).pool("access.format = '%s %r?%q'");
    let setup = setup.pool("pm.status_path = /status").pool(&status);
    let setup = directive.into_iter().fold(setup, |setup, line| setup.pool(line));
    let server = Server::start_in(sandbox, target, &setup)?;
    let out = server.sandbox.file("out").display().to_string();
    server.sandbox.put("www/note.php", &LEAVES_A_NOTE.replace("OUT", &out))?;
    Ok(server)
}

fn note(server: &Server, who: &str) -> Request {
    Request::get(&server.sandbox.page("note.php")).param("QUERY_STRING", &format!("who={who}"))
}

fn connect(server: &Server) -> Outcome<Client> {
    Client::connect(&server.address, ms(20_000))
}

/// The results of clients that wait while a request keeps the worker busy: clients that have closed, one that has
/// ended its sending side, one that waits, and one that closes a kept connection. In alphabetical order.
fn served(server: &Server) -> Outcome<String> {
    let mut kept = connect(server)?;
    ensure!(kept.ask(&Request::get(&server.sandbox.page("hello.php")).keep())?.body() == "hello", "not served");
    let mut busy = connect(server)?;
    busy.send(&Request::get(&server.sandbox.page("work.php")).param("QUERY_STRING", BUSY).encode(1))?;
    let at = Address::Unix(server.sandbox.file("status.sock"));
    wait_until("the worker is busy", ms(10_000), || {
        status(&at, "json")
            .ok()
            .and_then(|text| serde_json::from_str::<Value>(&text).ok())
            .is_some_and(|s| s["active processes"] == 1)
    })?;
    for number in 0..4 {
        connect(server)?.send(&note(server, &format!("gone{number}")).encode(1))?;
    }
    let mut half = connect(server)?;
    half.send(&note(server, "half").encode(1))?;
    half.end_sending()?;
    let mut posts = connect(server)?;
    let body = vec![b'x'; 60_000];
    posts.send(
        &Request { body, ..note(server, "posts").param("REQUEST_METHOD", "POST").param("CONTENT_LENGTH", "60000") }
            .encode(1),
    )?;
    drop(posts);
    kept.send(&note(server, "kept").keep().encode(1))?;
    drop(kept);
    let waits = connect(server)?.ask(&note(server, "waits"))?;
    ensure!(waits.body() == "done", "{}", waits.body());
    ensure!(busy.answer()?.body() == "done", "the busy one");
    // Two more requests in sequence: the worker has then looked at all that waited.
    for who in ["x", "y"] {
        connect(server)?.ask(&note(server, who))?;
    }
    let text = fs::read_to_string(server.sandbox.file("out/ran"))?;
    let mut who: Vec<&str> = text.split(' ').filter(|who| !who.is_empty()).collect();
    who.sort_unstable();
    Ok(who.join(" "))
}

fn status(at: &Address, query: &str) -> Outcome<String> {
    ask_once(at, &Request::of_pool("/status", query), ms(10_000))
}

#[test]
fn they_are_dropped_where_that_is_wanted() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    for listen in [Listen::Unix, Listen::Tcp] {
        let server = start(&target, listen, Some("request_drop_abandoned = yes"))?;
        // On TCP such a client cannot be told from one that still reads.
        let (wanted, dropped) = if listen == Listen::Unix { ("half waits x y", 6) } else { ("waits x y", 7) };
        let ran = served(&server)?;
        ensure!(ran == wanted, "{listen:?}: {ran}");
        let access = Log::new(&server.sandbox.file("access.log"));
        ensure!(access.count("499 /note.php?who=") == dropped, "{listen:?}: {}", access.text());
        ensure!(access.count("499 /note.php?who=kept") == 1, "{listen:?}: {}", access.text());
        let at = Address::Unix(server.sandbox.file("status.sock"));
        let shown = [
            ("", format!("abandoned requests:   {dropped}\n")),
            ("html", format!("<tr><th>abandoned requests</th><td>{dropped}</td></tr>")),
            ("xml", format!("<abandoned-requests>{dropped}</abandoned-requests>")),
            ("json", format!("\"abandoned requests\":{dropped}")),
            ("openmetrics", format!("\nphpfpm_abandoned_requests {dropped}\n")),
        ];
        for (query, wanted) in shown {
            let page = status(&at, query)?;
            ensure!(page.contains(&wanted), "{listen:?}, {query}: {page}");
        }
        server.reload()?;
        wait_until("the count outlives a reload", bar(ms(5000)), || {
            status(&at, "json").is_ok_and(|text| text.contains(&format!("\"abandoned requests\":{dropped}")))
        })?;
        server.stop()?;
    }
    Ok(())
}

/// By default, and as under php-fpm.
#[test]
fn they_run_otherwise() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let lines: &[Option<&str>] = if target.is_ours() { &[None, Some("request_drop_abandoned = no")] } else { &[None] };
    for line in lines {
        let server = start(&target, Listen::Unix, *line)?;
        let ran = served(&server)?;
        ensure!(ran == "gone0 gone1 gone2 gone3 half kept posts waits x y", "{line:?}: {ran}");
        let at = Address::Unix(server.sandbox.file("status.sock"));
        ensure!(!status(&at, "")?.contains("abandoned"), "{line:?}: {}", status(&at, "")?);
        server.stop()?;
    }
    Ok(())
}

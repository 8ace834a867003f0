//! The status page and ping, compared with php-fpm's of the same build, and their counters.
#![forbid(unsafe_code)]

use nix::sys::signal::Signal;
use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Answer, Client, Request, ask_once};
use testkit::server::Server;
use testkit::setup::{Listen, Setup};
use testkit::stream::Address;
use testkit::target::{Door, Target};
use testkit::{Outcome, ensure, turn};

const QUERIES: [&str; 13] = [
    "",
    "full",
    "html",
    "html&full",
    "xml",
    "xml&full",
    "json",
    "full&json=1",
    "openmetrics",
    "openmetrics&full",
    "jsonp&nothing",
    "js%6Fn&+full",
    "json&f%75ll[]=1",
];

fn ask(to: &Address, request: &Request) -> Outcome<Answer> {
    Client::connect(to, ms(10_000))?.ask(request)
}

fn json(to: &Address) -> Outcome<serde_json::Value> {
    Ok(serde_json::from_str(&ask(to, &Request::of_pool("/status", "json&full"))?.body())?)
}

fn setup(listen: Listen) -> Setup {
    Setup::new(2).listen(listen).pool("pm.status_path = /status").pool("ping.path = /ping").pool("ping.response = here")
}

/// Metrics about groups.
const GROUPS: &str = "phpfpm_group_";

fn tells_groups(answer: &Answer) -> bool {
    String::from_utf8_lossy(&answer.stdout).contains(GROUPS)
}

/// Times, pids, memory and queue lengths differ between servers, and so do the directories. Without the lines about groups.
fn masked(answer: &Answer, server: &Server) -> String {
    let directory = server.sandbox.path().to_string_lossy().into_owned();
    let text = String::from_utf8_lossy(&answer.stdout).replace(&directory, "DIR");
    let text: String = text.split_inclusive('\n').filter(|line| !line.contains(GROUPS)).collect();
    let mut out = String::new();
    let mut number = false;
    for c in text.chars() {
        if c.is_ascii_digit() {
            if !number {
                out.push('N');
            }
            number = true;
        } else {
            // A date has the same form on both sides, and so has the sign of a zone.
            number = false;
            out.push(c);
        }
    }
    out
}

#[test]
fn the_pages_are_php_fpms() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    // One worker: with several, either could answer.
    let setup = Setup { workers: 1, ..setup(Listen::Tcp) };
    let ours = Server::start(&target, &setup)?;
    let stock = Server::start(&Target { door: Door::PhpFpm, ..target }, &setup)?;
    for method in ["GET", "HEAD"] {
        for path in ["/ping", "/status"] {
            for query in QUERIES {
                let request = Request::of_pool(path, query).param("REQUEST_METHOD", method);
                let answers = [ask(&ours.address, &request)?, ask(&stock.address, &request)?];
                // php-fpm has no groups.
                let metrics = method == "GET" && path == "/status" && query.starts_with("openmetrics");
                ensure!(answers.each_ref().map(tells_groups) == [metrics, false], "{method} {path}?{query}: groups");
                let (mut ours, mut stock) = (masked(&answers[0], &ours), masked(&answers[1], &stock));
                if method == "HEAD" && path == "/status" {
                    // php-fpm always says text/html here; ours says the same as for GET.
                    (ours, stock) = (without_type(&ours), without_type(&stock));
                }
                ensure!(ours == stock, "{method} {path}?{query}:\n{ours}\nphp-fpm:\n{stock}");
            }
        }
    }
    ours.stop()?;
    stock.stop()
}

fn without_type(text: &str) -> String {
    text.lines().filter(|line| !line.to_ascii_lowercase().starts_with("content-type:")).collect()
}

#[test]
fn rows_tell_what_workers_do() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = apart(&target, Listen::Unix)?;
    let at = Address::Unix(server.sandbox.file("status.sock"));
    let slow = Request::post(&server.sandbox.page("work.php"), b"abc")
        .param("QUERY_STRING", "ms=1500&x=<b>\"")
        .param("HTTP_AUTHORIZATION", "Basic YSI8Yjo6eA==");
    let mut busy = Client::connect(&server.address, ms(10_000))?;
    busy.send(&slow.encode(1))?;
    let mut seen = serde_json::Value::Null;
    wait_until("the worker shows up as running", ms(5000), || {
        seen = json(&at).unwrap_or_default();
        row(&seen, "POST").is_some_and(|row| row["state"] == "Running")
    })?;
    let running = row(&seen, "POST").ok_or("no row")?;
    let script = server.sandbox.page("work.php");
    for (name, wanted) in
        [("request uri", "/work.php?ms=1500&x=<b>\""), ("user", "a\"<b"), ("script", &script.to_string_lossy())]
    {
        ensure!(running[name] == wanted || !target.is_ours(), "{name}: {}", running[name]);
    }
    ensure!(running["content length"] == 3 && running["last request memory"] == 0, "{running}");
    ensure!(seen["active processes"] == 1 && seen["idle processes"] == 1, "{seen}");
    busy.answer()?;
    wait_until("the worker is idle again", ms(5000), || {
        seen = json(&at).unwrap_or_default();
        row(&seen, "POST").is_some_and(|row| row["state"] == "Idle")
    })?;
    let idle = row(&seen, "POST").ok_or("no row")?;
    ensure!(idle["request duration"].as_u64() >= Some(1_500_000), "{idle}");
    ensure!(idle["last request memory"].as_u64() >= Some(1 << 20), "{idle}");
    ensure!(idle["last request cpu"].as_f64() < Some(50.0), "{idle}");
    server.stop()
}

fn row<'a>(status: &'a serde_json::Value, method: &str) -> Option<&'a serde_json::Value> {
    status["processes"].as_array()?.iter().find(|row| row["request method"] == method)
}

#[test]
fn counters_outlive_reloads_and_deaths() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &setup(Listen::Unix))?;
    let pid = || ask_once(&server.address, &Request::get(&server.sandbox.page("pid.php")), ms(10_000));
    for _ in 0..5 {
        pid()?;
    }
    let before = json(&server.address)?;
    ensure!(before["accepted conn"] == 6, "{before}");
    server.reload()?;
    let after = json(&server.address)?;
    ensure!(after["accepted conn"] == 7 && after["start time"] == before["start time"], "{after}");
    ensure!(after["max active processes"].as_u64() <= Some(2), "{after}");
    // The new generation grows as the old one ends.
    server.await_workers(2, ms(5000))?;
    for _ in 0..3 {
        let worker = pid()?.trim().parse()?;
        let mut busy = Client::connect(&server.address, ms(10_000))?;
        busy.send(&Request::get(&server.sandbox.page("work.php")).param("QUERY_STRING", "ms=5000").encode(1))?;
        std::thread::sleep(ms(50));
        let _ = testkit::process::Process::find(worker).map(|worker| worker.signal(Signal::SIGKILL));
        server.await_workers(2, ms(5000))?;
    }
    wait_until("only the worker that answers is active", ms(8000), || {
        json(&server.address).is_ok_and(|s| s["active processes"] == 1 && s["total processes"] == 2)
    })?;
    ensure!(json(&server.address)?["max active processes"].as_u64() <= Some(2), "{}", json(&server.address)?);
    server.stop()
}

#[test]
fn the_queue_of_a_unix_socket_is_seen() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    for listen in [Listen::Unix, Listen::Tcp] {
        let server = apart(&target, listen)?;
        let at = Address::Unix(server.sandbox.file("status.sock"));
        let mut waiting = Vec::new();
        // Some of them are accepted before their request arrives, and are then parked.
        for _ in 0..5 {
            let mut client = Client::connect(&server.address, ms(10_000))?;
            client.send(&Request::get(&server.sandbox.page("work.php")).param("QUERY_STRING", "ms=2500").encode(1))?;
            waiting.push(client);
        }
        let mut seen = serde_json::Value::Null;
        wait_until("three connections wait", ms(5000), || {
            seen = json(&at).unwrap_or_default();
            seen["listen queue"] == 3
        })
        .map_err(|e| format!("{listen:?}: {e}: {seen}"))?;
        ensure!(seen["active processes"] == 2 && seen["total processes"] == 2, "{seen}");
        ensure!(seen["max listen queue"] == 3 && seen["listen queue len"].as_u64() > Some(3), "{seen}");
        drop(waiting);
        server.stop()?;
    }
    Ok(())
}

/// With a separate status page, which answers while all workers are busy.
fn apart(target: &Target, listen: Listen) -> Outcome<Server> {
    let sandbox = testkit::sandbox::Sandbox::new()?;
    let line = format!("pm.status_listen = {}", sandbox.file("status.sock").display());
    Server::start_in(sandbox, target, &setup(listen).pool(&line))
}

#[test]
fn a_script_gets_the_same_numbers() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &setup(Listen::Unix))?;
    server.sandbox.put("www/status.php", "<?php echo json_encode(fpm_get_status());")?;
    let request = Request::get(&server.sandbox.page("status.php")).param("REQUEST_METHOD", "POST");
    let status: serde_json::Value = serde_json::from_str(&ask_once(&server.address, &request, ms(10_000))?)?;
    ensure!(status["pool"] == "www" && status["process-manager"] == "static", "{status}");
    ensure!(status["accepted-conn"].as_u64() >= Some(1) && status["max-active-processes"] == 1, "{status}");
    let rows = status["procs"].as_array().ok_or("no rows")?;
    let mine = rows.iter().find(|row| row["request-method"] == "POST").ok_or("no row of its own")?;
    ensure!(mine["state"] == "Running" && mine["query-string"] == "a=1&b=two", "{mine}");
    ensure!(mine["request-uri"] == "/status.php" && mine["user"] == "-" && mine["request-length"] == 0, "{mine}");
    server.stop()
}

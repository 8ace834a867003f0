//! `fastcgi_finish_request()`: what a script can still do after its answer, compared with php-fpm; which worker gets
//! its connection.
#![forbid(unsafe_code)]

use std::fs;
use std::time::Instant;

use serde_json::{Value, json};
use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::{Client, Request};
use testkit::nginx::{Nginx, Upstream};
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

/// Reports its state after the answer. The report is complete when the file exists.
const REPORTS: &str = r"<?php
$report = ['order' => []];
session_start();
$_SESSION['count'] = ($_SESSION['count'] ?? 0) + 1;
set_time_limit(77);
register_shutdown_function(function () use (&$report) {
    $report['order'][] = 'shutdown function';
    file_put_contents('OUT/new', json_encode($report));
    rename('OUT/new', 'OUT/' . $_GET['name']);
});
header('X-Before: 1');
ob_start();
echo 'count ', $_SESSION['count'];
$report['first'] = fastcgi_finish_request();
$report['buffers'] = ob_get_level();
$report['order'][] = 'after the call';
echo 'lost';
error_clear_last();
header('X-After: 1');
$report['header'] = strstr(error_get_last()['message'] ?? '', ' by (', true);
error_clear_last();
$report['ob_flush'] = [ob_flush(), error_get_last()['message'] ?? null];
if ($_GET['flush']) flush();
ob_start();
echo 'lost, too';
ob_end_flush();
$report['second'] = fastcgi_finish_request();
$report['connection'] = connection_status();
$report['session'] = session_status() === PHP_SESSION_ACTIVE;
$report['directory'] = getcwd() === __DIR__;
$report['limit'] = ini_get('max_execution_time');
$report['order'][] = 'end of the script';
";

/// Ends its answer, then waits until the named file exists.
const WAITS: &str = r"<?php
echo getmypid();
fastcgi_finish_request();
for ($i = 0; $i < 3000 && !file_exists('OUT/' . $_GET['name']); $i++) { usleep(10000); clearstatcache(); }
";

fn put(server: &Server, page: &str, text: &str) -> Outcome {
    let out = server.sandbox.file("out").display().to_string();
    server.sandbox.put(&format!("www/{page}"), &text.replace("OUT", &out))
}

/// Two requests in one session through nginx; returns the report of the second.
fn reported(target: &Target, upstream: Upstream, flush: u8) -> Outcome<Value> {
    let server = Server::start(target, &Setup::new(1))?;
    put(&server, "reports.php", REPORTS)?;
    let nginx = Nginx::start(&server.sandbox, &server.address, upstream)?;
    let mut web = nginx.client(ms(20_000));
    let mut report = Value::Null;
    for count in 1..=2 {
        let page = format!("/reports.php?flush={flush}&name={count}");
        let reply = web.send("GET", &page, "Cookie: PHPSESSID=abcdefghij\r\n", b"")?.expect(200)?;
        ensure!(reply.text() == format!("count {count}"), "{}", reply.text());
        ensure!(reply.header("x-before") == Some("1") && reply.header("x-after").is_none(), "{:?}", reply.headers);
        let file = server.sandbox.file(&format!("out/{count}"));
        wait_until("the report", bar(ms(5000)), || file.exists())?;
        report = serde_json::from_slice(&fs::read(file)?)?;
    }
    server.stop()?;
    Ok(report)
}

fn wanted() -> Value {
    json!({
        "order": ["after the call", "end of the script", "shutdown function"],
        "first": true,
        "buffers": 0,
        "header": "Cannot modify header information - headers already sent",
        "ob_flush": [false, "ob_flush(): Failed to flush buffer. No buffer to flush"],
        "second": false,
        "connection": 0,
        "session": true,
        "directory": true,
        "limit": "77",
    })
}

#[test]
fn the_script_goes_on_as_under_php_fpm() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let theirs = reported(&target.partner(), Upstream::PerRequest, 0)?;
    ensure!(theirs == wanted(), "php-fpm: {theirs}");
    for upstream in [Upstream::PerRequest, Upstream::Kept(1)] {
        let ours = reported(&target, upstream, 0)?;
        ensure!(ours == wanted(), "{upstream:?}: {ours}");
    }
    Ok(())
}

/// Both differ from php-fpm intentionally (docs/differences.md).
#[test]
fn neither_a_flush_nor_a_kept_connection_makes_a_difference() -> Outcome {
    let Some(target) = Target::find_ours() else {
        return Ok(());
    };
    let _turn = turn::shared()?;
    for upstream in [Upstream::PerRequest, Upstream::Kept(1)] {
        let ours = reported(&target, upstream, 1)?;
        ensure!(ours == wanted(), "{upstream:?}: {ours}");
    }
    let theirs = reported(&target.partner(), Upstream::PerRequest, 1)?;
    let order = json!(["after the call", "shutdown function"]);
    ensure!(theirs["order"] == order, "php-fpm's script survives flush() now: {theirs}");
    let theirs = reported(&target.partner(), Upstream::Kept(1), 0)?;
    ensure!(theirs["second"] == true, "php-fpm ends an answer once only now: {theirs}");
    Ok(())
}

/// The next request on a kept connection does not wait for the script that has answered on it.
#[test]
fn a_kept_connection_is_free_for_other_workers() -> Outcome {
    let Some(target) = Target::find_ours() else {
        return Ok(());
    };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(3))?;
    put(&server, "waits.php", WAITS)?;
    let request = |name: &str| {
        let page = Request::get(&server.sandbox.page("waits.php"));
        page.param("QUERY_STRING", &format!("name={name}")).keep()
    };
    let mut client = Client::connect(&server.address, ms(20_000))?;
    let mut pids = Vec::new();
    // Twice in a row: the second worker hands the connection over, too.
    for name in ["end", "end"] {
        pids.push(client.ask(&request(name))?.body());
    }
    pids.push(client.ask(&Request::get(&server.sandbox.page("pid.php")).keep())?.body());
    let mut others = pids.clone();
    others.sort();
    others.dedup();
    ensure!(others.len() == 3, "three requests on one connection at once were served by {pids:?}");
    // nginx has one connection to the pool, and one worker is idle.
    let nginx = Nginx::start(&server.sandbox, &server.address, Upstream::Kept(1))?;
    let pid = nginx.client(ms(10_000)).get("/pid.php")?.expect(200)?.text();
    ensure!(Some(&pid) == pids.last(), "{pid} isn't the worker that is left of {pids:?}");
    fs::write(server.sandbox.file("out/end"), "")?;
    // The workers are idle again, and the connection continues to serve.
    for _ in 0..20 {
        let pid = client.ask(&Request::get(&server.sandbox.page("pid.php")).keep())?.body();
        ensure!(pids.contains(&pid), "a new worker {pid}");
    }
    server.stop()
}

/// Without another worker the request waits, and is then served.
#[test]
fn where_no_worker_is_idle_the_next_request_waits() -> Outcome {
    let Some(target) = Target::find_ours() else {
        return Ok(());
    };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1))?;
    put(&server, "waits.php", WAITS)?;
    let mut client = Client::connect(&server.address, ms(20_000))?;
    for round in 0..20 {
        let name = format!("name=end{round}");
        let first = Request::get(&server.sandbox.page("waits.php")).param("QUERY_STRING", &name).keep();
        let pid = client.ask(&first)?.body();
        client.send(&Request::get(&server.sandbox.page("pid.php")).keep().encode(2))?;
        fs::write(server.sandbox.file(&format!("out/end{round}")), "")?;
        let second = client.answer()?;
        ensure!(second.id == 2 && second.body() == pid, "{} in place of {pid}", second.body());
    }
    server.stop()
}

#[test]
fn the_status_page_says_finishing() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    for (target, keep) in [(target.partner(), false), (target.clone(), false), (target, true)] {
        let server = Server::start(&target, &Setup::new(2).pool("pm.status_path = /status"))?;
        put(&server, "waits.php", WAITS)?;
        let mut page = Request::get(&server.sandbox.page("waits.php")).param("QUERY_STRING", "name=end");
        page.keep = keep;
        let mut client = Client::connect(&server.address, ms(20_000))?;
        let pid = client.ask(&page)?.body();
        // php-fpm's worker continues when the web server has closed the connection.
        let _client = Some(client).filter(|_| keep);
        let status = Request::get(&server.sandbox.page("pid.php"))
            .param("SCRIPT_NAME", "/status")
            .param("QUERY_STRING", "full&json");
        let state = || -> Outcome<Value> {
            let body = Client::connect(&server.address, ms(10_000))?.ask(&status)?.body();
            let status: Value = serde_json::from_str(&body)?;
            let workers = status["processes"].as_array().cloned().unwrap_or_default();
            let worker = workers.iter().find(|worker| worker["pid"].as_u64() == pid.parse().ok());
            Ok(worker.map_or(Value::Null, |worker| worker["state"].clone()))
        };
        // php-fpm logs it a moment after the answer.
        let mut seen = state()?;
        let start = Instant::now();
        while !target.is_ours() && seen != "Finishing" && start.elapsed() < bar(ms(2000)) {
            seen = state()?;
        }
        ensure!(seen == "Finishing", "{:?}, keep {keep}: the worker is {seen}", target.door);
        fs::write(server.sandbox.file("out/end"), "")?;
        let mut seen = Value::Null;
        wait_until("an idle worker", bar(ms(5000)), || {
            seen = state().unwrap_or_default();
            seen == "Idle" || seen == "Running"
        })?;
        server.stop()?;
    }
    Ok(())
}

/// `max_execution_time` continues to count; the fatal error ends the script, not the worker.
#[test]
fn the_time_limit_stays() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1).pool("catch_workers_output = yes"))?;
    server.sandbox.put(
        "www/loops.php",
        "<?php set_time_limit(1); register_shutdown_function(fn () => error_log('the end'));
        echo getmypid(); fastcgi_finish_request(); while (true);",
    )?;
    let mark = server.log.mark();
    let pid = Client::connect(&server.address, ms(10_000))?.ask(&Request::get(&server.sandbox.page("loops.php")))?;
    server.log.wait_for(mark, &["Maximum execution time of 1 second exceeded", "the end"], bar(ms(10_000)))?;
    let next = Client::connect(&server.address, ms(10_000))?.ask(&Request::get(&server.sandbox.page("pid.php")))?;
    ensure!(next.body() == pid.body(), "worker {} has become {}", pid.body(), next.body());
    server.stop()
}

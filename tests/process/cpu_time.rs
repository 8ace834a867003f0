//! CPU times in the access log, as text and as JSON, and on the status page: each request has its own.
#![forbid(unsafe_code)]

use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Request, ask_once};
use testkit::log::Log;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stream::Address;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

/// Uses the processor for that long: during the script, in a shutdown function after its end, in a destructor, or in
/// a child that the script waits for.
const BURNS: &str = r#"<?php
function burn(int $ms): void {
    $used = fn() => array_sum(array_map(fn($name) => getrusage()[$name], ['ru_utime.tv_usec', 'ru_stime.tv_usec']))
        + 1e6 * array_sum(array_map(fn($name) => getrusage()[$name], ['ru_utime.tv_sec', 'ru_stime.tv_sec']));
    $end = $used() + 1000 * $ms;
    while ($used() < $end) { for ($i = 0, $x = 1; $i < 20000; $i++) { $x = ($x * 31 + $i) % 65537; } }
}
class Burner { function __destruct() { burn(150); } }
const CHILD = ['sh', '-c', 'i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done'];
switch ($_GET['where']) {
    case 'script': burn(150); break;
    case 'shutdown': register_shutdown_function(fn() => burn(150)); break;
    case 'destructor': $burner = new Burner; break;
    case 'child': proc_close(proc_open(CHILD, [], $pipes)); break;
    case 'late child': register_shutdown_function(fn() => proc_close(proc_open(CHILD, [], $pipes))); break;
}
echo 'done';
"#;

/// After each of these comes a page that does nothing.
const BEFORE: [&str; 5] = ["script", "shutdown", "destructor", "child", "late child"];

/// One worker that logs its requests in `access.log`, and a separate status page.
fn start(target: &Target, format: &str) -> Outcome<Server> {
    let sandbox = Sandbox::new()?;
    let log = format!("access.log = {}", sandbox.file("access.log").display());
    let status = format!("pm.status_listen = {}", sandbox.file("status.sock").display());
    let setup = Setup::new(1).pool(&log).pool(&format!("access.format = '{format}'"));
    let server = Server::start_in(sandbox, target, &setup.pool("pm.status_path = /status").pool(&status))?;
    server.sandbox.put("www/burns.php", BURNS)?;
    Ok(server)
}

/// Per cent, and microseconds of them.
type Share = (f64, f64);

/// The CPU time on the status page once the worker is idle after that script.
fn shown(server: &Server, script: &str) -> Outcome<Share> {
    let at = Address::Unix(server.sandbox.file("status.sock"));
    let page = Request::of_pool("/status", "json&full");
    let mut share = None;
    wait_until("the worker is idle", ms(20_000), || {
        let status: serde_json::Value =
            ask_once(&at, &page, ms(20_000)).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let row = &status["processes"][0];
        let is_it = row["state"] == "Idle" && row["script"].as_str().is_some_and(|path| path.ends_with(script));
        share = row["last request cpu"].as_f64().zip(row["request duration"].as_f64()).filter(|_| is_it);
        share.is_some()
    })?;
    share.ok_or_else(|| "no CPU time".into())
}

/// The CPU times in the last line of the log, in either format.
fn logged(server: &Server) -> Outcome<Share> {
    let text = Log::new(&server.sandbox.file("access.log")).text();
    let line = text.lines().last().ok_or("no line")?;
    match serde_json::from_str::<serde_json::Value>(line) {
        Ok(serde_json::Value::Object(object)) => {
            let share = object["cpu"].as_f64().zip(object["duration"].as_f64()).ok_or(line)?;
            Ok((share.0, share.1 * 1_000_000.0))
        }
        _ => {
            let (cpu, micros) = line.split_once(' ').ok_or(line)?;
            Ok((cpu.parse()?, micros.parse()?))
        }
    }
}

#[test]
fn each_request_has_its_own() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::shared()?;
    // A tick is 10 ms, and any request may contain one.
    let most = if target.is_ours() { 100.0 } else { 20_000.0 };
    for format in ["%C %{micro}d", "json"].into_iter().filter(|format| target.is_ours() || *format != "json") {
        let server = start(&target, format)?;
        for place in BEFORE {
            let burns = Request::get(&server.sandbox.page("burns.php"));
            let body = ask_once(&server.address, &burns.param("QUERY_STRING", &format!("where={place}")), ms(20_000))?;
            ensure!(body == "done", "{place}: {body}");
            let own = [logged(&server)?, shown(&server, "burns.php")?];
            // Other load on the machine makes the share imprecise.
            let least = match place {
                "script" => 140_000.0,
                "child" => 10_000.0,
                _ => 0.0,
            };
            let fits = |(cpu, micros): &Share| cpu * micros / 100.0 >= least && (*cpu <= most || place == "child");
            ensure!(own.iter().all(fits), "{place}, {format}: {own:?}");
            for turn in 0..5 {
                server.says_hello(&server.address)?;
                let others = [logged(&server)?, shown(&server, "hello.php")?];
                ensure!(others.iter().all(|(cpu, _)| *cpu <= most), "hello {turn} after {place}, {format}: {others:?}");
            }
        }
        server.stop()?;
    }
    Ok(())
}

/// Checks the microseconds, the share, and the worker's real CPU time.
#[test]
fn a_busy_script_uses_all_of_its_time_and_no_more() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = start(&target, "%C %{user}C %{system}C %{micro}d")?;
    for _ in 0..3 {
        ask_once(
            &server.address,
            &Request::get(&server.sandbox.page("burns.php")).param("QUERY_STRING", "where=script"),
            ms(20_000),
        )?;
    }
    for _ in 0..200 {
        server.says_hello(&server.address)?;
    }
    for line in Log::new(&server.sandbox.file("access.log")).text().lines() {
        let numbers: Result<Vec<f64>, _> = line.split(' ').map(str::parse).collect();
        let [total, user, system, micros] = numbers?[..] else { return Err(line.into()) };
        ensure!(total <= 100.0 && (user + system - total).abs() < 0.02, "{line}");
        ensure!(micros < 140_000.0 || total * micros / 100.0 >= 149_000.0, "{line}: it has used 150 ms");
    }
    server.stop()
}

//! Requests that take too long: `request_slowlog_timeout`, `request_terminate_timeout`.
#![forbid(unsafe_code)]

use std::path::Path;
use std::thread;
use std::time::Instant;

use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Client, Request, ask_once};
use testkit::log::Log;
use testkit::nginx::{Nginx, Upstream};
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, say, turn};

fn slow(server: &Server, how: &str, seconds: u32) -> Request {
    let query = format!("how={how}&seconds={seconds}");
    Request::get(&server.sandbox.page("slow.php"))
        .param("QUERY_STRING", &query)
        .param("SCRIPT_NAME", "/slow.php")
        .param("REQUEST_URI", &format!("/slow.php?{query}"))
}

/// A server that traces requests that take longer than a second.
fn start(target: &Target, workers: u32, further: &[&str]) -> Outcome<Server> {
    let sandbox = Sandbox::new()?;
    let setup = Setup::new(workers).pool("request_slowlog_timeout = 1s");
    let setup = setup.pool(&format!("slowlog = {}", sandbox.file("slow.log").display()));
    Server::start_in(sandbox, target, &further.iter().fold(setup, |setup, line| setup.pool(line)))
}

fn slow_log(server: &Server) -> Log {
    Log::new(&server.sandbox.file("slow.log"))
}

/// Time, pid and addresses differ between runs, but their widths do not.
fn comparable(entry: &str, server: &Server) -> Vec<String> {
    let line = |line: &str| match (line.find(']'), line.split_once(" pid ")) {
        (Some(end), None) if line.starts_with("[0x") => format!("[{end} characters{}", &line[end..]),
        (Some(end), Some((head, _))) if line.starts_with('[') => format!("[{end} characters{} pid", &head[end..]),
        _ => line.to_owned(),
    };
    entry.replace(&server.sandbox.path().display().to_string(), "SANDBOX").lines().map(line).collect()
}

fn entry_of(target: &Target, how: &str, depth: u32) -> Outcome<(Vec<String>, String)> {
    let server = start(target, 1, &[&format!("request_slowlog_trace_depth = {depth}")])?;
    let body = ask_once(&server.address, &slow(&server, how, 2), ms(10_000))?;
    ensure!(body == "whole", "{how}: {body:?}");
    let log = slow_log(&server);
    wait_until("the entry", ms(5000), || log.text().ends_with('\n') && log.text().len() > 10)
        .map_err(|e| format!("{how}: {e}; {} {}", server.log.text(), log.text()))?;
    let line = server.log.text().replace(&server.sandbox.path().display().to_string(), "SANDBOX");
    let line = line.lines().find(|l| l.contains("too slow")).unwrap_or_default().to_owned();
    let entry = comparable(&log.text(), &server);
    server.stop()?;
    Ok((entry, line))
}

/// The entries equal php-fpm's, wherever the script is stopped, and the script runs to its end.
#[test]
fn entries_are_php_fpms() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let stock = target.partner();
    let runs = [("nap", 20), ("wait", 20), ("deep", 40), ("nap", 2)].map(|(how, depth)| {
        let (target, stock) = (target.clone(), stock.clone());
        thread::spawn(move || -> Outcome<()> {
            let (ours, line) = entry_of(&target, how, depth)?;
            ensure!(ours.len() > 3, "{how}: {ours:#?}");
            ensure!(ours[2].starts_with("script_filename = "), "{how}: {ours:#?}");
            ensure!(line.contains("executing too slow (1."), "{how}: {line}");
            ensure!(line.contains(&format!("/slow.php' (request: \"GET /slow.php?how={how}&seconds=2\")")), "{line}");
            if stock.program().exists() {
                let (theirs, their_line) = entry_of(&stock, how, depth)?;
                ensure!(ours == theirs, "{how}: {ours:#?}, php-fpm's {theirs:#?}");
                let text = |line: &str| {
                    line.split(", script")
                        .nth(1)
                        .unwrap_or_default()
                        .split(" (1.")
                        .next()
                        .unwrap_or_default()
                        .to_owned()
                };
                ensure!(text(&line) == text(&their_line), "{line}, php-fpm's {their_line}");
            }
            Ok(())
        })
    });
    for run in runs {
        run.join().map_err(|_| "a run panicked")??;
    }
    Ok(())
}

/// A script that computes without a pause is traced too, and so is one that runs after `fastcgi_finish_request()`.
#[test]
fn while_it_runs() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = start(&target, 2, &[])?;
    let body = ask_once(&server.address, &slow(&server, "spin", 2), ms(10_000))?;
    ensure!(body == "whole", "{body:?}");
    let entry = slow_log(&server).text();
    ensure!(entry.contains("spin() ") || entry.contains("hrtime() "), "{entry}");
    ensure!(!entry.contains("dump failed"), "{entry}");
    let body = ask_once(&server.address, &slow(&server, "finished", 2), ms(10_000))?;
    ensure!(body == "whole", "{body:?}");
    thread::sleep(ms(2500));
    ensure!(server.log.count("too slow") == 1, "{}", server.log.tail(5));
    server.stop()
}

/// Each request is traced once. The status page shows the count, and a reload keeps it.
#[test]
fn once_a_request() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = start(&target, 3, &["pm.status_path = /status"])?;
    let (address, request) = (server.address.clone(), slow(&server, "nap", 4));
    let client = thread::spawn(move || ask_once(&address, &request, ms(10_000)).unwrap_or_else(|e| e.to_string()));
    server.log.wait_for(server.log.mark(), &["too slow"], ms(4000))?;
    server.reload()?;
    let body = client.join().map_err(|_| "the client panicked")?;
    ensure!(body == "whole", "{body:?}");
    ensure!(server.log.count("too slow") == 1, "{}", server.log.tail(5));
    let entries = slow_log(&server).text().matches("[pool www]").count();
    ensure!(entries == 1, "{entries} entries");
    let status = ask_once(&server.address, &Request::of_pool("/status", ""), ms(5000))?;
    ensure!(status.lines().any(|l| l.starts_with("slow requests:") && l.ends_with(" 1")), "{status}");
    server.stop()
}

/// A hundred slow requests at once cost the supervisor almost nothing, and do not delay other requests.
#[test]
fn a_hundred_at_once() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let turn = turn::alone()?;
    let server = start(&target, 101, &[])?;
    let clients: Vec<_> = (0..100)
        .map(|_| {
            let (address, request) = (server.address.clone(), slow(&server, "nap", 4));
            thread::spawn(move || ask_once(&address, &request, ms(15_000)).unwrap_or_else(|e| e.to_string()))
        })
        .collect();
    thread::sleep(ms(600));
    let before = server.supervisor.cpu();
    wait_until("all entries", ms(6000), || slow_log(&server).text().matches("[pool www]").count() == 100)?;
    let spent = server.supervisor.cpu() - before;
    for client in clients {
        let body = client.join().map_err(|_| "a client panicked")?;
        ensure!(body == "whole", "{body:?}");
    }
    say(&format!("{spent:.1?} of the supervisor's CPU"));
    turn.expect_within("the supervisor's CPU", spent, ms(5))?;
    let failed = slow_log(&server).text().matches("dump failed").count();
    ensure!(failed == 0, "{failed} traces failed");
    server.stop()
}

/// A worker that exceeds the limit gets TERM, then KILL. The log names the request and the place in its script; the
/// slot serves again.
#[test]
fn terminated() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let turn = turn::alone()?;
    for (how, signal) in [("nap", "SIGTERM"), ("spin", "SIGTERM"), ("stubborn", "SIGKILL")] {
        let server = Server::start(&target, &Setup::new(1).pool("request_terminate_timeout = 2s"))?;
        let nginx = Nginx::start(&server.sandbox, &server.address, Upstream::Kept(4))?;
        let start = Instant::now();
        let answer = nginx.client(ms(20_000)).get(&format!("/slow.php?how={how}&seconds=30"))?;
        let took = start.elapsed();
        if answer.text() == "no pcntl" {
            server.stop()?;
            continue;
        }
        ensure!(answer.status == 502, "{how}: {}", answer.status);
        turn.expect_within(how, took, ms(4000))?;
        ensure!(took >= ms(1990), "{how}: ended after {took:?}");
        server.says_hello(&server.address)?;
        let log = server.log.text();
        let line = log.lines().find(|l| l.contains("execution timed out")).unwrap_or_default();
        ensure!(
            line.contains("WARNING: [pool www] child ") && line.contains("/slow.php' (request: \"GET /slow.php?how="),
            "{log}"
        );
        ensure!(line.contains(") execution timed out (2.") && line.ends_with(" sec), terminating"), "{line}");
        let place = log.lines().find(|l| l.contains(" was in ")).unwrap_or_default();
        ensure!(place.contains(" < Place->method() ") || place.contains(" < method() "), "{how}: {log}");
        ensure!(log.contains(&format!("({signal})")), "{how}: {log}");
        server.stop()?;
    }
    Ok(())
}

/// A script that continues after its answer is ended only if the pool asks for it.
#[test]
fn track_finished() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    for tracked in [false, true] {
        let setup = Setup::new(1).pool("request_terminate_timeout = 1s");
        let server = Server::start(
            &target,
            &setup.pool(&format!("request_terminate_timeout_track_finished = {}", if tracked { "yes" } else { "no" })),
        )?;
        let before = server.workers();
        let body = ask_once(&server.address, &slow(&server, "finished", 3), ms(10_000))?;
        ensure!(body == "whole", "{body:?}");
        server.says_hello(&server.address)?;
        ensure!((server.workers() == before) != tracked, "tracked: {tracked}; {}", server.log.tail(5));
        ensure!(server.log.count("execution timed out") == usize::from(tracked), "{}", server.log.tail(5));
        server.stop()?;
    }
    Ok(())
}

/// A client that does not send the rest of its request has the same time limit.
#[test]
fn while_it_is_read() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let turn = turn::alone()?;
    let server = Server::start(&target, &Setup::new(1).pool("request_terminate_timeout = 1s"))?;
    let mut client = Client::connect(&server.address, ms(10_000))?;
    let start = Instant::now();
    let request = Request::post(&server.sandbox.page("hello.php"), b"0123456789").encode(1);
    client.send(&request[..request.len() - 20])?;
    let answer = client.answer();
    turn.expect_within("its end", start.elapsed(), ms(3000))?;
    ensure!(answer.is_err(), "answered");
    server.says_hello(&server.address)?;
    server.stop()
}

/// Traces also work in a chroot, without any capability, and with `process_vm_readv` refused.
#[test]
fn in_a_chroot() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    std::fs::copy(sandbox.page("slow.php"), sandbox.file("slow.php"))?;
    let setup = Setup::new(1).pool("request_slowlog_timeout = 1s");
    let setup = setup.pool(&format!("slowlog = {}", sandbox.file("slow.log").display()));
    let setup = setup.pool(&format!("chroot = {}", sandbox.path().display()));
    let server = Server::start_in(sandbox, &target, &setup)?;
    let request =
        Request::get(Path::new("/slow.php")).param("QUERY_STRING", "how=nap&seconds=2").param("DOCUMENT_ROOT", "/");
    let body = ask_once(&server.address, &request, ms(10_000))?;
    ensure!(body == "whole", "{body:?}");
    let entry = slow_log(&server).text();
    ensure!(entry.contains("script_filename = /slow.php\n") && entry.contains("sleep() /slow.php:"), "{entry}");
    server.stop()
}

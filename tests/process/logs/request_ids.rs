//! `log.request_id`: a request has the same ids in the script and in all logs, and no client's id can act in a log.

use serde_json::Value;
use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Client, Request, ask_once};
use testkit::log::Log;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::{objects, said};

/// Prints the id in hexadecimal digits, or that it is not the same everywhere.
const PAGE: &str = "<?php $name = 'HTTP_X_REQUEST_ID';
    $ids = [$_SERVER[$name] ?? null, getenv($name), getallheaders()['X-Request-Id'] ?? null];
    echo count(array_unique($ids)) === 1 ? bin2hex($ids[0]) : json_encode($ids);
    error_log(\"complained\\nin two lines\");
    if ($_SERVER['QUERY_STRING'] === 'sleep') { sleep(10); }";

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn start(target: &Target, format: &str, further: &[&str]) -> Outcome<Server> {
    let sandbox = Sandbox::new()?;
    sandbox.put("www/id.php", PAGE)?;
    let line =
        if format == "json" { "json %{HTTP_X_REQUEST_ID}e" } else { "%i|%{trace}i|%{span}i|%{HTTP_X_REQUEST_ID}e|%r" };
    let setup = Setup::new(1)
        .global(&format!("log_format = {format}"))
        .pool("catch_workers_output = yes")
        .pool("log.request_id = HTTP_X_REQUEST_ID")
        .pool("ping.path = /ping")
        .pool(&format!("access.log = {}", sandbox.file("access.log").display()))
        .pool(&format!("access.format = \"{line}\""));
    Server::start_in(sandbox, target, &further.iter().fold(setup, |setup, line| setup.pool(line)))
}

/// What the access log says of each request: its id, trace, span, and the parameter as the script has it.
fn accessed(server: &Server, format: &str) -> Outcome<Vec<[String; 4]>> {
    let text = Log::new(&server.sandbox.file("access.log")).text();
    if format == "json" {
        let field = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or("-").to_owned();
        let of = |object: &serde_json::Map<String, Value>| {
            let [id, trace, span] = ["request_id", "trace_id", "span_id"].map(|name| field(object.get(name)));
            [id, trace, span, field(object.get("variables").and_then(|all| all.get("HTTP_X_REQUEST_ID")))]
        };
        return Ok(objects(&text)?.iter().map(of).collect());
    }
    let of = |line: &str| {
        let mut fields = line.split('|').map(str::to_owned);
        std::array::from_fn(|_| fields.next().unwrap_or_default())
    };
    Ok(text.lines().map(of).collect())
}

/// Whether a line of the error log that contains `part` has these ids.
fn has_ids(server: &Server, format: &str, part: &str, id: &str, traced: bool) -> bool {
    let text = server.log.text();
    let mut lines = text.lines().filter(|line| line.contains(part));
    if format == "json" {
        return lines.any(|line| {
            let Ok(object) = serde_json::from_str::<serde_json::Map<String, Value>>(line) else { return false };
            let shown = ["request_id", "trace_id", "span_id"].map(|name| said(&object, name).to_owned());
            shown == if traced { [id, TRACE, SPAN] } else { [id, "", ""] }
                && !said(&object, "message").contains("request_id")
        });
    }
    let trace = if traced { format!(" trace_id={TRACE} span_id={SPAN}") } else { String::new() };
    // Lines of a worker's output end in a quotation mark.
    lines.any(|line| line.trim_end_matches('"').ends_with(&format!(" [request_id={id}{trace}]")))
}

fn is_made(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn hex(text: &[u8]) -> String {
    text.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(digits: &str) -> String {
    let byte = |at| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()).unwrap_or(b'?');
    (0..digits.len()).step_by(2).map(|at| char::from(byte(at))).collect()
}

#[test]
fn a_request_has_the_same_ids_everywhere() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    for format in ["default", "classic", "json"] {
        let server = start(&target, format, &[])?;
        let page = Request::get(&server.sandbox.page("id.php"));
        let parent = format!("00-{TRACE}-{SPAN}-01");
        let given = page.clone().param("HTTP_X_REQUEST_ID", "Shop-1.a").param("HTTP_TRACEPARENT", &parent);
        ensure!(
            ask_once(&server.address, &given, ms(10_000))? == hex(b"Shop-1.a"),
            "{format}: not the id that was sent"
        );
        let made = unhex(&ask_once(&server.address, &page, ms(10_000))?);
        ensure!(is_made(&made), "{format}: {made:?}");
        let again = unhex(&ask_once(&server.address, &page, ms(10_000))?);
        ensure!(is_made(&again) && again != made, "{format}: {again:?} {made:?}");
        ask_once(&server.address, &Request::of_pool("/ping", "").param("HTTP_X_REQUEST_ID", "ping-1"), ms(10_000))?;
        let expected = [
            ["Shop-1.a", TRACE, SPAN, "Shop-1.a"],
            [&made, "-", "-", &made],
            [&again, "-", "-", &again],
            ["ping-1", "-", "-", "ping-1"],
        ];
        ensure!(accessed(&server, format)? == expected, "{format}: {:?}", accessed(&server, format)?);
        wait_until("the complaints", ms(5000), || server.log.count("complained") == 3)?;
        for (id, traced) in [("Shop-1.a", true), (&made, false), (&again, false)] {
            ensure!(has_ids(&server, format, "complained", id, traced), "{format}, {id}: {}", server.log.text());
            let second = if format == "json" { "complained" } else { "in two lines" };
            ensure!(has_ids(&server, format, second, id, traced), "{format}, {id}: {}", server.log.text());
        }
        server.stop()?;
    }
    Ok(())
}

/// The supervisor's lines about a request: too slow, timed out, killed.
#[test]
fn the_supervisor_knows_the_ids_of_a_request_that_does_not_end() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    for format in ["default", "json"] {
        let sandbox = Sandbox::new()?;
        let slowlog = format!("slowlog = {}", sandbox.file("slow.log").display());
        let limits = [&*slowlog, "request_slowlog_timeout = 1s", "request_terminate_timeout = 2s"];
        let server = start(&target, format, &limits)?;
        let parent = format!("00-{TRACE}-{SPAN}-00");
        let page = Request::get(&server.sandbox.page("id.php")).param("QUERY_STRING", "sleep");
        let slow = page.clone().param("HTTP_X_REQUEST_ID", "slow-1").param("HTTP_TRACEPARENT", &parent);
        let mut client = Client::connect(&server.address, ms(10_000))?;
        client.send(&slow.encode(1))?;
        wait_until("the end", ms(10_000), || server.log.count("exited on signal 15") == 1)?;
        for part in ["executing too slow", "execution timed out", " was in sleep()", "exited on signal 15"] {
            ensure!(has_ids(&server, format, part, "slow-1", true), "{format}, {part}: {}", server.log.text());
        }
        let slow = Log::new(&sandbox.file("slow.log")).text();
        let end = format!("\nrequest_id = slow-1\ntrace_id = {TRACE}\nspan_id = {SPAN}\n");
        ensure!(slow.ends_with(&end), "{slow}");
        let lines: Vec<&str> = slow.lines().collect();
        ensure!(lines[2].starts_with("script_filename = ") && lines[3].starts_with("[0x"), "{lines:#?}");
        let mut client = Client::connect(&server.address, ms(10_000))?;
        client.send(&page.param("HTTP_X_REQUEST_ID", "killed-1").encode(1))?;
        wait_until("the request", ms(5000), || has_ids(&server, format, "complained", "killed-1", false))?;
        let worker = *server.workers().first().ok_or("no worker")?;
        worker.signal(nix::sys::signal::Signal::SIGKILL);
        wait_until("the end", ms(5000), || server.log.count("exited on signal 9") == 1)?;
        ensure!(has_ids(&server, format, "exited on signal 9", "killed-1", false), "{}", server.log.text());
        // An idle worker is inside of no request.
        wait_until("another worker", ms(5000), || {
            server.workers().first().is_some_and(|other| other.pid != worker.pid)
        })?;
        ask_once(&server.address, &Request::of_pool("/ping", ""), ms(5000))?;
        // The answer is there a moment before its worker is idle.
        std::thread::sleep(ms(300));
        server.workers().first().ok_or("no worker")?.signal(nix::sys::signal::Signal::SIGSEGV);
        wait_until("the end", ms(5000), || server.log.count("exited on signal 11") == 1)?;
        let text = server.log.text();
        let idle = text.lines().find(|line| line.contains("exited on signal 11")).unwrap_or_default();
        ensure!(!idle.contains("request_id"), "{idle}");
        server.stop()?;
    }
    Ok(())
}

/// Replaces the value of a parameter by bytes of the same number, which need not be text as in the testkit.
fn replace(encoded: &mut [u8], name: &str, value: &[u8]) {
    let at = encoded.windows(name.len()).position(|part| part == name.as_bytes()).map(|at| at + name.len());
    if let Some(place) = at.and_then(|at| encoded.get_mut(at..at + value.len())) {
        place.copy_from_slice(value);
    }
}

/// Ids of all kinds that no log may show. Another id takes their place.
#[test]
fn hostile_ids_are_replaced() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let (long, huge) = (vec![b'x'; 129], vec![b'x'; 8192]);
    let hostile: Vec<&[u8]> = vec![
        b"",
        b" ",
        b"a b",
        b"a\nb",
        b"a\r\n[01-Jan-2026 00:00:00] NOTICE: forged",
        b"a\0b",
        b"\x1b[2J",
        b"a\",\"forged\":\"x",
        b"a\\",
        b"a] [request_id=forged",
        b"\x7f",
        b"\xff\xfe",
        b"\xc3\xa4",
        b"\xe2\x80\xa8",
        b"a|b",
        b"a'b",
        &long,
        &huge,
    ];
    for format in ["default", "json"] {
        let server = start(&target, format, &[])?;
        let page = Request::get(&server.sandbox.page("id.php"));
        let mut made = Vec::new();
        for id in &hostile {
            // In the middle of the parameters, and as the last one.
            for last in [false, true] {
                let place = "x".repeat(id.len());
                let mut request = page.clone().param("HTTP_TRACEPARENT", &place).param("HTTP_X_REQUEST_ID", &place);
                if !last {
                    request = request.param("HTTP_X_LAST", "1");
                }
                let mut bytes = request.encode(1);
                ["HTTP_TRACEPARENT", "HTTP_X_REQUEST_ID"].iter().for_each(|name| replace(&mut bytes, name, id));
                let mut client = Client::connect(&server.address, ms(10_000))?;
                client.send(&bytes)?;
                let shown = unhex(&client.answer()?.body());
                ensure!(is_made(&shown), "{format}, {id:?}: {shown:?}");
                made.push([shown.clone(), "-".to_owned(), "-".to_owned(), shown]);
            }
        }
        ensure!(accessed(&server, format)? == made, "{format}: {:#?}", accessed(&server, format)?);
        wait_until("the complaints", ms(5000), || server.log.count("complained") == made.len())?;
        for [id, ..] in &made {
            ensure!(has_ids(&server, format, "complained", id, false), "{format}, {id}: {}", server.log.text());
        }
        let texts = server.log.text() + &Log::new(&server.sandbox.file("access.log")).text();
        ensure!(!texts.contains("forged") && !texts.contains("xxxx") && !texts.contains('\u{1b}'), "{texts}");
        server.stop()?;
    }
    Ok(())
}

/// One connection, one worker: a request has no ids of the one before. And headers that break the standard are ignored.
#[test]
fn ids_are_those_of_their_own_request() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = start(&target, "default", &[])?;
    let page = Request::get(&server.sandbox.page("id.php")).keep();
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let broken = format!("00-{}-{SPAN}-01", TRACE.to_uppercase());
    let mut client = Client::connect(&server.address, ms(10_000))?;
    let mut expected = Vec::new();
    for (id, header, traced) in [(Some("first"), &parent, true), (None, &broken, false), (Some("third"), &parent, true)]
    {
        let mut request = page.clone().param("HTTP_TRACEPARENT", header);
        if let Some(id) = id {
            request = request.param("HTTP_X_REQUEST_ID", id);
        }
        let shown = unhex(&client.ask(&request)?.body());
        ensure!(id.map_or(is_made(&shown), |id| id == shown), "{id:?}: {shown:?}");
        let (trace, span) = if traced { (TRACE, SPAN) } else { ("-", "-") };
        expected.push([shown.clone(), trace.to_owned(), span.to_owned(), shown]);
    }
    ensure!(accessed(&server, "default")? == expected, "{:?}", accessed(&server, "default")?);
    server.stop()
}

#[test]
fn without_the_directive_there_are_no_ids() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    for format in ["default", "json"] {
        let sandbox = Sandbox::new()?;
        sandbox.put("www/id.php", PAGE)?;
        let setup = Setup::new(1)
            .global(&format!("log_format = {format}"))
            .pool("catch_workers_output = yes")
            .pool("request_slowlog_timeout = 1s")
            .pool("request_terminate_timeout = 2s")
            .pool(&format!("slowlog = {}", sandbox.file("slow.log").display()))
            .pool(&format!("access.log = {}", sandbox.file("access.log").display()))
            .pool("access.format = json");
        let server = Server::start_in(sandbox, &target, &setup)?;
        let page = Request::get(&server.sandbox.page("id.php"));
        let parent = format!("00-{TRACE}-{SPAN}-01");
        let bad = page.clone().param("HTTP_X_REQUEST_ID", "a\u{1b}b").param("HTTP_TRACEPARENT", &parent);
        ensure!(ask_once(&server.address, &bad, ms(10_000))? == hex(b"a\x1bb"), "the parameter was changed");
        let mut client = Client::connect(&server.address, ms(10_000))?;
        client.send(&bad.param("QUERY_STRING", "sleep").encode(1))?;
        wait_until("the end", ms(10_000), || server.log.count("exited on signal 15") == 1)?;
        for text in [
            server.log.text(),
            Log::new(&server.sandbox.file("slow.log")).text(),
            Log::new(&server.sandbox.file("access.log")).text(),
        ] {
            ensure!(
                !text.is_empty() && !["request_id", "trace_id", "span_id"].iter().any(|name| text.contains(name)),
                "{text}"
            );
        }
        server.stop()?;
    }
    Ok(())
}

//! The formats of the logs: JSON for any input, standard streams as logs, and every sample of
//! docs/{logs,slowlog,status}.md.
#![forbid(unsafe_code)]

mod request_ids;
mod steering;
mod streams;

use nix::sys::signal::Signal;
use serde_json::{Map, Value};
use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Request, ask_once};
use testkit::log::Log;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

/// The objects of a log; any other line is an error.
fn objects(text: &str) -> Outcome<Vec<Map<String, Value>>> {
    let read = |line: &str| serde_json::from_str(line).map_err(|e| format!("{e}: {line:.300}").into());
    text.lines().map(read).collect()
}

fn said<'a>(object: &'a Map<String, Value>, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Lines, pieces of lines, bytes of all kinds, text that looks like our own lines, and an uncaught exception.
const NOISE: &str = "<?php mt_srand((int) $_SERVER['QUERY_STRING']);
    foreach (['stdout', 'stderr'] as $stream) {
        $out = fopen(\"php://$stream\", 'w');
        for ($n = 0; $n < 40; $n++) {
            $text = '';
            for ($i = mt_rand(0, 200); $i > 0; $i--) { $text .= chr(mt_rand(0, 255)); }
            fwrite($out, $text . (mt_rand(0, 3) ? \"\\n\" : ''));
        }
        fwrite($out, '\n{\"level\":\"error\",\"message\":\"forged\"}' . \"\\n{\\\"level\\\":\\n[23-Nov-2026 10:00:00] NOTICE: forged\\n\");
    }
    error_log(\"an error log \\xff with bytes and\\nlines\");
    function deep() { throw new Exception('an uncaught exception'); } deep();";

#[test]
fn every_line_is_an_object() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    for decorate in ["yes", "no"] {
        let sandbox = Sandbox::new()?;
        sandbox.put("www/noise.php", NOISE)?;
        sandbox.put("www/preload.php", "<?php error_log(\"preloaded\\nby the zygote\");")?;
        sandbox.put("www/slow.php", "<?php sleep(2);")?;
        let setup = Setup::new(2).global("log_format = json").global("log_level = debug");
        let setup = setup.pool("catch_workers_output = yes").pool(&format!("decorate_workers_output = {decorate}"));
        let slowlog = format!("slowlog = {}", sandbox.file("slow.log").display());
        let setup = setup.pool(&slowlog).pool("request_slowlog_timeout = 1s");
        let preload = sandbox.page("preload.php");
        let setup = setup.ini(&format!("opcache.preload = {}", preload.display())).ini("extension = no_such_extension");
        let server = Server::start_in(sandbox, &target, &setup)?;
        for seed in 0..20 {
            let noise = Request::get(&server.sandbox.page("noise.php")).param("QUERY_STRING", &seed.to_string());
            ask_once(&server.address, &noise, ms(10_000))?;
        }
        ask_once(&server.address, &Request::get(&server.sandbox.page("slow.php")), ms(10_000))?;
        if let Some(worker) = server.workers().first() {
            worker.signal(Signal::SIGKILL);
        }
        server.supervisor.signal(Signal::SIGUSR1);
        server.reload()?;
        server.sandbox.put("fpm.conf", &format!("{}no.such.directive = 1\n", server.conf))?;
        server.supervisor.signal(Signal::SIGUSR2);
        wait_until("a refusal", ms(10_000), || server.log.count("reload refused") > 0)?;
        wait_until("the last request's words", ms(5000), || server.log.count("an uncaught exception") >= 20)?;
        let log = server.log.clone();
        let text = log.text();
        server.stop()?;
        look_at(&text, decorate)?;
    }
    Ok(())
}

fn look_at(text: &str, decorate: &str) -> Outcome {
    let objects = objects(text)?;
    let with = |part: &str| objects.iter().filter(|object| said(object, "message").contains(part)).collect::<Vec<_>>();
    let [exception, bytes, preloaded, missing] =
        ["an uncaught exception", "an error log", "preloaded", "no_such_extension"].map(with);
    ensure!(exception.len() == 20, "{} exceptions, decorate {decorate}", exception.len());
    for object in &exception {
        let message = said(object, "message");
        ensure!(message.contains("\nStack trace:\n#0 ") && message.contains("{main}"), "{message:?}");
        ensure!(said(object, "pool") == "www" && said(object, "stream") == "stderr", "{object:?}");
        ensure!(object.get("pid").and_then(Value::as_i64) > Some(1), "{object:?}");
    }
    let whole = "PHP message: an error log \\xFF with bytes and\nlines";
    ensure!(bytes.iter().all(|object| said(object, "message") == whole && object.contains_key("escaped")), "{bytes:?}");
    ensure!(preloaded.len() >= 2 && said(preloaded[0], "message").contains("\nby the zygote"), "{preloaded:?}");
    ensure!(!missing.is_empty(), "PHP has not complained about its extension");
    let slow = with("executing too slow");
    ensure!(slow.iter().any(|object| said(object, "pool") == "www" && object.contains_key("pid")), "{slow:?}");
    let exits = with("exited on signal 9");
    ensure!(exits.iter().any(|object| said(object, "pool") == "www" && object.contains_key("pid")), "{exits:?}");
    ensure!(objects.iter().all(|object| object.contains_key("message")), "a line without a message");
    Ok(())
}

/// A message of any length is complete, in objects that say that they continue.
#[test]
fn long_messages_are_whole() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let page = "<?php $long = str_repeat(\"\u{e4}\\n\", 70000); error_log(\"begin$long\"); error_log('between');
        fwrite(fopen('php://stderr', 'w'), str_repeat('\u{20ac}', 50000) . \"\\n\");";
    sandbox.put("www/long.php", page)?;
    let setup =
        Setup::new(1).global("log_format = json").pool("catch_workers_output = yes").ini("log_errors_max_len = 0");
    let server = Server::start_in(sandbox, &target, &setup)?;
    ask_once(&server.address, &Request::get(&server.sandbox.page("long.php")), ms(10_000))?;
    wait_until("the end of the last message", ms(5000), || {
        server.log.text().lines().filter(|line| line.contains('\u{20ac}')).any(|line| !line.contains("\"continues\""))
    })?;
    let mut messages = vec![String::new()];
    for object in objects(&server.log.text())?.iter().filter(|object| object.contains_key("stream")) {
        ensure!(!object.contains_key("escaped"), "a character was cut");
        let last = messages.last_mut().ok_or("none")?;
        last.push_str(said(object, "message"));
        ensure!(said(object, "message").len() <= 64 * 1024, "{} bytes in an object", said(object, "message").len());
        if object.get("continues") != Some(&Value::Bool(true)) {
            messages.push(String::new());
        }
    }
    let expected = [format!("PHP message: begin{}", "\u{e4}\n".repeat(70_000)), "PHP message: between".into()];
    let lengths: Vec<usize> = messages.iter().map(String::len).collect();
    ensure!(messages.get(..2) == Some(&expected[..]), "messages of {lengths:?} bytes");
    ensure!(messages.get(2) == Some(&"\u{20ac}".repeat(50_000)), "messages of {lengths:?} bytes");
    server.stop()
}

/// An application's own objects are unchanged if the pool asks for it.
#[test]
fn objects_of_an_application() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let own = r#"{"channel":"orders","message":"paid","context":{"id":7}}"#;
    for (decorate, stays) in [("no", true), ("yes", false)] {
        let sandbox = Sandbox::new()?;
        let page = format!("<?php fwrite(fopen('php://stderr', 'w'), '{own}' . \"\\nplain\\n\");");
        sandbox.put("www/own.php", &page)?;
        let setup = Setup::new(1).global("log_format = json").pool("catch_workers_output = yes");
        let setup = setup.pool(&format!("decorate_workers_output = {decorate}"));
        let server = Server::start_in(sandbox, &target, &setup)?;
        ask_once(&server.address, &Request::get(&server.sandbox.page("own.php")), ms(10_000))?;
        wait_until("its words", ms(5000), || server.log.count("\"plain\"") == 1)?;
        let text = server.log.text();
        objects(&text)?;
        ensure!(text.lines().any(|line| line == own) == stays, "decorate {decorate}:\n{text}");
        server.stop()?;
    }
    Ok(())
}

/// The access log in JSON: the fields are those of the request, whatever it contains; a suppressed request has no
/// line.
#[test]
fn access_log_objects() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let access = sandbox.file("access.log");
    let setup = Setup::new(1).listen(testkit::setup::Listen::Tcp).pool("ping.path = /ping");
    let setup = setup.pool(&format!("access.log = {}", access.display())).pool("access.suppress_path[] = /ping");
    let setup = setup.pool("access.format = \"json %{HTTP_USER_AGENT}e %{X-None}o\"");
    let server = Server::start_in(sandbox, &target, &setup)?;
    let hello = Request::get(&server.sandbox.page("hello.php"));
    let hostile = "x\" 200\n{\"status\":500}\u{1b}[31m\\\u{2028}";
    ask_once(&server.address, &hello.clone().param("HTTP_USER_AGENT", hostile), ms(5000))?;
    ask_once(&server.address, &Request::post(&server.sandbox.page("echo.php"), b"a=1"), ms(5000))?;
    let ping = hello.clone().param("SCRIPT_NAME", "/ping").param("SCRIPT_FILENAME", "/ping");
    ask_once(&server.address, &ping.clone().param("QUERY_STRING", ""), ms(5000))?;
    ask_once(&server.address, &ping, ms(5000))?;
    let log = Log::new(&access);
    wait_until("three lines", ms(5000), || log.text().lines().count() >= 3)?;
    let text = log.text();
    let lines = objects(&text)?;
    ensure!(lines.len() == 3 && !text.contains('\u{1b}') && !text.contains('\u{2028}'), "{text}");
    let [first, second, third] = &lines[..] else { return Err("not three".into()) };
    ensure!(first["variables"]["HTTP_USER_AGENT"] == hostile && first["headers"]["X-None"].is_null(), "{text}");
    ensure!(first["status"] == 200 && first["method"] == "GET" && first["query"] == "a=1&b=two", "{text}");
    ensure!(first["remote_addr"] == "127.0.0.1" && first["user"].is_null() && first["pool"] == "www", "{text}");
    ensure!(first["script"] == server.sandbox.page("hello.php").to_string_lossy().as_ref(), "{text}");
    ensure!(first["supervisor"] == server.supervisor.pid && first["pid"] == server.workers()[0].pid, "{text}");
    ensure!(first["memory"].as_u64() > Some(100_000) && first["duration"].as_f64() < Some(5.0), "{text}");
    ensure!(second["method"] == "POST" && second["length"] == 3, "{text}");
    ensure!(third["uri"] == "/ping" && third["script"].is_null(), "{text}");
    server.stop()
}

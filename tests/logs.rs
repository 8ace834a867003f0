//! The forms of the logs: JSON whatever comes, own streams as logs, and every sample of docs/{logs,slowlog,status}.md.
#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::{Map, Value};
use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Request, ask_once};
use testkit::log::Log;
use testkit::process::{self, Process};
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stage::Stage;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

/// The script that the samples of docs/logs.md come from.
const ORDERS: &str = "<?php error_log('order 7 is not paid'); error_log(\"two\\nlines\");
    fwrite(fopen('php://stdout', 'w'), \"caf\\xE9 closed\\n\"); echo 'hello';";

#[test]
fn samples_of_the_documentation() -> Outcome {
    let Some(target) = Target::find_ours("logs::samples_of_the_documentation") else { return Ok(()) };
    let _turn = turn::shared()?;
    for (page, least) in [("logs", 6), ("slowlog", 2), ("status", 2)] {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/{page}.md")))?;
        let samples = samples(&text);
        ensure!(samples.len() >= least && samples.iter().all(|sample| !sample.lines.is_empty()), "{samples:#?}");
        samples.iter().try_for_each(|sample| shown(&target, sample).map_err(|e| format!("docs/{page}.md: {e}")))?;
    }
    Ok(())
}

/// A configuration of the documentation and the lines that follow it.
#[derive(Debug, Default)]
struct Sample {
    conf: Vec<String>,
    lines: Vec<String>,
}

fn samples(text: &str) -> Vec<Sample> {
    let mut samples: Vec<Sample> = Vec::new();
    let mut block = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), block) {
            (Some(_), Some(_)) => block = None,
            (Some("ini"), None) => {
                samples.push(Sample::default());
                block = Some("ini");
            }
            (Some(kind), None) => block = Some(if kind.is_empty() { "other" } else { "lines" }),
            (None, kind) => match (kind, samples.last_mut()) {
                (Some("ini"), Some(sample)) => sample.conf.push(line.to_owned()),
                (Some("lines"), Some(sample)) => sample.lines.push(line.to_owned()),
                _ => {}
            },
        }
    }
    samples
}

/// Starts it, asks what the samples tell of, and finds their lines.
fn shown(target: &Target, sample: &Sample) -> Outcome {
    let sandbox = Sandbox::new()?;
    let dir = sandbox.path().to_string_lossy().into_owned();
    sandbox.put("www/hello.php", ORDERS)?;
    sandbox.put("www/slow.php", "<?php\nsleep(2);")?;
    fs::create_dir(sandbox.file("log"))?;
    let (mut setup, mut global) = (Setup::new(1), true);
    for line in &sample.conf {
        match (line.as_str(), line.replace("/srv", &dir)) {
            ("[global]" | "[www]", _) => global = line == "[global]",
            ("error_log = stderr", line) => {
                symlink("stdio", sandbox.file("fpm.log"))?;
                setup = setup.global(&line);
            }
            (_, line) => {
                if let Some(file) = line.strip_prefix("error_log = ") {
                    symlink(file, sandbox.file("fpm.log"))?;
                }
                setup = if global { setup.global(&line) } else { setup.pool(&line) };
            }
        }
    }
    let server = Server::start_in(sandbox, target, &setup)?;
    let has = |name: &str| sample.conf.iter().any(|line| line.starts_with(name));
    let page = if has("slowlog") || has("request_terminate") { "slow.php" } else { "hello.php" };
    let request = Request::get(&server.sandbox.page(page)).param("QUERY_STRING", "a=1");
    let answer = ask_once(&server.address, &request.param("HTTP_AUTHORIZATION", "Basic c2hvcDpzZWNyZXQ="), ms(10_000));
    ensure!(answer.is_ok() != has("request_terminate"), "{answer:?}");
    let (requests, lines): (Vec<_>, Vec<_>) = sample.lines.iter().partition(|line| line.starts_with("GET "));
    let answers: Outcome<Vec<String>> =
        requests.into_iter().map(|line| ask_for(&server, &line["GET ".len()..])).collect();
    let answers = answers?.join("\n");
    let missing = || -> Vec<&String> {
        let found: Vec<String> =
            written(&server).lines().chain(answers.lines()).map(|line| masked(line, &dir)).collect();
        lines.iter().copied().filter(|line| !found.contains(&masked(line, "/srv"))).collect()
    };
    let all = wait_until("the lines of the samples", ms(5000), || missing().is_empty());
    all.map_err(|_| format!("{:#?} is not written; there is:\n{}", missing(), written(&server)))?;
    server.stop()
}

/// The answer to a path with or without a query.
fn ask_for(server: &Server, target: &str) -> Outcome<String> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let request = Request::get(Path::new(path)).param("SCRIPT_NAME", path).param("QUERY_STRING", query);
    ask_once(&server.address, &request, ms(5000))
}

/// All that went to any log.
fn written(server: &Server) -> String {
    let logs = fs::read_dir(server.sandbox.file("log")).into_iter().flatten().flatten();
    let texts = logs.map(|log| Log::new(&log.path()).text());
    texts.chain([server.stdio(), server.log.text()]).collect::<Vec<_>>().join("\n")
}

/// A line without what differs from run to run.
fn masked(line: &str, dir: &str) -> String {
    match serde_json::from_str::<Map<String, Value>>(line) {
        Ok(object) => object.iter().map(|(name, value)| format!("{name}={};", masked_value(value, dir))).collect(),
        Err(_) => masked_text(line, dir),
    }
}

fn masked_value(value: &Value, dir: &str) -> String {
    match value {
        Value::Number(_) => "9".to_owned(),
        Value::String(text) => masked_text(text, dir),
        Value::Object(object) => {
            object.iter().map(|(name, value)| format!("{name}:{}", masked_value(value, dir))).collect()
        }
        other => other.to_string(),
    }
}

fn masked_text(text: &str, dir: &str) -> String {
    let mut text = text.replace(dir, "DIR").replace(|c: char| c.is_ascii_digit(), "9");
    for month in ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"] {
        text = text.replace(&format!("-{month}-"), "-M-").replace(&format!("/{month}/"), "/M/");
    }
    if let Some((before, (_, after))) = text.split_once("[9x").and_then(|(b, rest)| Some((b, rest.split_once(']')?))) {
        text = format!("{before}[ADDRESS]{after}");
    }
    while text.contains("99") {
        text = text.replace("99", "9");
    }
    text.replace("9.9", "9")
}

/// The objects of a log; a line that is none is an error.
fn objects(text: &str) -> Outcome<Vec<Map<String, Value>>> {
    let read = |line: &str| serde_json::from_str(line).map_err(|e| format!("{e}: {line:.300}").into());
    text.lines().map(read).collect()
}

fn said<'a>(object: &'a Map<String, Value>, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Lines, pieces of lines, bytes of all kinds, words that look like ours, and an exception that nobody catches.
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
    function deep() { throw new Exception('nobody catches me'); } deep();";

#[test]
fn every_line_is_an_object() -> Outcome {
    let Some(target) = Target::find_ours("logs::every_line_is_an_object") else { return Ok(()) };
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
        wait_until("the last request's words", ms(5000), || server.log.count("nobody catches me") >= 20)?;
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
        ["nobody catches me", "an error log", "preloaded", "no_such_extension"].map(with);
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

/// A message of any length is whole, in objects that say that they go on.
#[test]
fn long_messages_are_whole() -> Outcome {
    let Some(target) = Target::find_ours("logs::long_messages_are_whole") else { return Ok(()) };
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

/// An application's own objects stay as they are where the pool says so.
#[test]
fn objects_of_an_application() -> Outcome {
    let Some(target) = Target::find_ours("logs::objects_of_an_application") else { return Ok(()) };
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

/// A reload changes the form, also for those who were there before; a daemon's own stream stays the log.
#[test]
fn the_form_changes_and_a_stream_stays() -> Outcome {
    let name = "logs::the_form_changes_and_a_stream_stays";
    let Some(stage) = Target::find_ours(name).map(|target| Stage::new(target, 1)).transpose()? else { return Ok(()) };
    let _turn = turn::shared()?;
    let conf = |format: &str| {
        let error_log = format!("error_log = {}/fpm.log", stage.sandbox.path().display());
        stage.conf.replace(&error_log, &format!("error_log = stderr\nlog_format = {format}"))
            + "catch_workers_output = yes\n"
    };
    stage.sandbox.put("fpm.conf", &conf("default"))?;
    stage.sandbox.put("www/say.php", "<?php error_log('said ' . $_SERVER['QUERY_STRING']);")?;
    let output = fs::File::options().append(true).create(true).open(stage.sandbox.file("fpm.log"))?;
    let log = Log::new(&stage.sandbox.file("fpm.log"));
    let status = stage.command(&["-D"]).stdout(output.try_clone()?).stderr(output).status()?;
    let result = changes(&stage, &log, &conf);
    let pid = fs::read_to_string(stage.sandbox.file("fpm.pid")).ok().and_then(|pid| pid.trim().parse().ok());
    if let Some(daemon) = pid.and_then(Process::find) {
        let tree = [vec![daemon], daemon.descendants()].concat();
        process::end_all(|| tree.clone())?;
    }
    ensure!(status.success(), "{status}: {}", log.text());
    result
}

fn changes(stage: &Stage, log: &Log, conf: &dyn Fn(&str) -> String) -> Outcome {
    for format in ["json", "default", "json"] {
        stage.sandbox.put("fpm.conf", &conf(format))?;
        stage.run(&["reload"])?.expect(0, &[])?;
        stage.run(&["logrotate"])?.expect(0, &[])?;
        let mark = log.mark();
        let request = Request::get(&stage.sandbox.page("say.php")).param("QUERY_STRING", format);
        ask_once(&stage.address, &request, ms(5000))?;
        stage.run(&["logrotate"])?.expect(0, &[])?;
        log.wait_for(mark, &[&format!("said {format}")], ms(5000))?;
        let lines = log.since(mark);
        let parsed = lines.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count();
        let expected = if format == "json" { lines.lines().count() } else { 0 };
        ensure!(parsed == expected && !lines.is_empty(), "{format}: {parsed} of\n{lines}");
    }
    Ok(())
}

/// The access log in JSON: the fields are the request's, whatever it holds; a suppressed one has no line.
#[test]
fn access_log_objects() -> Outcome {
    let Some(target) = Target::find_ours("logs::access_log_objects") else { return Ok(()) };
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

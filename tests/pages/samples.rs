//! Every sample of docs/{logs,slowlog,status}.md.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Map, Value};
use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Request, ask_once};
use testkit::log::Log;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::source;

/// The script that the samples of docs/logs.md come from.
const ORDERS: &str = "<?php error_log('order 7 is not paid'); error_log(\"two\\nlines\");
    fwrite(fopen('php://stdout', 'w'), \"caf\\xE9 closed\\n\"); echo 'hello';";

#[test]
fn samples_of_the_documentation() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    for (page, least) in [("logs", 7), ("slowlog", 3), ("status", 2)] {
        let text = source(&format!("docs/{page}.md"))?;
        let samples = samples(&text);
        ensure!(samples.len() >= least && samples.iter().all(|sample| !sample.lines.is_empty()), "{samples:#?}");
        samples.iter().try_for_each(|sample| shown(&target, sample).map_err(|e| format!("docs/{page}.md: {e}")))?;
    }
    Ok(())
}

/// A configuration of the documentation and the sample lines after it.
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

/// Starts a server with it, sends the requests that the samples show, and finds their lines.
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
    let request = request.param("HTTP_AUTHORIZATION", "Basic c2hvcDpzZWNyZXQ=");
    let request = request.param("HTTP_X_REQUEST_ID", "7f0c9b1e52a84d6f9c3be0d1a4725f38");
    let request = request.param("HTTP_TRACEPARENT", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let answer = ask_once(&server.address, &request, ms(10_000));
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

/// All text in all logs.
fn written(server: &Server) -> String {
    let logs = fs::read_dir(server.sandbox.file("log")).into_iter().flatten().flatten();
    let texts = logs.map(|log| Log::new(&log.path()).text());
    texts.chain([server.stdio(), server.log.text()]).collect::<Vec<_>>().join("\n")
}

/// A line without the parts that differ between runs.
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

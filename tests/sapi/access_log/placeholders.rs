//! Every placeholder of `access.format`, compared with stock php-fpm.

use testkit::fastcgi::Request;
use testkit::server::Server;
use testkit::setup::{Listen, Setup};
use testkit::target::{Door, Target};
use testkit::{Outcome, ensure, turn};

use super::{ask, lines, start};

/// Equal byte for byte.
const EXACT: &[&str] = &[
    "%%",
    "%{X_TEST}e",
    "%{none}e",
    "%{PATH_INFO}e",
    "%{SCRIPT_NAME}e",
    "%f",
    "%l",
    "%m",
    "%n",
    "%{X-One}o",
    "%{X-None}o",
    "%q",
    "%Q",
    "%r",
    "%R",
    "%s",
    "%u",
    "%{%Y}t",
];

/// Equal except for their digits.
const SHAPE: &[&str] = &[
    "%C",
    "%{user}C",
    "%{SYSTEM}C",
    "%d",
    "%{milli}d",
    "%{micro}d",
    "%M",
    "%{kilo}M",
    "%{mega}M",
    "%p",
    "%P",
    "%t",
    "%T",
    "%{%H:%M}T",
];

/// Requests of all kinds.
fn requests(server: &Server) -> Vec<Request> {
    let page = |name: &str| Request::get(&server.sandbox.page(name));
    let pages = |name: &str| page("hello.php").param("SCRIPT_NAME", name).param("SCRIPT_FILENAME", name);
    let extra = server.sandbox.page("hello.php").join("extra/path");
    vec![
        page("hello.php").param("X_TEST", "yes"),
        page("hello.php").param("QUERY_STRING", "").param("X_TEST", ""),
        page("hello.php").param("HTTP_AUTHORIZATION", "Basic bWU6c2VjcmV0"),
        page("headers.php"),
        page("missing.php"),
        Request::post(&server.sandbox.page("echo.php"), b"a=1"),
        page("hello.php")
            .param("SCRIPT_FILENAME", &extra.to_string_lossy())
            .param("SCRIPT_NAME", "/hello.php/extra/path"),
        pages("/ping"),
        pages("/status"),
        page("pid.php").param("QUERY_STRING", ""),
        page("pid.php").param("QUERY_STRING", "").param("REQUEST_METHOD", "HEAD"),
        page("pid.php"),
        Request::post(&server.sandbox.page("pid.php"), b"a=1").param("QUERY_STRING", ""),
        pages("/ping").param("QUERY_STRING", ""),
        pages("/status").param("HTTP_AUTHORIZATION", "basic bWU6c2VjcmV0").param("CONTENT_LENGTH", " 12 x"),
        // Neither a page nor a script.
        without(pages("/status"), "SCRIPT_FILENAME"),
        without(pages("/ping"), "REQUEST_METHOD"),
    ]
}

fn without(mut request: Request, name: &str) -> Request {
    request.params.retain(|(known, _)| known != name);
    request
}

/// The fields of each line, with the parts masked that differ between runs, and its `%p` and `%P`.
fn masked(server: &Server) -> (Vec<Vec<String>>, Vec<(String, String)>) {
    let dir = server.sandbox.path().to_string_lossy().into_owned();
    let (mut all, mut pids) = (Vec::new(), Vec::new());
    for line in lines(server) {
        let fields: Vec<&str> = line.split('|').collect();
        let at = |name: &str| EXACT.iter().chain(SHAPE).position(|field| *field == name).and_then(|at| fields.get(at));
        pids.push((at("%p").unwrap_or(&"").to_string(), at("%P").unwrap_or(&"").to_string()));
        let mask = |(at, field): (usize, &&str)| {
            if at < EXACT.len() { field.replace(&dir, "DIR") } else { digits_masked(field) }
        };
        all.push(fields.iter().enumerate().map(mask).collect());
    }
    (all, pids)
}

fn digits_masked(text: &str) -> String {
    let mut masked = text.replace(|c: char| c.is_ascii_digit(), "9");
    while masked.contains("99") {
        masked = masked.replace("99", "9");
    }
    masked
}

#[test]
fn placeholders_as_in_php_fpm() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let format = EXACT.iter().chain(SHAPE).copied().collect::<Vec<_>>().join("|");
    let mut seen = Vec::new();
    for door in [target.door, Door::PhpFpm] {
        let setup = Setup::new(1).listen(Listen::Tcp).pool("ping.path = /ping").pool("pm.status_path = /status");
        let setup = setup.pool("access.suppress_path[] = /pid.php").pool("access.suppress_path[] = /ping");
        let server = start(&Target { door, ..target.clone() }, setup, &format)?;
        for request in requests(&server) {
            ask(&server, &request)?;
        }
        let (fields, pids) = masked(&server);
        let worker = server.workers().first().ok_or("no worker")?.pid.to_string();
        let expected = (worker, server.supervisor.pid.to_string());
        ensure!(pids.iter().all(|found| *found == expected), "{door:?}: {pids:?}, not {expected:?}");
        server.stop()?;
        seen.push(fields);
    }
    ensure!(seen[0].len() == 14, "{} lines: {:#?}", seen[0].len(), seen[0]);
    for (ours, theirs) in seen[0].iter().zip(&seen[1]) {
        ensure!(ours == theirs, "ours:    {ours:?}\nphp-fpm: {theirs:?}");
    }
    ensure!(seen[0].len() == seen[1].len(), "{} lines, php-fpm writes {}", seen[0].len(), seen[1].len());
    Ok(())
}

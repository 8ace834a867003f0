//! Every ini entry of every extension, set by the web server for one request: the next request has the former value.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use testkit::clock::ms;
use testkit::fastcgi::{Request, ask_once};
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

/// The table of entries, and the state that extensions derive from their entries.
const SEEN: &str = r"<?php
foreach (ini_get_all() as $name => $entry) {
    echo $name, ' = ', json_encode($entry, JSON_INVALID_UTF8_SUBSTITUTE), PHP_EOL;
}
$seen = [
    'cache' => fn() => opcache_get_status(false)['opcache_enabled'] ?? null,
    'zone' => fn() => date_default_timezone_get(),
    'charset' => fn() => mb_internal_encoding() . mb_language() . mb_substitute_character(),
    'errors' => fn() => error_reporting(),
    'float' => fn() => (1 / 3) . var_export(1 / 3, true),
    'query' => fn() => http_build_query(['a' => 1, 'b' => 2]),
    'collector' => fn() => gc_enabled(),
    'abort' => fn() => ignore_user_abort(),
    'include' => fn() => get_include_path(),
    'session' => fn() => session_module_name() . session_save_path() . session_name() . json_encode(session_get_cookie_params()),
    'locale' => fn() => Locale::getDefault(),
    'browser' => fn() => @get_browser('x'),
    'output' => fn() => json_encode(ob_list_handlers()),
];
foreach ($seen as $what => $look) {
    try { $value = json_encode($look()); } catch (Throwable $none) { $value = 'none'; }
    echo '* ', $what, ' = ', $value, PHP_EOL;
}
";

const VALUES: [&str; 10] = ["1", "0", "", "x", "/", "/etc/hosts", "/nonexistent/y", "-1", "99999999999999", "on"];

fn seen(server: &Server) -> Outcome<BTreeMap<String, String>> {
    let body = ask_once(&server.address, &Request::get(&server.sandbox.page("seen.php")), ms(10_000))?;
    let lines = body.lines().filter_map(|line| line.split_once(" = "));
    let table: BTreeMap<_, _> = lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    ensure!(table.len() > 80, "not the table of entries: {body:.1000}");
    Ok(table)
}

#[test]
fn each_is_undone() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    for variable in ["PHP_VALUE", "PHP_ADMIN_VALUE"] {
        let server = Server::start(&target, &Setup::new(1).pool("security.fastcgi_php_value = on"))?;
        server.sandbox.put("www/seen.php", SEEN)?;
        // A connection each: PHP cannot start a request with a few of these values, and the worker leaves.
        let hello = Request::get(&server.sandbox.page("hello.php"));
        // In the second round the results of the first one exist, such as a compiled script.
        seen(&server)?;
        let before = seen(&server)?;
        let mut differences = Vec::new();
        for name in before.keys().filter(|name| !name.starts_with("* ")) {
            for value in VALUES {
                let request = hello.clone().param(variable, &format!("{name}={value}"));
                // Debian's PHP ends the process if a buffer of that size is requested; the log shows a crash.
                let _ = ask_once(&server.address, &request, ms(10_000));
            }
            ensure!(server.log.count("exited on signal") == 0, "{variable}: {name}: {}", server.log.tail(5));
            let after = seen(&server).map_err(|error| format!("after {variable}: {name}: {error}"))?;
            let changed = before.iter().filter(|(entry, was)| after.get(*entry) != Some(was));
            differences
                .extend(changed.map(|(entry, was)| format!("{name}: {entry}: {was}, then {:?}", after.get(entry))));
        }
        ensure!(differences.is_empty(), "{variable}: {}", differences.join("\n"));
        server.stop()?;
    }
    Ok(())
}

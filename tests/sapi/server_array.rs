//! `$_SERVER` and ext/filter's copy of it: names, values and their order are those of php-fpm, whatever fills them.
#![forbid(unsafe_code)]

use std::path::Path;

use testkit::clock::ms;
use testkit::fastcgi::{Client, Request};
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

/// Tells both arrays in their order, what the functions of ext/filter say, also after a change of `$_SERVER`, and whether values and
/// keys that the script keeps are its own.
const TELLS: &str = r#"<?php
$steady = fn($array) => is_array($array) ? array_diff_key($array, ['REQUEST_TIME' => 0, 'REQUEST_TIME_FLOAT' => 0]) : $array;
$early = filter_has_var(INPUT_SERVER, 'HTTP_HOST');
$told = [
    'early' => $early, 'server' => $steady($_SERVER), 'times' => isset($_SERVER['REQUEST_TIME'], $_SERVER['REQUEST_TIME_FLOAT']),
    'filter' => filter_input_array(INPUT_SERVER), 'time' => filter_input(INPUT_SERVER, 'REQUEST_TIME'),
    'env' => $steady(filter_input_array(INPUT_ENV)), 'types' => array_map(gettype(...), array_keys($_SERVER)),
    'getenv' => $steady(getenv()), 'one' => getenv('HTTP_HOST'),
];
foreach (['PHP_SELF', 'HTTP_HOST', 'NONE', 'A_B', 'A.B', '1', 'HTTP_PROXY', 'PATH', ''] as $name)
    $told['asked'][] = [filter_has_var(INPUT_SERVER, $name), filter_input(INPUT_SERVER, $name), $_SERVER[$name] ?? null];
$_SERVER['HTTP_HOST'] .= ' changed';
$_SERVER['ADDED'] = 1;
unset($_SERVER['SCRIPT_NAME'], $_SERVER['A_B']);
foreach ($_SERVER as $key => &$value)
    $value = $key;
unset($value);
$copy = filter_input_array(INPUT_SERVER);
$copy['HTTP_HOST'] = 'other';
$told['after'] = [$steady($_SERVER), filter_input_array(INPUT_SERVER), filter_has_var(INPUT_SERVER, 'ADDED')];
extract(['HTTP_HOST' => 'x'] + $_SERVER, EXTR_PREFIX_ALL, 'v');
$object = (object) $_SERVER;
$told['object'] = $object->HTTP_HOST ?? null;
define(array_keys($_SERVER)[0] . '_CONSTANT', 1);
echo var_export($told, true);
"#;

/// php.ini of each pair of servers.
const SETTINGS: [&str; 8] = [
    "",
    "auto_globals_jit = 0",
    "filter.default = special_chars",
    "filter.default = unsafe_raw\nfilter.default_flags = 4",
    "variables_order = EGPCS",
    "variables_order = GPC",
    "register_argc_argv = 1",
    "variables_order = S\nopcache.enable = 0",
];

fn requests(page: &Path) -> Vec<Request> {
    let get = || Request::get(page);
    let odd = [
        ("A.B", "1"),
        ("A_B", "2"),
        ("A B", "3"),
        ("A[B]", "4"),
        ("A[B][C]", "5"),
        ("A[", "6"),
        (" A", "7"),
        ("1", "8"),
        ("007", "9"),
        ("-1", "10"),
        ("", "11"),
        ("this", "12"),
        ("GLOBALS", "13"),
        ("a-b", "14"),
        ("__Host-a", "15"),
        ("_ _Host-a", "16"),
        ("caf\u{e9}", "17"),
        ("x\0y", "18"),
        ("EMPTY", ""),
        ("NUL", "a\0b"),
        ("SHORT", "x"),
        ("HTTP_PROXY", "evil"),
        ("HTTP_X", "<b>&\"'"),
        ("REQUEST_TIME", "12"),
        ("PHP_SELF", "/mine"),
        ("argv", "mine"),
        ("PHP_AUTH_USER", "mine"),
        ("HTTP_AUTHORIZATION", "Basic dTpw"),
    ];
    let long = ["N".repeat(63), "N".repeat(64), "N".repeat(65), "N".repeat(3000)];
    let mut all: Vec<Request> = vec![get()];
    all.extend(odd.iter().map(|(name, value)| get().param(name, value)));
    all.push(odd.iter().fold(get(), |request, (name, value)| request.param(name, value)));
    all.push(odd.iter().rev().fold(get(), |request, (name, value)| request.param(name, value)));
    all.push(long.iter().fold(get(), |request, name| request.param(name, name)));
    // More names than a worker keeps.
    all.extend((0..8).map(|turn| {
        (0..100).fold(get(), |request, at| request.param(&format!("HTTP_X_{turn}_{at}"), &format!("{turn} {at}")))
    }));
    all.push(odd.iter().fold(get(), |request, (name, value)| request.param(name, value)));
    all.push(get());
    all
}

/// What a server says to each of the requests. `root`: the directory of the page.
fn told(target: &Target, setup: &Setup, page: &Path) -> Outcome<Vec<String>> {
    let server = Server::start(target, setup)?;
    let mut client = Client::connect(&server.address, ms(10_000))?;
    let answers: Outcome<Vec<String>> =
        requests(page).into_iter().map(|request| Ok(client.ask(&request.keep())?.body())).collect();
    drop(client);
    server.stop()?;
    answers
}

#[test]
fn is_that_of_php_fpm() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let pages = Sandbox::new()?;
    pages.put("www/tells.php", TELLS)?;
    let page = pages.page("tells.php");
    for setting in SETTINGS {
        let setup = Setup::new(1).pool("env[HTTP_HOST] = of the pool").pool("env[OWN] = own").ini(setting);
        let (ours, stock) = (told(&target, &setup, &page)?, told(&target.partner(), &setup, &page)?);
        for (at, (ours, stock)) in ours.iter().zip(&stock).enumerate() {
            ensure!(ours.contains("'after' =>"), "{setting}, request {at}: {ours}");
            let differs = ours.lines().zip(stock.lines()).find(|(one, other)| one != other);
            ensure!(ours == stock, "{setting}, request {at}: {differs:?}");
        }
    }
    Ok(())
}

//! `fastcgi.error_header`: every way in which a script can fail, compared with php-fpm, through nginx and sent
//! directly.
#![forbid(unsafe_code)]

use testkit::clock::ms;
use testkit::fastcgi::{Client, Request};
use testkit::nginx::{Nginx, Upstream};
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::{Door, Target};
use testkit::{Outcome, ensure, turn};

const BOO: &str = "HTTP/1.0 550 Server Made Big Boo";

/// Scripts that fail before any output.
const FAILING: [(&str, &str); 11] = [
    ("fatal", "<?php interface I { function f(); } eval('class C implements I {}');"),
    ("undefined", "<?php no_such_function();"),
    ("parse", "<?php if (;"),
    ("include", "<?php include __DIR__ . '/parse.php';"),
    ("exception", "<?php throw new Exception('x');"),
    ("user", "<?php error_reporting(E_ALL & ~E_DEPRECATED); trigger_error('x', E_USER_ERROR);"),
    ("silent", "<?php @trigger_error('x', E_USER_ERROR);"),
    ("memory", "<?php ini_set('memory_limit', '4M'); str_repeat('x', 64 << 20);"),
    ("time", "<?php set_time_limit(1); while (true);"),
    ("own", "<?php http_response_code(404); header('X-Own: 1'); throw new Exception('x');"),
    ("exit", "<?php exit(255);"),
];

/// Scripts that end successfully, whatever happened before.
const GOOD: [(&str, &str); 8] = [
    ("hello", "<?php echo 'hello';"),
    ("caught", "<?php try { no_such_function(); } catch (Error) { echo 'caught'; }"),
    ("caught-parse", "<?php try { include __DIR__ . '/parse.php'; } catch (ParseError) { echo 'caught'; }"),
    ("handled", "<?php set_error_handler(fn () => true); trigger_error('x', E_USER_ERROR); echo 'handled';"),
    ("warning", "<?php trigger_error('x', E_USER_WARNING); echo 'on';"),
    ("status", "<?php exit(254);"),
    // soap turns a fatal error into an exception.
    (
        "soap",
        "<?php if (class_exists('SoapClient')) { try { new SoapClient('/no/such.wsdl'); } catch (SoapFault) { echo 'fault'; } }",
    ),
    ("finished", "<?php fastcgi_finish_request(); throw new Exception('x');"),
];

fn pages(server: &Server) -> Outcome {
    FAILING.iter().chain(&GOOD).try_for_each(|(name, text)| server.sandbox.put(&format!("www/{name}.php"), text))
}

fn setup(display: u8, buffer: u32) -> Setup {
    Setup::new(1).ini(&format!("display_errors = {display}")).ini(&format!("output_buffering = {buffer}"))
}

/// The statuses of all failing pages; a good page after each shows that the header is gone.
fn statuses(target: &Target, setup: &Setup) -> Outcome<Vec<(&'static str, u16)>> {
    let server = Server::start(target, setup)?;
    pages(&server)?;
    let nginx = Nginx::start(&server.sandbox, &server.address, Upstream::PerRequest)?;
    let mut web = nginx.client(ms(20_000));
    let mut seen = Vec::new();
    for (name, _) in FAILING {
        let reply = web.get(&format!("/{name}.php"))?;
        ensure!(name != "own" || reply.header("x-own") == Some("1"), "the script's header has gone");
        seen.push((name, reply.status));
        ensure!(web.get("/hello.php")?.expect(200)?.text() == "hello", "after {name}");
    }
    for (name, _) in GOOD {
        let reply = web.get(&format!("/{name}.php"))?.expect(200).map_err(|error| format!("{name}: {error}"))?;
        // Debian's is installed with the tests.
        let soap = target.door == Door::Stock && !target.opcache_by_hand();
        ensure!(name != "soap" || !soap || reply.text() == "fault", "no soap: {}", reply.text());
    }
    server.stop()?;
    Ok(seen)
}

#[test]
fn whatever_fails_before_headers_are_sent() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let boo = FAILING.map(|(name, _)| (name, 550));
    for (display, buffer) in [(0, 0), (0, 4096), (1, 0), (1, 4096)] {
        let setup = setup(display, buffer).ini(&format!("fastcgi.error_header = \"{BOO}\""));
        let ours = statuses(&target, &setup)?;
        ensure!(ours == boo, "display_errors {display}, output_buffering {buffer}: {ours:?}");
    }
    Ok(())
}

/// php-fpm's results: the same, except for errors that are shown at once, whose headers have already been sent.
/// Without the setting both keep PHP's 500.
#[test]
fn as_php_fpm_where_errors_are_not_shown() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let boo = format!("fastcgi.error_header = \"{BOO}\"");
    let partner = target.partner();
    let theirs = statuses(&partner, &setup(0, 0).ini(&boo))?;
    ensure!(theirs == FAILING.map(|(name, _)| (name, 550)), "php-fpm: {theirs:?}");
    let shown = statuses(&partner, &setup(1, 0).ini(&boo))?;
    let at_once = shown.iter().filter(|(_, status)| *status == 200).count();
    ensure!(at_once > 5, "php-fpm has the header for errors that it shows now: {shown:?}");
    for display in [0, 1] {
        let (ours, theirs) = (statuses(&target, &setup(display, 0))?, statuses(&partner, &setup(display, 0))?);
        ensure!(ours == theirs, "without the setting, display_errors {display}: {ours:?}, php-fpm {theirs:?}");
    }
    Ok(())
}

/// The pool's configuration sets a text of its own; no effect after output; soap's fault and a later header are kept.
#[test]
fn words_and_places() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let setup = Setup::new(1).pool(&format!("php_admin_value[fastcgi.error_header] = \"{BOO}\""));
    let server = Server::start(&target, &setup)?;
    pages(&server)?;
    let more = [
        ("sent", "<?php echo 'out'; flush(); throw new Exception('x');", "", "out"),
        (
            "buffered",
            "<?php ob_start(); echo 'out'; throw new Exception('x');",
            "Status: 550 Server Made Big Boo",
            "out",
        ),
        (
            "later",
            "<?php register_shutdown_function(fn () => header('HTTP/1.1 503 Later')); throw new Exception('x');",
            "Status: 503 Later",
            "",
        ),
        (
            "handler",
            "<?php set_exception_handler(function () { http_response_code(409); }); throw new Exception('x');",
            "Status: 409 Conflict",
            "",
        ),
    ];
    for (name, text, status, body) in more {
        server.sandbox.put(&format!("www/{name}.php"), text)?;
        let request = Request::get(&server.sandbox.page(&format!("{name}.php")));
        let answer = Client::connect(&server.address, ms(10_000))?.ask(&request)?;
        let said = answer.headers().lines().find(|line| line.starts_with("Status: ")).unwrap_or_default().to_owned();
        ensure!(said == status && answer.body() == body, "{name}: {said:?}, {:?}", answer.body());
    }
    server.stop()
}

//! Requests that PHP rejects before their script runs: a body larger than `memory_limit`, a .user.ini of that size.
#![forbid(unsafe_code)]

use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Client, Request};
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::{Door, Target};
use testkit::{Outcome, ensure, turn};

/// The client gets the reason, and the worker leaves as php-fpm's does: with an exit, not by a signal. The next
/// worker serves.
#[test]
fn before_the_script() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let settings = ["memory_limit = 3M", "post_max_size = 100M", "display_errors = 1", "fastcgi.logging = 0"];
    let setup = settings.into_iter().fold(Setup::new(1), |setup, line| setup.ini(line));
    let server = Server::start(&target, &setup.pool("catch_workers_output = yes"))?;
    std::fs::create_dir(server.sandbox.page("odd"))?;
    server.sandbox.put("www/odd/hello.php", "<?php echo 'odd';")?;
    // Less than twice the limit: with more, Debian's PHP ends the process.
    server.sandbox.put("www/odd/.user.ini", &format!(";{}\n", "x".repeat(3_200_000)))?;
    let hello = Request::get(&server.sandbox.page("hello.php"));
    let odd = Request::get(&server.sandbox.page("odd/hello.php"));
    let large = Request::post(&server.sandbox.page("hello.php"), &[b'x'; 5_000_000]);
    let ask = |request: &Request| Client::connect(&server.address, ms(20_000))?.ask(request);
    for (times, request) in [odd, large].into_iter().enumerate() {
        // A worker that has served differs from a fresh one: PHP has the state of its last request.
        let first = ask(&hello)?.body();
        ensure!(first.contains("hello"), "{first}");
        let body = ask(&request)?.body();
        ensure!(body.contains("Allowed memory size of 3145728 bytes exhausted"), "{body}");
        // Debian's PHP continues with the request, so both do.
        if target.door != Door::Stock {
            let left = || server.log.count("exited with code 70");
            wait_until("the worker's end", ms(10_000), || left() > times)?;
        }
    }
    let last = ask(&hello)?.body();
    ensure!(last.contains("hello") && server.log.count("exited on signal") == 0, "{last}: {}", server.log.text());
    server.stop()
}

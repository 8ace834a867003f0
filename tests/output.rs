//! What workers write to stdout and stderr: a flood of it, and messages around a reload.
#![forbid(unsafe_code)]

use std::time::Instant;

use nix::sys::signal::Signal;
use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Client, Request, ask_once};
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::{Listen, Setup};
use testkit::stream::Address;
use testkit::target::{Target, web_user};
use testkit::{Outcome, ensure, turn};

/// Writes lines of a hundred bytes to stderr for two seconds, and says how many.
const FLOOD: &str =
    "<?php $out = fopen('php://stderr', 'w'); $end = microtime(true) + 2; $line = str_repeat('x', 99) . \"\\n\";
    for ($n = 0; microtime(true) < $end; $n++) { fwrite($out, str_repeat($line, 50)); } echo $n * 50;";

#[test]
fn a_flood_stalls_nobody() -> Outcome {
    let Some(target) = Target::find_ours("output::a_flood_stalls_nobody") else { return Ok(()) };
    let _turn = turn::alone()?;
    let sandbox = Sandbox::new()?;
    sandbox.put("www/flood.php", FLOOD)?;
    let noisy = Address::Unix(sandbox.file("noisy.sock"));
    let mut setup = Setup::new(1).listen(Listen::Unix).pool("[noisy]").pool("pm = static").pool("pm.max_children = 1");
    setup =
        setup.pool(&format!("listen = {}", sandbox.file("noisy.sock").display())).pool("catch_workers_output = yes");
    if let Some(user) = web_user() {
        setup = setup.pool(&format!("user = {user}")).pool(&format!("group = {user}"));
    }
    let server = Server::start_in(sandbox, &target, &setup)?;
    let mut flood = Client::connect(&noisy, ms(10_000))?;
    flood.send(&Request::get(&server.sandbox.page("flood.php")).encode(1))?;
    wait_until("the flood comes", ms(3000), || server.log.count("said into stderr") > 100)?;
    let mut worst = ms(0);
    for _ in 0..20 {
        let asked = Instant::now();
        ask_once(&server.address, &Request::get(&server.sandbox.page("hello.php")), ms(10_000))?;
        worst = worst.max(asked.elapsed());
    }
    let asked = Instant::now();
    server.supervisor.signal(Signal::SIGUSR1);
    wait_until("the supervisor hears a signal", ms(2000), || server.log.count("error log file re-opened") > 0)?;
    let heard = asked.elapsed();
    let lines: usize = flood.answer()?.body().trim().parse()?;
    ensure!(worst < testkit::clock::bar(ms(250)), "another pool's request took {worst:?}");
    wait_until("what was dropped is told", ms(3000), || server.log.count("bytes dropped") > 0)?;
    // The flood lasts two seconds, so it falls into three at the most.
    let logged = server.log.count("said into stderr");
    let most = 3 * (1 << 20) / 100 + 1000;
    ensure!(logged <= most && lines > 2 * logged, "{lines} lines written, {logged} logged");
    ensure!(
        server.log.count("bytes dropped") <= 5,
        "{} lines tell of dropped bytes",
        server.log.count("bytes dropped")
    );
    testkit::target::say(&format!("flood: {lines} lines, {logged} logged; other pool {worst:?}, signal {heard:?}"));
    server.stop()
}

#[test]
fn a_message_is_whole_across_a_reload() -> Outcome {
    let Some(target) = Target::find_ours("output::a_message_is_whole_across_a_reload") else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let page = "<?php fwrite(fopen('php://stderr', 'w'), 'begun'); usleep(1500000); fwrite(fopen('php://stderr', 'w'), 'ended');";
    sandbox.put("www/slow.php", page)?;
    let server = Server::start_in(sandbox, &target, &Setup::new(1).pool("catch_workers_output = yes"))?;
    let mut client = Client::connect(&server.address, ms(10_000))?;
    client.send(&Request::get(&server.sandbox.page("slow.php")).encode(1))?;
    std::thread::sleep(ms(300));
    server.reload()?;
    client.answer()?;
    // The image that read the beginning has logged it; what came later is the next one's.
    wait_until("both halves are logged", ms(3000), || {
        let text = server.log.text();
        text.contains("said into stderr: \"begun\"") && text.contains("said into stderr: \"ended\"")
    })?;
    server.stop()
}

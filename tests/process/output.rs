//! Output of workers on stdout and stderr: a flood, and messages around a reload.
#![forbid(unsafe_code)]

use std::time::Instant;

use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Client, Request, ask_once};
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::{Listen, Setup};
use testkit::stream::Address;
use testkit::target::{Target, web_user};
use testkit::{Outcome, ensure, say, skip, turn};

/// Writes lines of a hundred bytes to stderr for two seconds, with their number at both ends, and prints how many.
const FLOOD: &str = "<?php $out = fopen('php://stderr', 'w'); $end = microtime(true) + 2; $fill = str_repeat('x', 83);
    for ($n = 0; microtime(true) < $end; $n += 50) {
        for ($lines = '', $i = 0; $i < 50; $i++) { $lines .= sprintf(\"%08d%s%08d\\n\", $n + $i, $fill, $n + $i); }
        fwrite($out, $lines);
    } echo $n;";

#[test]
fn a_flood_stalls_nobody() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
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
    let heard = server.hears(ms(2000))?;
    let lines: usize = flood.answer()?.body().trim().parse()?;
    ensure!(worst < testkit::clock::bar(ms(250)), "another pool's request took {worst:?}");
    wait_until("what was dropped is told", ms(3000), || server.log.count("bytes dropped") > 0)?;
    // The flood lasts two seconds, so it is in three seconds of the log at most.
    let logged = server.log.count("said into stderr");
    let most = 3 * (1 << 20) / 100 + 1000;
    ensure!(logged <= most && lines > 2 * logged, "{lines} lines written, {logged} logged");
    ensure!(
        server.log.count("bytes dropped") <= 5,
        "{} lines tell of dropped bytes",
        server.log.count("bytes dropped")
    );
    let text = server.log.text();
    for line in text.lines().filter_map(|line| line.split(" said into stderr: \"").nth(1)?.strip_suffix('"')) {
        // Before and after dropped output there may be parts of lines, but never two in one line.
        let ends = (line.get(..8), line.len().checked_sub(8).and_then(|at| line.get(at..)));
        ensure!(line.len() < 99 || (line.len() == 99 && ends.0 == ends.1), "{line}");
    }
    say(&format!("flood: {lines} lines, {logged} logged; other pool {worst:?}, signal {heard:?}"));
    server.stop()
}

#[test]
fn each_worker_speaks_for_itself() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let page = "<?php fwrite(fopen('php://stderr', 'w'), 'I am ' . getmypid() . \"\\n\"); usleep(300000);";
    sandbox.put("www/who.php", page)?;
    let server = Server::start_in(sandbox, &target, &Setup::new(6).pool("catch_workers_output = yes"))?;
    let request = Request::get(&server.sandbox.page("who.php"));
    let mut clients = Vec::new();
    for _ in 0..6 {
        let mut client = Client::connect(&server.address, ms(10_000))?;
        client.send(&request.encode(1))?;
        clients.push(client);
    }
    clients.iter_mut().try_for_each(|client| client.answer().map(|_| ()))?;
    wait_until("all have spoken", ms(3000), || server.log.count("I am ") == 6)?;
    let text = server.log.text();
    for line in text.lines().filter(|line| line.contains("I am ")) {
        let number = |before: &str| line.split(before).nth(1).and_then(|rest| rest.split([' ', '"']).next());
        ensure!(number("child ") == number("I am "), "{line}");
    }
    server.stop()
}

/// Words of all lengths around the limits, with separators.
const WORDS: &str = "<?php $out = fopen('php://stderr', 'w'); function say($text) { fwrite($GLOBALS['out'], $text); usleep(2000); }
    foreach ([1, 10, ...range(425, 440), ...range(935, 955), ...range(1018, 1026), 2000, 2047, 5000] as $n) { say(str_repeat('a', $n) . \"\\n\"); }
    say(\"x\\n\\ny\\n\"); say('no newline'); say(\" goes on\\n\"); say(\"mark\\0fscf\\0behind\\n\"); say(\"tab\\t\\\"quoted\\\"\\n\");
    say(\"\\xc3\\xa4 \\xff\\n\"); say('the end of the request');";

#[test]
fn lines_are_php_fpms() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    for decorate in ["yes", "no"] {
        for limit in ["512", "1024", "8192"] {
            let setup = Setup::new(1).global(&format!("log_limit = {limit}")).pool("catch_workers_output = yes");
            let setup = setup.pool(&format!("decorate_workers_output = {decorate}"));
            let [ours, stock] = [target.clone(), target.partner()].map(|target| said(&target, &setup));
            let ((pid, ours), (stock_pid, stock)) = (ours?, stock?);
            if pid != stock_pid {
                // A longer pid leaves less room for the text.
                skip(&format!("one setting is not compared: pids of {pid} and {stock_pid} digits"));
                continue;
            }
            ensure!(stock.len() > 40, "php-fpm has logged {} lines only", stock.len());
            let at = (0..ours.len().max(stock.len())).find(|at| ours.get(*at) != stock.get(*at));
            let Some(at) = at else { continue };
            let (ours, stock) = (ours.get(at), stock.get(at));
            return Err(format!("decorate {decorate}, limit {limit}, line {at}: {ours:?}, php-fpm {stock:?}").into());
        }
    }
    Ok(())
}

/// The lines of two requests in the log, without date and pid, and how many digits the pid has.
fn said(target: &Target, setup: &Setup) -> Outcome<(usize, Vec<String>)> {
    let sandbox = Sandbox::new()?;
    sandbox.put("www/words.php", WORDS)?;
    let server = Server::start_in(sandbox, target, setup)?;
    for _ in 0..2 {
        ask_once(&server.address, &Request::get(&server.sandbox.page("words.php")), ms(10_000))?;
    }
    wait_until("both requests have ended in the log", ms(5000), || server.log.count("the end of the request") >= 2)?;
    let digits = server.workers().first().map_or(0, |worker| worker.pid.to_string().len());
    let text = server.log.text();
    let own = |line: &&str| !line.contains("NOTICE: ");
    let masked = |line: &str| {
        let undated = line.split_once("] WARNING: ").map_or(line, |(_, rest)| rest);
        match undated.split_once(" said into") {
            Some((head, tail)) => format!("{} {tail}", head.trim_end_matches(|c: char| c.is_ascii_digit())),
            None => undated.to_owned(),
        }
    };
    // Ours escapes bytes that are not text; php-fpm writes them unchanged.
    let stray = |line: String| if line.contains('"') { line.replace('\u{fffd}', "\\xFF") } else { line };
    let lines = text.lines().filter(own).map(masked).map(stray).collect();
    server.stop()?;
    Ok((digits, lines))
}

#[test]
fn a_message_is_whole_across_a_reload() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
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
    // The supervisor image that read the beginning has logged it; the next image logs the rest.
    wait_until("both halves are logged", ms(3000), || {
        let text = server.log.text();
        text.contains("said into stderr: \"begun\"") && text.contains("said into stderr: \"ended\"")
    })?;
    server.stop()
}

/// Output of PHP at its start appears once, at that time, and not again for each worker that ends.
#[test]
fn startup_errors_are_told_once() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let setup = Setup::new(1).ini("display_errors = 1").ini("log_errors = 0").ini("extension = nope");
    let setup = setup.pool("catch_workers_output = yes").pool("pm.max_requests = 1");
    let server = Server::start(&target, &setup.pool("php_admin_value[date.timezone] = Mars"))?;
    let told = |what: &str| server.log.count(what);
    ensure!(told("Unable to load dynamic library 'nope'") == 1, "{}", server.log.text());
    for _ in 0..3 {
        ask_once(&server.address, &Request::get(&server.sandbox.page("hello.php")), ms(10_000))?;
    }
    // Each worker has its own mistake to report: before there were three, now there is one.
    wait_until("the workers' words", ms(5000), || told("Invalid date.timezone value 'Mars'") == 4)?;
    ensure!(told("Unable to load dynamic library 'nope'") == 1, "{}", server.log.text());
    server.stop()
}

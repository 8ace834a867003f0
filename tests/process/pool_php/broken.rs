//! A pool whose php-cgi or php.ini cannot be used does not start, and keeps no other pool from starting or reloading.
#![forbid(unsafe_code)]

use std::fs;
use std::time::Instant;

use nix::sys::signal::Signal;
use testkit::clock::{bar, ms, wait_until};
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stage::{command_in, run_to_end};
use testkit::target::{Target, web_user};
use testkit::{Outcome, ensure, turn};

use super::{ask, configure, fake, section, start, start_with};

/// A pool with this php.ini, of the usual user.
fn with_ini(name: &str, ini: &str) -> String {
    section(name, web_user().unwrap_or_default(), &format!("process.php_ini = {{{{DIR}}}}/{ini}"))
}

/// Whether PHP has this memory limit in that pool.
fn has(server: &Server, pool: &str, limit: &str) -> bool {
    ask(server, pool, "facts.php").is_ok_and(|facts| facts.contains(limit))
}

/// At a start: each says why, the others serve, and what is mended serves without a reload.
#[test]
fn others_start() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let user = web_user().unwrap_or_default();
    let pools = [
        section("good", user, ""),
        section("program", user, "process.php = {{DIR}}/no/php-cgi"),
        with_ini("ini", "no.ini"),
        section("scan", user, "process.php_ini_scan_dir = {{DIR}}/no.d"),
    ];
    let server = start(&target, Sandbox::new()?, "good", &pools)?;
    let dir = server.sandbox.path().display().to_string();
    for said in [
        format!("[pool program] process.php = {dir}/no/php-cgi: No such file or directory"),
        format!("[pool ini] process.php_ini = {dir}/no.ini: No such file or directory"),
        format!("[pool scan] process.php_ini_scan_dir = {dir}/no.d: No such file or directory"),
    ] {
        wait_until(&said, ms(10_000), || server.log.text().contains(&said))?;
    }
    ensure!(ask(&server, "good", "hello.php")? == "hello", "the good pool does not serve");
    server.sandbox.put("no.ini", "memory_limit = 71M\n")?;
    wait_until("the mended pool serves", ms(40_000), || has(&server, "ini", "71M"))?;
    server.stop()
}

/// At a reload: the pool keeps its former php.ini and program, and the others get their new ones.
#[test]
fn others_reload() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let user = web_user().unwrap_or_default();
    let sandbox = Sandbox::new()?;
    sandbox.put("a.ini", "memory_limit = 71M\n")?;
    sandbox.put("b.ini", "memory_limit = 72M\n")?;
    let pools = [with_ini("a", "a.ini"), with_ini("b", "b.ini"), section("c", user, "")];
    let server = start(&target, sandbox, "a", &pools)?;
    server.sandbox.put("a.ini", "memory_limit = 81M\n")?;
    fake(&server.sandbox, "echo broken")?;
    let broken = section("c", user, "process.php = {{DIR}}/fake");
    configure(&server, &[with_ini("a", "a.ini"), with_ini("b", "none.ini"), broken])?;
    let before = ask(&server, "c", "pid.php")?;
    let mark = server.log.mark();
    server.supervisor.signal(Signal::SIGUSR2);
    server.log.wait_for(mark, &["Reloading in progress", "ready to handle connections"], ms(20_000))?;
    for said in ["fake --fpm does not work: broken", "none.ini: No such file"] {
        ensure!(server.log.since(mark).contains(said), "{said} isn't in the log: {}", server.log.since(mark));
    }
    wait_until("the new php.ini of the good pool", ms(10_000), || has(&server, "a", "81M"))?;
    ensure!(has(&server, "b", "72M"), "the other pool has lost its php.ini");
    ensure!(ask(&server, "c", "pid.php")? == before, "the pool with the broken program has another worker");
    server.stop()
}

/// A php.ini with a syntax error: PHP would start without the settings that follow it. `-t` fails, a reload keeps the former settings,
/// and at a start only this pool does not serve. The global php.ini has PHP's rule: its error is no more than a message.
#[test]
fn a_syntax_error_is_not_ignored() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let user = web_user().unwrap_or_default();
    let sandbox = Sandbox::new()?;
    sandbox.put("a.ini", "precision = 5\nmemory_limit = 71M\n")?;
    sandbox.put("b.ini", "; one\nprecision = a(b\nmemory_limit = 72M\n")?;
    let pools = [section("good", user, ""), with_ini("a", "a.ini"), with_ini("b", "b.ini")];
    let server = start(&target, sandbox, "good", &pools)?;
    let file = server.sandbox.file("b.ini").display().to_string();
    let said = format!("[pool b] process.php_ini: {file}:2: syntax error, unexpected '('");
    wait_until(&said, ms(10_000), || server.log.text().contains(&said))?;

    server.sandbox.put("a.ini", "precision = 6\nx = (\nmemory_limit = 81M\n")?;
    server.sandbox.put("php.ini", "memory_limit = 82M\nx = (\n")?;
    let mark = server.log.mark();
    server.supervisor.signal(Signal::SIGUSR2);
    server.log.wait_for(mark, &["Reloading in progress", "[pool a] process.php_ini: "], ms(20_000))?;
    wait_until("the new php.ini of the good pool", ms(10_000), || has(&server, "good", "82M"))?;
    ensure!(has(&server, "a", "71M"), "the pool has lost its former settings");

    let tested = run_to_end(&mut command_in(&target, &server.sandbox, &["-t"]))?;
    tested.expect(78, &["[pool a] process.php_ini: ", "a.ini:2: syntax error", &said])?;
    server.stop()
}

/// A base zygote does not start PHP without the php.ini that the pools name: each group says that it is missing.
#[test]
fn a_base_zygote_needs_it_too() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let own = |at: u32| section(&format!("own{at}"), &(2001 + at).to_string(), "process.php_ini = {{DIR}}/no.ini");
    let mut pools = vec![section("good", "2010", "")];
    pools.extend((0..5).map(own));
    let server = start(&target, Sandbox::new()?, "good", &pools)?;
    for at in 0..5 {
        let said = format!("[pool own{at}] process.php_ini = ");
        wait_until(&said, ms(10_000), || server.log.text().contains(&said))?;
    }
    ensure!(ask(&server, "good", "hello.php")? == "hello", "the good pool does not serve");
    server.stop()
}

/// Programs that do not answer, each of them another file: they delay neither the start nor a reload of other groups, nor signals.
/// `-t` waits for all of them together.
#[test]
fn programs_that_do_not_answer() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let user = web_user().unwrap_or_default();
    let sandbox = Sandbox::new()?;
    fake(&sandbox, "exec sleep 60")?;
    for at in 0..3 {
        fs::copy(sandbox.file("fake"), sandbox.file(&format!("fake{at}")))?;
    }
    let silent = |at: usize| section(&format!("silent{at}"), user, &format!("process.php = {{{{DIR}}}}/fake{at}"));
    let silents = || (0..3).map(silent);
    let pools: Vec<String> = silents().chain([section("good", user, "")]).collect();
    let begun = Instant::now();
    let server = start_with(&target, sandbox, "good", &pools, Setup::new(1))?;
    ensure!(ask(&server, "good", "hello.php")? == "hello", "the good pool does not serve");
    ensure!(begun.elapsed() < bar(ms(9000)), "the start took {:?}", begun.elapsed());
    let reasons = || (0..3).all(|at| server.log.count(&format!("fake{at} --fpm does not say within 5 seconds")) > 0);
    wait_until("the reasons", ms(20_000), reasons)?;

    // Files with other marks: they are asked again.
    fake(&server.sandbox, "exec sleep 60 # again")?;
    for at in 0..3 {
        fs::copy(server.sandbox.file("fake"), server.sandbox.file(&format!("fake{at}")))?;
    }
    configure(&server, &silents().chain([section("good", user, "env[N] = 2")]).collect::<Vec<_>>())?;
    let (begun, mark) = (Instant::now(), server.log.mark());
    server.supervisor.signal(Signal::SIGUSR2);
    server.await_generation("good", 2, ms(20_000))?;
    ensure!(begun.elapsed() < bar(ms(9000)), "the reload took {:?}", begun.elapsed());
    let heard = server.hears(ms(5000))?;
    ensure!(heard < bar(ms(100)), "a signal was heard after {heard:?}");
    server.log.wait_for(mark, &["ready to handle connections"], ms(20_000))?;

    let begun = Instant::now();
    let tested = run_to_end(&mut command_in(&target, &server.sandbox, &["-t"]))?;
    tested.expect(78, &["fake0 --fpm does not say within 5 seconds", "fake2 --fpm does not say"])?;
    ensure!(begun.elapsed() < bar(ms(9000)), "-t took {:?}", begun.elapsed());
    server.stop()
}

//! Signals during a reload.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::clock::{ms, wait_until};
use testkit::load::{Plan, asker};
use testkit::log::Log;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, say, turn};

use super::{LIMIT, READY, await_pid, expect_end};

/// SIGUSR2 about every millisecond, from the first moment on.
#[test]
fn reloads_during_the_start() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::shared()?;
    for pause in [0, 1, 7] {
        let mut server = Server::spawn(&target, &Setup::new(2))?;
        await_pid(&server)?;
        let end = Instant::now() + ms(700);
        while Instant::now() < end {
            server.supervisor.signal(Signal::SIGUSR2);
            std::thread::sleep(ms(pause));
        }
        server.await_ready()?;
        quiet(&server)?;
        server.reload()?;
        server.says_hello(&server.address)?;
        server.stop()?;
    }
    Ok(())
}

/// Waits until no reload is in progress.
fn quiet(server: &Server) -> Outcome {
    let counts = || (server.log.count("Reloading in progress"), server.log.count(READY));
    let mut before = counts();
    let mut since = Instant::now();
    wait_until("the last reload's end", ms(20_000), || {
        let now = counts();
        if now != before {
            (before, since) = (now, Instant::now());
        }
        // `ready` once at the start, and once for each reload.
        now.1 == now.0 + 1 && since.elapsed() > ms(700)
    })?;
    Ok(())
}

/// SIGUSR2 without pause while a long request keeps the previous generation alive, and clients send other requests.
#[test]
fn reloads_during_a_drain() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::alone()?;
    let server = Server::start(&target, &Setup::new(3))?;
    let mut long = server.in_hand(ms(4000))?;
    let load = Plan::clients(2).pause(ms(5)).start(|_| asker(&server.address, &server.hello(), "hello", LIMIT));
    let end = Instant::now() + ms(3000);
    let mut sent = 0;
    while Instant::now() < end {
        server.supervisor.signal(Signal::SIGUSR2);
        sent += 1;
        std::thread::sleep(ms(3));
    }
    let body = long.answer()?.body();
    quiet(&server)?;
    let tally = load.stop();
    say(&format!("{sent} signals, {} reloads; {}", server.log.count(READY) - 1, tally.summary()));
    ensure!(body == "done", "the request in hand: {body}");
    tally.expect_no_failure()?;
    server.await_workers(3, LIMIT)?;
    server.stop()
}

/// SIGTERM, SIGINT and SIGQUIT at every stage of a reload.
#[test]
fn ends_during_a_reload() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let mut longest = Duration::ZERO;
    for step in 0..18_u32 {
        let signal = [Signal::SIGTERM, Signal::SIGQUIT, Signal::SIGINT][step as usize % 3];
        let mut server = Server::start(&target, &Setup::new(2))?;
        server.supervisor.signal(Signal::SIGUSR2);
        std::thread::sleep(ms(12) * step);
        server.supervisor.signal(signal);
        let took = expect_end(&mut server, ms(5000)).map_err(|e| format!("{signal} {step}: {e}"))?;
        longest = longest.max(took);
    }
    say(&format!("the longest end took {longest:.1?}"));
    Ok(())
}

/// At every stage of a reload the log is moved away and SIGUSR1 sent: after `re-opened`, all lines are in the new
/// file.
#[test]
fn logs_opened_anew_during_a_reload() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let access = "access.log = $dir/out/access.log\naccess.format = \"%q\"\ncatch_workers_output = yes";
    let sandbox = testkit::sandbox::Sandbox::new()?;
    let access = access.replace("$dir", &sandbox.path().display().to_string());
    let server = Server::start_in(sandbox, &target, &Setup::new(2).pool(&access).global("log_level = debug"))?;
    let load = Plan::clients(2).pause(ms(3)).start(|_| asker(&server.address, &server.hello(), "hello", LIMIT));
    for step in 0..16_u32 {
        let away = |name: &str| server.sandbox.file(&format!("{name}.{step}"));
        server.supervisor.signal(Signal::SIGUSR2);
        std::thread::sleep(ms(15) * step);
        fs::rename(server.sandbox.file("fpm.log"), away("fpm.log"))?;
        fs::rename(server.sandbox.file("out/access.log"), away("out/access.log"))?;
        server.supervisor.signal(Signal::SIGUSR1);
        let (old, new) = (Log::new(&away("fpm.log")), server.log.clone());
        wait_until("the new log", LIMIT, || new.count("access log file re-opened") > 0)?;
        let (before, access_before) = (old.text(), fs::read(away("out/access.log"))?);
        quiet_behind(&[&old, &new])?;
        std::thread::sleep(ms(50));
        ensure!(old.text() == before, "step {step}: still written to the old log:\n{}", &old.text()[before.len()..]);
        let access_after = fs::read(away("out/access.log"))?;
        ensure!(access_after == access_before, "step {step}: {} bytes more in the old access log", access_after.len());
        wait_until("lines in the new access log", LIMIT, || {
            fs::metadata(server.sandbox.file("out/access.log")).is_ok_and(|data| data.len() > 0)
        })?;
    }
    load.stop().expect_no_failure()?;
    server.stop()
}

/// Waits until the requested reload has ended: its last line is in one of the two files.
fn quiet_behind(logs: &[&Log]) -> Outcome {
    let count = |text| logs.iter().map(|log| log.count(text)).sum::<usize>();
    wait_until("the reload's end", LIMIT, || {
        let all: String = logs.iter().map(|log| log.text()).collect();
        let last = all.rfind("Reloading in progress");
        last.is_some_and(|at| all[at..].contains(READY)) && count("received SIGUSR1") > 0
    })?;
    Ok(())
}

//! systemd's side: messages at start, reload and end, the watchdog, sockets that it passes or stores.
#![forbid(unsafe_code)]

mod life;
mod manager;
mod sockets;

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::time::{ClockId, clock_gettime};
use testkit::around::Around;
use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::{Request, ask_once};
use testkit::process::{Process, end_all};
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stage::{Stage, run_to_end};
use testkit::stream::Address;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use manager::{Manager, line};

const LIMIT: Duration = Duration::from_secs(10);
const READY: &str = "STATUS=Ready to handle connections";

/// The environment that a manager gives a service.
fn served_by(manager: &Manager) -> Around {
    Around { environment: vec![("NOTIFY_SOCKET".into(), manager.address.clone())], ..Around::default() }
}

fn at_path(sandbox: &Sandbox) -> Address {
    Address::Unix(sandbox.file("fpm.sock"))
}

fn monotonic() -> Outcome<u64> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    Ok(u64::try_from(now.tv_sec())? * 1_000_000 + u64::try_from(now.tv_nsec())? / 1000)
}

/// php-fpm's line every `systemd_interval`; after a refused reload it says so.
#[test]
fn status() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let mut manager = Manager::at_path(&sandbox)?;
    let setup = Setup::new(2).global("systemd_interval = 1");
    let server = Server::start_amid(served_by(&manager), at_path(&sandbox), sandbox, &target, &setup)?;
    // It follows `ready`.
    wait_until("the line about the interval", LIMIT, || {
        server.log.count("systemd monitor interval set to 1000ms") == 1
    })?;
    manager.wait_for("READY=1", LIMIT)?;
    for _ in 0..3 {
        server.says_hello(&server.address)?;
    }
    let first = next_status(&mut manager)?;
    let wanted = "Processes active: 0, idle: 2, Requests: 3, slow: 0, Traffic: ";
    let rate = first.strip_prefix(wanted).and_then(|rest| rest.strip_suffix("req/sec"));
    let rate: f64 = rate.ok_or_else(|| format!("{first:?} in place of {wanted}"))?.parse()?;
    ensure!(rate > 0.5 && rate <= 3.1, "{first:?}");
    let second = next_status(&mut manager)?;
    ensure!(second == format!("{wanted}0.00req/sec"), "{second:?}");
    server.sandbox.put("fpm.conf", &format!("{}no.such.directive = 1\n", server.conf))?;
    server.supervisor.signal(Signal::SIGUSR2);
    manager.wait_for("READY=1", LIMIT)?;
    let third = next_status(&mut manager)?;
    ensure!(third == format!("{wanted}0.00req/sec (the last reload was refused, see the log)"), "{third:?}");
    server.sandbox.put("fpm.conf", &server.conf.replace("systemd_interval = 1", "systemd_interval = 0"))?;
    server.reload()?;
    ensure!(server.log.count("not in effect yet") == 0, "{}", server.log.text());
    // It follows `ready`.
    wait_until("the line about no interval", LIMIT, || server.log.count("systemd monitor disabled") == 1)?;
    manager.wait_for(READY, LIMIT)?;
    std::thread::sleep(ms(1200));
    let rest = manager.rest()?;
    ensure!(rest.is_empty(), "with an interval of 0: {rest:?}");
    server.stop()
}

fn next_status(manager: &mut Manager) -> Outcome<String> {
    let text = manager.next(LIMIT)?;
    ensure!(text.lines().count() == 1, "{text:?}");
    Ok(line(&text, "STATUS").ok_or_else(|| format!("no status: {text:?}"))?.to_owned())
}

/// The watchdog is fed at half of its time and through reloads, also if that is less than php-fpm's minimum of two
/// seconds. Scripts see none of this, even with the supervisor's environment.
#[test]
fn watchdog() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let mut manager = Manager::abstract_one(&sandbox)?;
    fs::write(sandbox.page("environment.php"), "<?php echo implode(' ', array_keys(getenv()));")?;
    let mut around = served_by(&manager);
    around.environment.extend([("WATCHDOG_USEC", "1000000"), ("FDSTORE", "8")].map(|(n, v)| (n.into(), v.into())));
    let setup = Setup::new(1).pool("clear_env = no");
    let server = Server::start_amid(around, at_path(&sandbox), sandbox, &target, &setup)?;
    manager.wait_for("READY=1", LIMIT)?;
    manager.wait_for("WATCHDOG=1", LIMIT)?;
    let start = Instant::now();
    (0..4).try_for_each(|_| manager.wait_for("WATCHDOG=1", LIMIT).map(drop))?;
    let took = start.elapsed();
    ensure!(took > ms(1500) && took < bar(ms(3000)), "four times within {took:?}");
    for _ in 0..2 {
        server.reload()?;
        manager.wait_for("WATCHDOG=1", ms(1000))?;
    }
    let seen = ask_once(&server.address, &Request::get(&server.sandbox.page("environment.php")), LIMIT)?;
    ensure!(seen.split(' ').any(|name| name == "PATH"), "clear_env has no effect: {seen}");
    let leaked = ["NOTIFY", "WATCHDOG", "LISTEN_", "FDSTORE"].into_iter().find(|name| seen.contains(name));
    ensure!(leaked.is_none(), "the script sees {seen}");
    server.stop()
}

/// A daemon is not the process that systemd has started: READY names it, and the watchdog applies to it, also after a
/// reload.
#[test]
fn daemon() -> Outcome {
    let Some(stage) = Stage::find_ours(1)? else { return Ok(()) };
    let _turn = turn::shared()?;
    let mut manager = Manager::at_path(&stage.sandbox)?;
    let program = stage.command(&["-D"]);
    let mut command = Command::new("sh");
    command.args(["-c", r#"WATCHDOG_PID=$$ exec "$@""#, "sh"]).arg(program.get_program()).args(program.get_args());
    command.envs(stage.target.environment()).env("NOTIFY_SOCKET", &manager.address).env("WATCHDOG_USEC", "400000");
    let ran = run_to_end(&mut command);
    let daemon =
        fs::read_to_string(stage.sandbox.file("fpm.pid")).ok().and_then(|pid| Process::find(pid.parse().ok()?));
    let result = daemon.ok_or_else(|| format!("no daemon: {ran:?}").into()).and_then(|daemon| {
        let named = format!("MAINPID={}", daemon.pid);
        for _ in 0..2 {
            let ready = manager.wait_for("READY=1", LIMIT)?;
            ensure!(ready.lines().any(|line| line == named), "{ready:?} in place of {named}");
            (0..3).try_for_each(|_| manager.wait_for("WATCHDOG=1", LIMIT).map(drop))?;
            daemon.signal(Signal::SIGUSR2);
        }
        Ok(())
    });
    let tree = daemon.map(Process::tree).unwrap_or_default();
    end_all(|| tree.clone())?;
    result
}

/// The watchdog of another process is ignored; a missing manager causes one log line and nothing else.
#[test]
fn nobody_listens() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let manager = Manager::at_path(&sandbox)?;
    fs::remove_file(&manager.address)?;
    let mut around = served_by(&manager);
    around.environment.extend([("WATCHDOG_USEC", "200000"), ("WATCHDOG_PID", "1")].map(|(n, v)| (n.into(), v.into())));
    let server = Server::start_amid(around, at_path(&sandbox), sandbox, &target, &Setup::new(1))?;
    server.says_hello(&server.address)?;
    server.sandbox.put("fpm.conf", &format!("{}no.such.directive = 1\n", server.conf))?;
    let mark = server.log.mark();
    server.supervisor.signal(Signal::SIGUSR2);
    server.log.wait_for(mark, &["reload refused"], LIMIT)?;
    ensure!(server.log.count("failed to notify systemd") == 1, "{}", server.log.text());
    server.stop()
}

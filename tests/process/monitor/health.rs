//! Probes, and `php-fpm health`.

use std::thread::sleep;
use std::time::Instant;

use nix::sys::signal::Signal;
use testkit::clock::{bar, ms, wait_until};
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stage::{Ran, command_in, run_to_end};
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::Monitored;

fn health(target: &Target, server: &Server, options: &[&str]) -> Outcome<Ran> {
    let options: Vec<&str> = ["health"].iter().chain(options).copied().collect();
    run_to_end(&mut command_in(target, &server.sandbox, &options))
}

/// While all workers are busy, php-fpm is alive and ready; before its end it is alive and not ready.
#[test]
fn before_the_end() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let mut monitored = Monitored::start(&target, &Setup::new(1).global("shutdown_delay = 3s"))?;
    let mut busy = monitored.server.in_hand(ms(2000))?;
    for path in ["/livez", "/readyz", "/startupz"] {
        let text = monitored.get(path)?.expect(200)?.text();
        ensure!(text == "ok\n", "{path}: {text:?}");
    }
    health(&target, &monitored.server, &[])?.expect(0, &[])?;
    monitored.server.supervisor.signal(Signal::SIGQUIT);
    wait_until("it is not ready", bar(ms(2000)), || monitored.get("/readyz").is_ok_and(|reply| reply.status == 503))?;
    let text = monitored.get("/readyz")?.expect(503)?.text();
    ensure!(text.contains("[-] stop failed: php-fpm is about to stop\n"), "{text}");
    monitored.get("/livez")?.expect(200)?;
    health(&target, &monitored.server, &["--ready"])?.expect(1, &["[-] stop failed"])?;
    health(&target, &monitored.server, &["--live", "-v"])?.expect(0, &["[+] supervisor ok"])?;
    busy.answer()?;
    monitored.server.await_end(bar(ms(8000)))?;
    Ok(())
}

/// The options and exit statuses of php-fpm-healthcheck.
#[test]
fn command() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let monitored = Monitored::start(&target, &Setup::new(2))?;
    let server = &monitored.server;
    (0..3).try_for_each(|_| server.says_hello(&server.address))?;
    health(&target, server, &["--accepted-conn=3", "--listen-queue", "0", "-v"])?
        .expect(0, &["pool www: --accepted-conn is 3, at most 3"])?;
    health(&target, server, &["--accepted-conn=2"])?.expect(1, &["pool www: --accepted-conn is 3, more than 2"])?;
    health(&target, server, &["--pool", "shop", "--accepted-conn=2"])?.expect(8, &["no pool shop"])?;
    health(&target, server, &["--accepted-conn=x"])?.expect(3, &["'x' is no whole number"])?;
    health(&target, server, &["--no-such-option"])?.expect(3, &["--no-such-option"])?;
    health(&target, server, &["start"])?.expect(3, &["start"])?;
    let monitor = monitored.process()?;
    monitor.signal(Signal::SIGSTOP);
    let begun = Instant::now();
    let ran = health(&target, server, &[])?;
    let took = begun.elapsed();
    monitor.signal(Signal::SIGCONT);
    ran.expect(9, &["does not answer"])?;
    ensure!(took < bar(ms(4000)), "it took {took:?}");
    let without: String =
        server.conf.lines().filter(|line| !line.starts_with("monitor.")).flat_map(|line| [line, "\n"]).collect();
    server.sandbox.put("fpm.conf", &without)?;
    health(&target, server, &[])?.expect(8, &["sets no monitor.listen"])?;
    server.sandbox.put("fpm.conf", &server.conf)?;
    let sandbox = server.sandbox.file("fpm.conf");
    monitored.server.supervisor.signal(Signal::SIGTERM);
    wait_until("the end", bar(ms(5000)), || !monitored.server.supervisor.lives())?;
    ensure!(sandbox.exists(), "the configuration has gone");
    health(&target, &monitored.server, &[])?.expect(111, &["does not answer"])?;
    Ok(())
}

/// A supervisor that is stopped is not alive after a while: its heartbeat is missing.
#[test]
fn a_supervisor_that_hangs() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let monitored = Monitored::start(&target, &Setup::new(1))?;
    monitored.get("/livez")?.expect(200)?;
    monitored.server.supervisor.signal(Signal::SIGSTOP);
    sleep(ms(3000));
    let early = monitored.get("/livez").and_then(|reply| reply.expect(200));
    let late =
        wait_until("it is not alive", ms(6000), || monitored.get("/livez").is_ok_and(|reply| reply.status == 503));
    monitored.server.supervisor.signal(Signal::SIGCONT);
    early?;
    late?;
    wait_until("it is alive", bar(ms(3000)), || monitored.get("/livez").is_ok_and(|reply| reply.status == 200))?;
    monitored.server.stop()
}

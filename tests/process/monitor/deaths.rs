//! The monitor ends, cannot listen, or is no longer wanted.

use std::net::TcpListener;
use std::thread::sleep;

use nix::sys::signal::Signal;
use testkit::clock::{bar, ms, wait_until};
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, http, turn};

use super::Monitored;

/// After SIGKILL another one answers. Signals that mean something to others mean nothing to it.
#[test]
fn killed() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let monitored = Monitored::start(&target, &Setup::new(1))?;
    monitored.server.says_hello(&monitored.server.address)?;
    let first = monitored.process()?;
    for signal in [Signal::SIGTERM, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGHUP, Signal::SIGINT] {
        first.signal(signal);
    }
    monitored.get("/livez")?.expect(200)?;
    ensure!(monitored.process()? == first, "a signal has ended it");
    for round in 1..=3_u32 {
        monitored.process()?.signal(Signal::SIGKILL);
        let line = "exited on signal 9 (SIGKILL): another one is started";
        wait_until("the supervisor notices", bar(ms(3000)), || monitored.server.log.count(line) == round as usize)?;
        let samples = monitored.samples()?;
        ensure!(samples.get("phpfpm_monitor_starts_total") == Some(&f64::from(round + 1)), "{samples:#?}");
    }
    let requests = || {
        monitored.samples().is_ok_and(|samples| super::www(&samples, "phpfpm_requests_total", "code=\"2xx\"") == 1.0)
    };
    wait_until("the counters go on", bar(ms(3000)), requests)?;
    monitored.server.says_hello(&monitored.server.address)?;
    monitored.server.stop()
}

/// A reload replaces the monitor, and no connection is refused meanwhile; one that removes `monitor.listen` ends it.
#[test]
fn reloads() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let monitored = Monitored::start(&target, &Setup::new(1))?;
    let (first, server) = (monitored.process()?, &monitored.server);
    let address = monitored.address;
    let asking = std::thread::spawn(move || -> Result<u32, String> {
        let begun = std::time::Instant::now();
        let mut count = 0;
        while begun.elapsed() < ms(1500) {
            let reply = http::Client::new(address, bar(ms(5000))).get("/readyz").and_then(|reply| reply.expect(200));
            reply.map_err(|e| e.to_string())?;
            count += 1;
        }
        Ok(count)
    });
    sleep(ms(200));
    server.reload()?;
    let count = asking.join().map_err(|_| "the client panicked")??;
    ensure!(count > 10, "{count} answers");
    wait_until("the first monitor has ended", bar(ms(5000)), || !first.lives())?;
    ensure!(monitored.process()? != first, "the same monitor");
    let without: String =
        server.conf.lines().filter(|line| !line.starts_with("monitor.")).flat_map(|line| [line, "\n"]).collect();
    server.sandbox.put("fpm.conf", &without)?;
    server.reload()?;
    wait_until("the monitor has ended", bar(ms(5000)), || monitored.process().is_err())?;
    ensure!(http::Client::new(address, ms(1000)).get("/livez").is_err(), "something listens");
    server.sandbox.put("fpm.conf", &server.conf)?;
    server.reload()?;
    wait_until("it answers again", bar(ms(5000)), || monitored.get("/livez").is_ok())?;
    ensure!(server.log.accusation().is_none(), "{:?}", server.log.accusation());
    monitored.server.stop()
}

/// A reload to another address with the same port, which overlaps with the former one, at once: even if the former monitor does not end.
#[test]
fn another_address_with_its_port() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let monitored = Monitored::start(&target, &Setup::new(1))?;
    let (server, first) = (&monitored.server, monitored.process()?);
    let port = monitored.address.port();
    first.signal(Signal::SIGSTOP);
    server
        .sandbox
        .put("fpm.conf", &server.conf.replace(&format!("= 127.0.0.1:{port}"), &format!("= 0.0.0.0:{port}")))?;
    server.reload()?;
    // Not the first one, which is stopped.
    let answers = || monitored.get("/readyz").is_ok_and(|reply| reply.status == 200);
    wait_until("another monitor answers", bar(ms(3000)), answers)?;
    ensure!(server.log.count("the monitor cannot listen") == 0, "it could not listen at first");
    first.signal(Signal::SIGCONT);
    wait_until("the first one ends", bar(ms(3000)), || !first.lives())?;
    monitored.server.stop()
}

/// The address is taken: pools serve, the log says why, and the monitor listens when it can.
#[test]
fn address_taken() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let taken = TcpListener::bind(("127.0.0.1", 0))?;
    let address = taken.local_addr()?;
    let server = Server::start(&target, &Setup::new(1).global(&format!("monitor.listen = {address}")))?;
    server.says_hello(&server.address)?;
    let line = format!("ERROR: the monitor cannot listen on {address}: ");
    wait_until("the log says it", bar(ms(3000)), || server.log.count(&line) == 1)?;
    drop(taken);
    let answers = || http::Client::new(address, ms(1000)).get("/readyz").is_ok_and(|reply| reply.status == 200);
    wait_until("it listens", bar(ms(15_000)), answers)?;
    server.stop()
}

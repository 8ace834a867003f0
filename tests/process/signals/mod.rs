//! Signals at any moment, repeated and mixed: no signal ends the supervisor by its default action, no request that it
//! promised to finish is lost, and it always ends when told to.
#![forbid(unsafe_code)]

mod reloads;

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::{Client, Request, ask_once};
use testkit::log::Log;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stage::Stage;
use testkit::target::Target;
use testkit::{Outcome, ensure, say, turn};

const LIMIT: Duration = Duration::from_secs(10);
const BYE: &str = "exiting, bye-bye!";
const READY: &str = "ready to handle connections";

/// A request whose script blocks every signal, and says when it does.
fn stubborn(server: &Server, number: u32) -> Outcome<Client> {
    let mark = server.sandbox.file(&format!("out/mark-{number}"));
    let request = Request::get(&server.sandbox.page("stubborn.php"));
    let mut client = Client::connect(&server.address, LIMIT)?;
    client.send(&request.param("QUERY_STRING", &format!("mark={}", mark.display())).encode(1))?;
    wait_until("the script has begun (is pcntl missing?)", bar(LIMIT), || mark.exists())?;
    Ok(client)
}

/// It has ended correctly within the limit: status 0, an exit notice, and no remaining process or file.
fn expect_end(server: &mut Server, limit: Duration) -> Outcome<Duration> {
    let start = Instant::now();
    let status = server.await_end(bar(limit))?;
    ensure!(status == Some(0), "status {status:?}: {}", server.log.tail(5));
    ensure!(server.log.count(BYE) == 1, "no exit notice: {}", server.log.tail(5));
    for name in ["fpm.pid", "fpm.sock"] {
        ensure!(!server.sandbox.file(name).exists(), "{name} is left");
    }
    Ok(start.elapsed())
}

/// From the first moment at which its pid is known.
fn await_pid(server: &Server) -> Outcome {
    let known = || fs::read_to_string(server.sandbox.file("fpm.pid")).is_ok_and(|text| !text.is_empty());
    wait_until("the pid file", ms(15_000), known)?;
    Ok(())
}

#[test]
fn ends_during_the_start() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::shared()?;
    for step in 0..9_u32 {
        let signal = [Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGINT][step as usize % 3];
        let mut server = Server::spawn(&target, &Setup::new(2))?;
        await_pid(&server)?;
        std::thread::sleep(ms(15) * (step / 3));
        server.supervisor.signal(signal);
        expect_end(&mut server, ms(5000)).map_err(|e| format!("{signal} {step}: {e}"))?;
    }
    Ok(())
}

/// A stronger signal overrides a weaker one; the same or a weaker signal changes nothing.
#[test]
fn one_behind_another() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    use Signal::{SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
    let finishing = [vec![SIGQUIT], vec![SIGQUIT, SIGQUIT], vec![SIGQUIT, SIGUSR2], vec![SIGUSR2, SIGQUIT, SIGUSR1]];
    for signals in finishing {
        let mut server = Server::start(&target, &Setup::new(2))?;
        let mut long = server.in_hand(ms(1500))?;
        send(&server, &signals);
        let body = long.answer().map_err(|e| format!("{signals:?}: {e}"))?.body();
        ensure!(body == "done", "{signals:?}: {body}");
        expect_end(&mut server, ms(5000)).map_err(|e| format!("{signals:?}: {e}"))?;
        ensure!(server.log.count("Finishing ...") == 1, "{signals:?}: {}", server.log.text());
    }
    let terminating = [
        vec![SIGTERM],
        vec![SIGTERM, SIGTERM, SIGTERM],
        vec![SIGINT, SIGTERM],
        vec![SIGQUIT, SIGTERM],
        vec![SIGQUIT, SIGINT, SIGUSR2],
        vec![SIGTERM, SIGQUIT],
        vec![SIGUSR2, SIGUSR2, SIGTERM, SIGUSR1],
    ];
    for signals in terminating {
        let mut server = Server::start(&target, &Setup::new(2))?;
        let _long = server.in_hand(ms(20_000))?;
        send(&server, &signals);
        expect_end(&mut server, ms(3000)).map_err(|e| format!("{signals:?}: {e}"))?;
        ensure!(server.log.count("Terminating ...") == 1, "{signals:?}: {}", server.log.text());
    }
    Ok(())
}

fn send(server: &Server, signals: &[Signal]) {
    for signal in signals {
        server.supervisor.signal(*signal);
        std::thread::sleep(ms(60));
    }
}

/// Workers that block every signal do not delay the end beyond the limit: three seconds by default.
#[test]
fn term_against_stubborn_workers() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::shared()?;
    for first in [None, Some(Signal::SIGUSR2), Some(Signal::SIGQUIT)] {
        let mut server = Server::start(&target, &Setup::new(3))?;
        let clients = (0..2).map(|number| stubborn(&server, number)).collect::<Outcome<Vec<_>>>()?;
        match first {
            Some(Signal::SIGUSR2) if target.is_ours() => server.reload()?,
            Some(signal) if target.is_ours() => server.supervisor.signal(signal),
            _ => {}
        }
        std::thread::sleep(ms(200));
        server.supervisor.signal(Signal::SIGTERM);
        let took = expect_end(&mut server, ms(3000)).map_err(|e| format!("after {first:?}: {e}"))?;
        say(&format!("{took:.1?} after {first:?}"));
        drop(clients);
    }
    Ok(())
}

/// Ctrl-C and Ctrl-\ on a terminal reach the whole process group at once.
#[test]
fn of_a_terminal() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::shared()?;
    for signal in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM] {
        let mut server = Server::start(&target, &Setup::new(3))?;
        killpg(Pid::from_raw(server.supervisor.pid), signal)?;
        expect_end(&mut server, ms(3000)).map_err(|e| format!("{signal}: {e}"))?;
    }
    Ok(())
}

/// A daemon gets the same signals, and keeps its pid.
#[test]
fn to_a_daemon() -> Outcome {
    let Some(stage) = Stage::find_ours(2)? else { return Ok(()) };
    let _turn = turn::shared()?;
    let result = life_of_a_daemon(&stage);
    stage.sweep()?;
    result
}

fn life_of_a_daemon(stage: &Stage) -> Outcome {
    let status = stage.command(&["-D"]).status()?;
    ensure!(status.success(), "{status}");
    let (log, daemon) = (Log::new(&stage.sandbox.file("fpm.log")), stage.daemon().ok_or("no daemon")?);
    let hello = Request::get(&stage.sandbox.page("hello.php"));
    for round in 1..=3 {
        for _ in 0..40 {
            daemon.signal(Signal::SIGUSR2);
            daemon.signal(Signal::SIGUSR1);
            std::thread::sleep(ms(2));
        }
        let ends = || log.count(READY) > log.count("Reloading in progress") && log.count(READY) > round;
        wait_until("the reloads' end", LIMIT, ends)?;
        ensure!(stage.daemon() == Some(daemon), "its pid is another");
        let body = ask_once(&stage.address, &hello, LIMIT)?;
        ensure!(body == "hello", "{body}");
    }
    [Signal::SIGUSR2, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGTERM].into_iter().for_each(|s| daemon.signal(s));
    wait_until("the daemon's end", ms(5000), || !daemon.lives())?;
    ensure!(log.count(BYE) == 1, "{}", log.tail(5));
    ensure!(!stage.sandbox.file("fpm.pid").exists(), "its pid file is left");
    Ok(())
}

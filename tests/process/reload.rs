//! SIGUSR2 under load: successful and failing reloads. No client notices any of them.
#![forbid(unsafe_code)]

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::broken::{self, Fault};
use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Request, ask_once};
use testkit::load::{Plan, asker, poster};
use testkit::nginx::{Nginx, Upstream};
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::{Door, Target};
use testkit::{Outcome, ensure, say, turn};

#[test]
fn storm_per_request() -> Outcome {
    storm(Upstream::PerRequest)
}

#[test]
fn storm_kept() -> Outcome {
    storm(Upstream::Kept(8))
}

/// 40 reloads in 10 s, two thirds of them to a broken state, while 16 clients POST to a script of 20 ms.
fn storm(upstream: Upstream) -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::alone()?;
    let server = Server::start(&target, &Setup::new(8).own_prefix())?;
    let faults = Faults::new(&target, &server)?;
    let nginx = Nginx::start(&server.sandbox, &server.address, upstream)?;
    let load = Plan::clients(16).start(|_| poster(nginx.client(ms(15_000)), 20, &["done"]));
    let start = Instant::now();
    for turn in 0..TURNS {
        settle(&server, turn);
        faults.arrange(&server, turn)?;
        server.supervisor.signal(Signal::SIGUSR2);
        sleep((start + ms(250) * (turn + 1)).saturating_duration_since(Instant::now()));
    }
    settle(&server, TURNS);
    faults.repair(&server)?;
    let (took, tally) = (start.elapsed(), load.stop());
    let (done, refused) = (server.log.count(READY) - 1, server.log.count(REFUSED));
    say(&format!("{done} reloads done, {refused} refused in {took:.1?}; {}", tally.summary()));
    tally.expect_no_failure().map_err(|error| format!("{error}; nginx: {}", nginx.errors()))?;
    ensure!(done == 14 && refused == 26, "of 14 good reloads {done} were done, of 26 broken ones {refused} refused");
    server.reload()?;
    server.stop()
}

const TURNS: u32 = 40;
const READY: &str = "ready to handle connections";
const REFUSED: &str = "reload refused";

/// Waits until that many reloads have ended: a file that changes during a reload would be another test.
fn settle(server: &Server, turns: u32) {
    let ended = || server.log.count(READY) + server.log.count(REFUSED) > turns as usize;
    let _ = wait_until("the end of a reload", ms(5000), || ended() || !server.supervisor.lives());
}

/// The files that the reloads of a storm find.
struct Faults {
    /// Files of the prefix, a good copy of each, and its replacement in a broken turn.
    swaps: Vec<(PathBuf, PathBuf, PathBuf)>,
}

impl Faults {
    fn new(target: &Target, server: &Server) -> Outcome<Self> {
        let mut swaps = Vec::new();
        if target.is_ours() {
            let library = server.prefix.join("lib/cgi-fpm.so");
            let good = target.prefix.join("lib/cgi-fpm.so");
            for fault in Fault::ALL {
                swaps.push((library.clone(), good.clone(), broken::library(&server.sandbox, &good, fault)?));
            }
        }
        if target.door == Door::Patched {
            let host = target.host_in(&server.prefix);
            swaps.push((host, target.host_in(&target.prefix), broken::program(&server.sandbox)?));
        }
        Ok(Self { swaps })
    }

    /// A third good, a third with a broken configuration, a third with a broken file.
    fn arrange(&self, server: &Server, turn: u32) -> Outcome {
        self.repair(server)?;
        match turn % 3 {
            1 => server.sandbox.put("fpm.conf", &format!("{}no.such.directive = 1\n", server.conf)),
            2 => match self.swaps.get(turn as usize / 3 % self.swaps.len().max(1)) {
                Some((path, _, bad)) => broken::replace(path, bad),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn repair(&self, server: &Server) -> Outcome {
        server.sandbox.put("fpm.conf", &server.conf)?;
        self.swaps.iter().try_for_each(|(path, good, _)| broken::replace(path, good))
    }
}

/// 120 reloads leave nothing: memory, fds and processes are the same as after the first twenty.
#[test]
fn quiet() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::alone()?;
    let server = Server::start(&target, &Setup::new(4))?;
    let nginx = Nginx::start(&server.sandbox, &server.address, Upstream::Kept(4))?;
    let load = Plan::clients(2).pause(ms(20)).start(|_| poster(nginx.client(ms(15_000)), 20, &["done"]));
    let start = Instant::now();
    (0..20).try_for_each(|_| server.reload())?;
    let early = Footprint::of(&server)?;
    (0..100).try_for_each(|_| server.reload())?;
    let late = Footprint::of(&server)?;
    let took = start.elapsed() / 120;
    let tally = load.stop();
    say(&format!("{took:.0?} a reload; {early:?}, then {late:?}; {}", tally.summary()));
    tally.expect_no_failure()?;
    ensure!(late.processes == early.processes && late.fds == early.fds, "not flat: {early:?}, then {late:?}");
    ensure!(late.memory_kb <= early.memory_kb + 256, "memory grows: {early:?}, then {late:?}");
    server.stop()
}

#[derive(Debug)]
struct Footprint {
    memory_kb: u64,
    fds: usize,
    processes: usize,
}

impl Footprint {
    /// The supervisor after the last generation has gone.
    fn of(server: &Server) -> Outcome<Self> {
        sleep(ms(300));
        server.await_workers(4, ms(5000))?;
        let supervisor = server.supervisor;
        Ok(Self {
            memory_kb: supervisor.anonymous_kb(),
            fds: supervisor.fds().len(),
            processes: supervisor.descendants().len(),
        })
    }
}

/// One request of 6 s is in flight: it ends normally, and other requests do not wait for it.
#[test]
fn beside_a_long_request() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let turn = turn::alone()?;
    let server = Server::start(&target, &Setup::new(2).global("process_control_timeout = 10s"))?;
    let page = |name: &str, query: &str| Request::get(&server.sandbox.page(name)).param("QUERY_STRING", query);
    let (long, short) = (page("work.php", "ms=6000"), page("hello.php", ""));
    let address = server.address.clone();
    let in_flight = std::thread::spawn(move || ask_once(&address, &long, ms(15_000)));
    sleep(ms(300));
    let load = Plan::clients(1).pause(ms(5)).start(|_| asker(&server.address, &short, "hello", ms(15_000)));
    sleep(ms(300));
    let reloads: Outcome<Vec<Duration>> = (0..2).map(|_| timed(|| server.reload())).collect();
    let ended = in_flight.join().map_err(|_| "the client panicked")?;
    let tally = load.stop();
    say(&format!("reloads took {reloads:.0?}; others: {}", tally.summary()));
    tally.expect_no_failure()?;
    turn.expect_within("the longest wait", tally.worst(), ms(100))?;
    let ended = ended?;
    ensure!(ended == "done", "the long request: {ended}");
    reloads?;
    server.stop()
}

fn timed(act: impl FnOnce() -> Outcome) -> Outcome<Duration> {
    let start = Instant::now();
    act()?;
    Ok(start.elapsed())
}

/// After a reload no client gets old code, also on connections that are older than the reload.
#[test]
fn new_code_at_once() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::alone()?;
    let server = Server::start(&target, &Setup::new(4).ini("opcache.validate_timestamps = 0"))?;
    let nginx = Nginx::start(&server.sandbox, &server.address, Upstream::Kept(8))?;
    let busy = Plan::clients(3).start(|_| poster(nginx.client(ms(15_000)), 20, &["done"]));
    for version in 1..=5 {
        let mut web = nginx.client(ms(10_000));
        let wanted = format!("v{version}");
        for _ in 0..100 {
            let kept = web.get("/version.php")?.expect(200)?.text();
            let new = ask_once(&server.address, &Request::get(&server.sandbox.page("version.php")), ms(10_000))?;
            ensure!(kept == wanted && new == wanted, "{kept} and {new} in place of {wanted}");
        }
        fs::write(server.sandbox.page("version.php"), format!("<?php echo 'v{}';\n", version + 1))?;
        let stale = web.get("/version.php")?.expect(200)?.text();
        ensure!(stale == wanted, "{stale}: the code isn't cached, so this test shows nothing");
        server.reload()?;
    }
    busy.stop().expect_no_failure()?;
    server.stop()
}

/// A refused reload logs the line that is wrong, and a correction.
#[test]
fn a_refused_configuration_is_told_with_its_line() -> Outcome {
    let Some(target) = Target::find_ours() else {
        return Ok(());
    };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1))?;
    let good = fs::read_to_string(server.sandbox.file("fpm.conf"))?;
    let line = good.lines().count() + 1;
    for (broken, hint) in [
        ("user = (x", "hint: a value that contains one of"),
        ("usr = x", "hint: did you mean user?"),
        ("pm.max_children = 0", "hint: pm.max_children is set here"),
    ] {
        let mark = server.log.mark();
        server.sandbox.put("fpm.conf", &format!("{good}{broken}\n"))?;
        server.supervisor.signal(Signal::SIGUSR2);
        server.log.wait_for(mark, &[&format!("fpm.conf:{line}] {hint}"), REFUSED], ms(10_000))?;
    }
    server.sandbox.put("fpm.conf", &good)?;
    server.reload()?;
    server.stop()
}

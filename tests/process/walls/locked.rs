//! A process keeps the kernel's lock of a pipe that the supervisor reads: splice(2) from a socket that brings nothing waits with
//! the lock of the pipe held, and a reader then waits in the kernel, even of a non-blocking pipe. Any program can do this with the
//! output pipes of its worker.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::clock::{bar, ms, wait_until};
use testkit::extension;
use testkit::inside::{PipeLock, borrow_all, ways_to};
use testkit::process::Process;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::target::Target;
use testkit::turn::Alone;
use testkit::{Outcome, ensure, say, turn};

use super::{ALICE, BOB, GLOBAL, Neighbours, section, start};

/// C: writes something to stderr, and locks it.
pub(super) const LOCK: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
static void lock(void) {
    int pair[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    write(2, "locked\n", 7);
    splice(pair[0], 0, 2, 0, 1, 0);
}
"#;

/// Starts that program with the streams of its worker; with `?die` the worker then dies.
const PAGE: &str = r"<?php
$locker = dirname(__DIR__) . '/locker';
proc_open([$locker], [], $pipes);
usleep(20000);
if ($_SERVER['QUERY_STRING'] === 'die') posix_kill(getmypid(), 9);
echo 'ok';
";

/// Two pools whose workers have pipes for their output and for their tracers.
fn neighbours(target: &Target) -> Outcome<Neighbours> {
    let sandbox = Sandbox::new()?;
    extension::program(&sandbox, "locker", &format!("{LOCK}int main(void) {{ lock(); return 0; }}"))?;
    sandbox.put("www/lock.php", PAGE)?;
    let lines = "catch_workers_output = yes\nrequest_terminate_timeout = 20s";
    let conf = format!("{GLOBAL}{}{}", section(ALICE, 2, lines), section(BOB, 2, lines));
    Ok(Neighbours { server: start(target, sandbox, &conf)? })
}

/// The programs with that title.
fn programs(server: &Server, title: &str) -> Vec<Process> {
    server.remaining().into_iter().filter(|process| process.title() == title).collect()
}

/// Ends a server, and the programs that lock its pipes: a process that waits for such a lock cannot end before. A worker that is
/// unlocked may start more of them.
pub(super) fn stop_with_programs(mut server: Server, title: &str) -> Outcome {
    server.supervisor.signal(Signal::SIGTERM);
    wait_until("the end of all processes", bar(ms(10_000)), || {
        programs(&server, title).into_iter().for_each(|program| program.signal(Signal::SIGKILL));
        server.remaining().is_empty()
    })?;
    server.await_end(ms(10_000)).map(drop)
}

/// The supervisor handles a signal within 100 ms, replaces a worker of bob's, and bob is served.
fn expect_responsive(turn: &Alone, pools: &Neighbours) -> Outcome<Duration> {
    let heard = pools.server.hears(ms(8000))?;
    turn.expect_within("SIGUSR1", heard, ms(100))?;
    let worker = *pools.workers(BOB).first().ok_or("bob has no worker")?;
    worker.signal(Signal::SIGKILL);
    wait_until("another worker of bob's", bar(ms(2000)), || {
        let workers = pools.workers(BOB);
        workers.len() == 2 && !workers.contains(&worker)
    })?;
    ensure!(pools.ask(BOB, "hello.php")? == "hello", "bob's answer");
    Ok(heard)
}

/// Programs that scripts start lock the pipes of their workers; the workers live on, or die.
#[test]
fn output_pipes_that_a_script_locks() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let turn = turn::alone()?;
    let pools = neighbours(&target)?;
    let supervisor = pools.server.supervisor;
    let locker = pools.server.sandbox.file("locker").display().to_string();
    let before = supervisor.fds().len();
    for (round, page) in ["lock.php", "lock.php?die", "lock.php", "lock.php?die", "lock.php?die"].iter().enumerate() {
        let _ = pools.ask(ALICE, page);
        let mut worst = Duration::ZERO;
        for _ in 0..5 {
            worst = worst.max(expect_responsive(&turn, &pools).map_err(|e| format!("round {round}, {page}: {e}"))?);
            std::thread::sleep(ms(20));
        }
        say(&format!("{page}: signals were heard after {worst:.1?} at most"));
    }
    // The two others may have locked pipes that nothing is read from; their workers live.
    wait_until("the programs of dead workers are ended", bar(ms(8000)), || {
        let (lockers, workers) = (programs(&pools.server, &locker), pools.workers(ALICE));
        let has_worker = |locker: &Process| workers.iter().any(|worker| worker.pid == locker.parent());
        lockers.len() <= 2 && lockers.iter().all(has_worker)
    })?;
    let line = "[pool alice] a process has kept an output or message pipe locked for 2 seconds: all processes with this pipe are killed";
    ensure!(pools.server.log.count(line) >= 1, "{}", pools.server.log.tail(9));
    wait_until("as many descriptors as before", bar(ms(5000)), || supervisor.fds().len() <= before + 2)?;
    wait_until("two readers are left", bar(ms(5000)), || pools.server.pipe_readers().len() <= 2)?;
    stop_with_programs(pools.server, &locker)
}

/// Code in the zygote and in its workers locks every pipe that it can write to, and does not let go: it runs with other rights, so
/// that it isn't killed.
#[test]
fn pipes_that_stay_locked() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let turn = turn::alone()?;
    let pools = neighbours(&target)?;
    let (zygote, supervisor) = (pools.zygote(ALICE)?, pools.server.supervisor);
    let mut locks = BTreeMap::new();
    for way in ways_to(zygote, supervisor)? {
        if !way.points_to.starts_with("pipe:") {
            continue;
        }
        way.say(b"\"Stays\"")?;
        locks.insert(way.points_to, PipeLock::take(way.fd)?);
    }
    for process in pools.all_of(ALICE)? {
        for pipe in borrow_all(process)?.into_iter().filter(|one| one.points_to.starts_with("pipe:")) {
            if process.access(pipe.number) == Some(1) && !locks.contains_key(&pipe.points_to) {
                let _ = nix::unistd::write(&pipe.fd, b"x");
                locks.insert(pipe.points_to, PipeLock::take(pipe.fd)?);
            }
        }
    }
    say(&format!("{} pipes are locked", locks.len()));
    let mut worst = Duration::ZERO;
    for _ in 0..5 {
        worst = worst.max(expect_responsive(&turn, &pools)?);
    }
    // Their pipes are closed while they are locked.
    pools.all_of(ALICE)?.into_iter().for_each(|process| process.signal(Signal::SIGKILL));
    let end = Instant::now() + ms(4000);
    while Instant::now() < end {
        worst = worst.max(expect_responsive(&turn, &pools)?);
        std::thread::sleep(ms(50));
    }
    say(&format!("signals were heard after {worst:.1?} at most"));
    wait_until("alice's next zygote", bar(ms(5000)), || pools.zygote(ALICE).is_ok_and(|next| next != zygote))?;
    wait_until("alice is served", bar(ms(5000)), || pools.ask(ALICE, "hello.php").is_ok_and(|body| body == "hello"))?;
    drop(locks);
    wait_until("two readers are left", bar(ms(5000)), || pools.server.pipe_readers().len() <= 2)?;
    expect_responsive(&turn, &pools)?;
    pools.server.stop()
}

//! Zygotes and workers that their user stops (SIGSTOP), or that no longer do what they are told. They keep neither the limits on
//! requests nor reloads nor the stop of the service from taking effect, and the group gets working processes again.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal::{SIGCONT, SIGKILL, SIGQUIT, SIGSTOP, SIGTERM};
use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::Client;
use testkit::process::Process;
use testkit::sandbox::Sandbox;
use testkit::target::Target;
use testkit::{Outcome, ensure, extension, turn};

use super::{ALICE, BOB, GLOBAL, Neighbours, address, section, start};
use crate::hostile;

/// A zygote is killed after 10 s; once a second it is looked whether it is stopped.
const KILLED_WITHIN: Duration = Duration::from_secs(13);

fn neighbours(target: &Target, global: &str, alice: &str) -> Outcome<Neighbours> {
    let conf = format!("{GLOBAL}log_level = debug\n{global}\n{}{}", section(ALICE, 2, alice), section(BOB, 2, ""));
    Ok(Neighbours { server: start(target, Sandbox::new()?, &conf)? })
}

fn stop(process: Process) -> Outcome {
    process.signal(SIGSTOP);
    wait_until("a stopped process", bar(ms(5000)), || process.state() == 'T').map(drop)
}

/// A request to alice that takes so long; its script runs.
fn begin(pools: &Neighbours, lasts: Duration) -> Outcome<Client> {
    std::fs::set_permissions(pools.server.sandbox.file("out"), std::fs::Permissions::from_mode(0o777))?;
    pools.server.in_hand_at(&address(&pools.server, ALICE), lasts)
}

/// The time limits of requests hold although the zygote is stopped: the supervisor signals its workers itself.
#[test]
fn time_limits_hold_while_the_zygote_is_stopped() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    for worker_stops in [false, true] {
        let slow = "slowlog = {{DIR}}/slow.log\nrequest_slowlog_timeout = 1s\nrequest_terminate_timeout = 2s";
        let pools = neighbours(&target, "", slow)?;
        let (log, zygote, bob) = (pools.server.log.clone(), pools.zygote(ALICE)?, pools.all_of(BOB)?);
        stop(zygote)?;
        let mark = log.mark();
        let mut client = begin(&pools, ms(60_000))?;
        if worker_stops {
            pools.workers(ALICE).into_iter().try_for_each(stop)?;
        }
        let begun = Instant::now();
        ensure!(client.answer().is_err(), "the request was not ended");
        let took = begun.elapsed();
        ensure!(took < bar(ms(5000)), "the request was ended after {took:.1?}: {}", log.since(mark));
        log.wait_for(mark, &["executing too slow", "execution timed out"], bar(ms(1000)))?;
        let entry = std::fs::read_to_string(pools.server.sandbox.file("slow.log")).unwrap_or_default();
        // A thread of the worker tells where the request is.
        ensure!(worker_stops || entry.contains("in_hand.php"), "slow log: {entry}");
        pools.workers(ALICE).into_iter().for_each(|worker| worker.signal(SIGCONT));
        ensure!(pools.all_of(BOB)? == bob, "bob's processes are others");
        // The end of that worker is not reported, so the zygote is found out.
        wait_until("the stopped zygote's end", bar(KILLED_WITHIN), || !zygote.lives())?;
        pools.expect_only_alice_changed(zygote, &bob)?;
        pools.server.stop()?;
    }
    Ok(())
}

/// A zygote that stays stopped is replaced, although nothing was asked of it. Its workers serve on until then.
#[test]
fn a_zygote_that_stays_stopped_is_replaced() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let pools = neighbours(&target, "", "")?;
    let (log, zygote, bob) = (pools.server.log.clone(), pools.zygote(ALICE)?, pools.all_of(BOB)?);
    // A stop that ends in time has no effect.
    stop(zygote)?;
    std::thread::sleep(ms(2500));
    zygote.signal(SIGCONT);
    std::thread::sleep(ms(1500));
    let (mark, stopped) = (log.mark(), Instant::now());
    stop(zygote)?;
    let mut long = begin(&pools, ms(12_000))?;
    wait_until("its end", bar(KILLED_WITHIN), || {
        let _ = pools.ask(ALICE, "hello.php").map(|body| assert_eq!(body, "hello"));
        !zygote.lives()
    })?;
    ensure!(stopped.elapsed() > ms(9000), "it was killed after {:.1?}", stopped.elapsed());
    log.wait_for(mark, &["[group alice] zygote", "does not respond"], bar(ms(1000)))?;
    // The worker gets SIGQUIT when its zygote ends, which interrupts the sleep of the script.
    let body = long.answer()?.body();
    ensure!(["done", "its sleep was cut short"].contains(&body.as_str()), "{body}");
    pools.expect_only_alice_changed(zygote, &bob)?;
    pools.server.stop()
}

/// Native code in a zygote never returns: nothing is answered and no dead worker is reaped. Where clients wait, that is found out.
#[test]
fn a_zygote_that_hangs_is_replaced_if_clients_wait() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let pools = Neighbours::start_hostile(&target, "", "")?;
    let (zygote, bob) = (pools.zygote(ALICE)?, pools.all_of(BOB)?);
    hostile::act(&pools.server.sandbox, zygote, "hang")?;
    pools.workers(ALICE).into_iter().for_each(|worker| worker.signal(SIGKILL));
    let mut waiting = Client::connect(&address(&pools.server, ALICE), bar(ms(30_000)))?;
    let body = waiting.ask(&pools.server.hello())?.body();
    ensure!(body == "hello" && !zygote.lives(), "{body}");
    pools.expect_only_alice_changed(zygote, &bob)?;
    pools.server.stop()
}

/// The same in a pool that has no workers until a client comes.
#[test]
fn a_zygote_that_hangs_is_replaced_if_a_client_comes() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let lines = "pm = ondemand\npm.process_idle_timeout = 1s";
    let pools = Neighbours::start_hostile(&target, "", lines)?;
    ensure!(pools.ask(ALICE, "hello.php")? == "hello", "the first request");
    wait_until("the end of its worker", bar(ms(10_000)), || pools.workers(ALICE).is_empty())?;
    let (zygote, bob) = (pools.zygote(ALICE)?, pools.all_of(BOB)?);
    hostile::act(&pools.server.sandbox, zygote, "hang")?;
    let mut waiting = Client::connect(&address(&pools.server, ALICE), bar(ms(30_000)))?;
    let body = waiting.ask(&pools.server.hello())?.body();
    ensure!(body == "hello" && !zygote.lives(), "{body}");
    ensure!(pools.all_of(BOB)? == bob, "bob's processes have changed");
    pools.server.stop()
}

/// The same in a generation that drains: the end of its workers is not reported.
#[test]
fn a_zygote_that_hangs_keeps_no_generation() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let pools = Neighbours::start_hostile(&target, "", "")?;
    let zygote = pools.zygote(ALICE)?;
    hostile::act(&pools.server.sandbox, zygote, "spin")?;
    pools.server.reload()?;
    for pool in [ALICE, BOB] {
        let body = pools.ask(pool, "hello.php")?;
        ensure!(body == "hello", "{pool:?}: {body}");
    }
    wait_until("its end", bar(KILLED_WITHIN), || !zygote.lives())?;
    // Until then there was room for one worker.
    wait_until("both workers of the next generation", bar(ms(5000)), || {
        pools.server.zygotes_of("alice").len() == 1 && pools.workers(ALICE).len() == 2
    })?;
    pools.server.stop()
}

/// All of alice's processes are stopped. A reload takes place, and with `process_control_timeout` the old ones end; the zygote
/// also without it.
#[test]
fn stopped_processes_keep_no_reload() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    for limit in [true, false] {
        let global = if limit { "process_control_timeout = 2s" } else { "" };
        let pools = neighbours(&target, global, "")?;
        let (zygote, workers) = (pools.zygote(ALICE)?, pools.workers(ALICE));
        stop(zygote)?;
        workers.iter().copied().try_for_each(stop)?;
        for _ in 0..3 {
            pools.server.reload()?;
            for pool in [ALICE, BOB] {
                let body = pools.ask(pool, "hello.php")?;
                ensure!(body == "hello", "{pool:?}: {body}");
            }
        }
        wait_until("the stopped zygote's end", bar(KILLED_WITHIN), || !zygote.lives())?;
        if limit {
            wait_until("the stopped workers' end", bar(ms(3000)), || workers.iter().all(|worker| !worker.lives()))?;
        }
        workers.iter().for_each(|worker| worker.signal(SIGCONT));
        wait_until("the end of the old generations", bar(ms(5000)), || {
            pools.server.zygotes_of("alice").len() == 1 && pools.workers(ALICE).len() == 2
        })?;
        pools.server.stop()?;
    }
    Ok(())
}

/// A graceful stop does not wait for a zygote that is stopped.
#[test]
fn a_stopped_zygote_keeps_no_stop() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let mut pools = neighbours(&target, "", "")?;
    stop(pools.zygote(ALICE)?)?;
    pools.server.supervisor.signal(SIGQUIT);
    pools.server.await_end(bar(KILLED_WITHIN)).map(drop)
}

/// Traces the processes with these pids, and never waits for them.
const TRACER: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <unistd.h>
int main(int count, char **words) {
    for (int at = 1; at < count; at++)
        if (ptrace(PTRACE_SEIZE, atoi(words[at]), 0, 0)) return 1;
    puts("tracing");
    fclose(stdout);
    for (;;) pause();
}
"#;

/// A process that another one traces cannot be reaped after its end. The stop does not wait for it.
#[test]
fn traced_processes_keep_no_stop() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    for whole_group in [false, true] {
        let mut pools = neighbours(&target, "", "")?;
        let tracer = extension::program(&pools.server.sandbox, "tracer", TRACER)?;
        let mut traced = pools.workers(ALICE);
        if whole_group {
            traced.push(pools.zygote(ALICE)?);
        }
        let mut tracing = Command::new(tracer);
        tracing.args(traced.iter().map(|process| process.pid.to_string())).stdout(Stdio::piped());
        let mut tracing = tracing.spawn()?;
        let mut told = String::new();
        tracing.stdout.take().ok_or("no output")?.read_to_string(&mut told)?;
        let ended = if told == "tracing\n" {
            pools.server.supervisor.signal(SIGTERM);
            pools.server.await_end(bar(ms(15_000))).map(drop)
        } else {
            Err(format!("the tracer says {told:?}").into())
        };
        tracing.kill()?;
        tracing.wait()?;
        ended.map_err(|e| format!("{whole_group}: {e}"))?;
    }
    Ok(())
}

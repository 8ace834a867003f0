//! A zygote or worker that sends more than the supervisor can process: the supervisor stays responsive, and its
//! resources stay bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use testkit::clock::{bar, ms, wait_until};
use testkit::inside::{Borrowed, packet_sockets, ways_to};
use testkit::process::Process;
use testkit::sandbox::Sandbox;
use testkit::target::Target;
use testkit::{Outcome, ensure, say, turn};

use super::{ALICE, BOB, GLOBAL, Neighbours, section, start};

/// How long each flood lasts.
const FLOOD: Duration = Duration::from_secs(3);
/// The growth that the supervisor may have, in kB.
const MEMORY: u64 = 8 * 1024;
/// The log volume that a group's lines may reach: 128 KiB per second, plus the rest of the second that had begun.
const LOG: u64 = 5 * 128 * 1024;

/// Sends these messages in turn, through all channels, until it is told to stop or has no channel left.
fn flood(ways: Vec<Borrowed>, messages: Vec<String>, stop: Arc<AtomicBool>) -> u64 {
    let mut said = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut open = false;
        for message in &messages {
            let results: Vec<_> = ways.iter().map(|way| way.say(message.as_bytes())).collect();
            said += results.iter().map(|result| u64::from(result.is_ok())).sum::<u64>();
            open |= results.iter().any(|result| matches!(result, Ok(()) | Err(Errno::EAGAIN)));
            if results.iter().all(Result::is_err) {
                std::thread::yield_now();
            }
        }
        if !open {
            break;
        }
    }
    said
}

/// The state that is checked before, during and after a flood.
struct Watch<'a> {
    pools: &'a Neighbours,
    log: u64,
    memory: u64,
    descriptors: usize,
}

impl<'a> Watch<'a> {
    fn begin(pools: &'a Neighbours) -> Outcome<Self> {
        let supervisor = pools.server.supervisor;
        let (memory, descriptors) = (supervisor.anonymous_kb(), supervisor.fds().len());
        Ok(Self { pools, log: log_size(pools)?, memory, descriptors })
    }

    /// Signals are handled, and bob's pool is served.
    fn during(&self, time: Duration) -> Outcome {
        let (end, mut answered) = (Instant::now() + time, 0);
        while Instant::now() < end {
            let heard = self.pools.server.hears(ms(10_000))?;
            ensure!(heard < bar(ms(100)), "SIGUSR1 was heard after {heard:?}");
            for _ in 0..20 {
                ensure!(self.pools.ask(BOB, "hello.php")? == "hello", "bob's answer");
                answered += 1;
            }
            std::thread::sleep(ms(50));
        }
        ensure!(answered >= 40, "bob had {answered} answers");
        Ok(())
    }

    fn end(&self) -> Outcome {
        let supervisor = self.pools.server.supervisor;
        let grown = log_size(self.pools)? - self.log;
        ensure!(grown <= LOG, "the log has grown by {grown} bytes");
        let memory = supervisor.anonymous_kb().saturating_sub(self.memory);
        ensure!(memory <= MEMORY, "the supervisor has grown by {memory} kB");
        let descriptors = supervisor.fds().len();
        ensure!(descriptors <= self.descriptors + 16, "{} descriptors have become {descriptors}", self.descriptors);
        Ok(())
    }
}

fn log_size(pools: &Neighbours) -> Outcome<u64> {
    Ok(std::fs::metadata(pools.server.sandbox.file("fpm.log"))?.len())
}

/// Floods the supervisor from that process of alice's, and checks the other processes.
fn endure(pools: &Neighbours, ways: Vec<Borrowed>, messages: Vec<String>) -> Outcome<u64> {
    ensure!(!ways.is_empty(), "no way to say anything");
    let bob = pools.all_of(BOB)?;
    let watch = Watch::begin(pools)?;
    let stop = Arc::new(AtomicBool::new(false));
    let flooding = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || flood(ways, messages, stop)
    });
    let during = watch.during(FLOOD);
    stop.store(true, Ordering::Relaxed);
    let said = flooding.join().map_err(|_| "the flood has panicked")?;
    during?;
    watch.end()?;
    ensure!(pools.all_of(BOB)? == bob, "bob's processes are others");
    ensure!(said > 10, "only {said} messages were said");
    Ok(said)
}

/// Pipes for the output of workers, so that each worker costs the supervisor descriptors.
const CAUGHT: &str = "catch_workers_output = yes";

fn neighbours() -> Outcome<Option<Neighbours>> {
    let Some(target) = Target::find_as_root() else { return Ok(None) };
    let conf = format!("{GLOBAL}{}{}", section(ALICE, 2, CAUGHT), section(BOB, 2, CAUGHT));
    Ok(Some(Neighbours { server: start(&target, Sandbox::new()?, &conf)? }))
}

/// A line of bob's, as long as allowed.
fn forged() -> String {
    format!("[pool bob] child 4242 exited on signal 11 (SIGSEGV) {}", "A".repeat(3000))
}

fn by_zygote(pools: &Neighbours, messages: Vec<String>) -> Outcome<u64> {
    let ways = ways_to(pools.zygote(ALICE)?, pools.server.supervisor)?;
    endure(pools, ways, messages)
}

/// Reasons why a worker cannot serve.
#[test]
fn a_zygote_that_floods_the_log() -> Outcome {
    let _turn = turn::alone()?;
    let Some(pools) = neighbours()? else { return Ok(()) };
    let failed = format!(r#"{{"Worker":{{"pool":0,"slot":0,"says":{{"Failed":"{}"}}}}}}"#, forged());
    let said = by_zygote(&pools, vec![failed])?;
    let text = pools.server.log.text();
    let lines = text.lines().filter(|line| line.contains("child 4242")).collect::<Vec<_>>();
    ensure!(
        !lines.is_empty() && lines.iter().all(|line| line.contains("ERROR: [pool alice] [pool bob] ")),
        "{said}: {:?}",
        lines.first()
    );
    wait_until("the number of those that were dropped", bar(ms(5000)), || {
        pools.server.log.count("[group alice] too many lines of its processes: ") > 0
    })?;
    pools.server.stop()
}

/// Messages that change nothing.
#[test]
fn a_zygote_that_floods_the_supervisor() -> Outcome {
    let _turn = turn::alone()?;
    let Some(pools) = neighbours()? else { return Ok(()) };
    by_zygote(&pools, vec![r#"{"Demand":{"pool":0,"waiting":0}}"#.to_owned()])?;
    pools.server.stop()
}

/// Reports of workers that start and end, so that the supervisor orders others, with new pipes. The first false
/// report ends the zygote.
#[test]
fn a_zygote_that_reports_lives_that_are_none() -> Outcome {
    let _turn = turn::alone()?;
    let Some(pools) = neighbours()? else { return Ok(()) };
    let lives = (0..4).flat_map(|slot| {
        [
            format!(r#"{{"Forked":{{"pool":0,"slot":{slot},"pid":1}}}}"#),
            format!(r#"{{"Worker":{{"pool":0,"slot":{slot},"says":"Accepting"}}}}"#),
            format!(r#"{{"Exited":{{"pool":0,"slot":{slot},"pid":1,"exit":{{"Code":0}}}}}}"#),
        ]
    });
    by_zygote(&pools, lives.collect())?;
    pools.server.stop()
}

/// A worker's messages go through its zygote, which forwards each one once.
#[test]
fn a_worker_that_floods_the_log() -> Outcome {
    let _turn = turn::alone()?;
    let Some(pools) = neighbours()? else { return Ok(()) };
    let worker = *pools.workers(ALICE).first().ok_or("no worker")?;
    let ways = packet_sockets(worker, pools.zygote(ALICE)?)?;
    endure(&pools, ways, vec![format!(r#"{{"Failed":"{}"}}"#, forged())])?;
    let lines = pools.server.log.count("child 4242");
    ensure!(lines <= 1, "{lines} lines: {}", pools.server.log.tail(2));
    pools.server.stop()
}

/// Short lines, which date and prefix make many times as long, and empty ones, by processes that outlive their
/// script. They write into the pipes of both workers.
#[test]
fn workers_whose_output_floods_the_log() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::alone()?;
    let sandbox = Sandbox::new()?;
    for (page, text) in [("short.php", "a"), ("empty.php", "''")] {
        let flood = format!("(timeout 3 yes {text} >&2 &) >/dev/null");
        sandbox.put(&format!("www/{page}"), &format!("<?php shell_exec(\"{flood}\"); usleep(200000); echo 'ok';"))?;
    }
    let conf = format!("{GLOBAL}{}{}", section(ALICE, 2, CAUGHT), section(BOB, 2, CAUGHT));
    let pools = Neighbours { server: start(&target, sandbox, &conf)? };
    let supervisor = pools.server.supervisor;
    for page in ["short.php", "empty.php"] {
        let (log, cpu, begun) = (log_size(&pools)?, supervisor.cpu(), Instant::now());
        std::thread::scope(|scope| {
            let both = [0; 2].map(|_| scope.spawn(|| pools.ask(ALICE, page).map_err(|e| e.to_string())));
            both.into_iter().all(|one| one.join().is_ok_and(|body| body.as_deref() == Ok("ok")))
        })
        .then_some(())
        .ok_or("alice's answers")?;
        while begun.elapsed() < ms(2000) {
            ensure!(pools.ask(BOB, "hello.php")? == "hello", "bob's answer");
            std::thread::sleep(ms(20));
        }
        let (cpu, time, grown) = (supervisor.cpu() - cpu, begun.elapsed(), log_size(&pools)? - log);
        say(&format!("{page}: {cpu:?} of {time:?}, log +{grown}"));
        // The rest of the second that had begun, and each second after it.
        let most = (time.as_secs() + 2) * (1 << 20);
        ensure!(grown < most + 64 * 1024, "{page}: the log has grown by {grown} bytes in {time:?}");
        ensure!(cpu < time * 3 / 10, "{page}: the supervisor has used {cpu:?} of {time:?}");
        wait_until("the end of the flood", bar(ms(5000)), || {
            !supervisor.descendants().into_iter().any(|process| process.title().starts_with("yes "))
        })?;
    }
    ensure!(pools.server.log.count("[pool alice] child") > 1000, "little was logged");
    ensure!(pools.server.log.count("bytes dropped") >= 2, "no word of what was dropped");
    ensure!(pools.server.log.count("bytes dropped") < 40, "too many words of what was dropped");
    pools.server.stop()
}

/// Orders queue up for a zygote that is stopped, up to a limit in number and time; then it is killed, and the other
/// pools continue.
#[test]
fn a_zygote_that_takes_nothing_is_ended() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let logged = "access.log = {{DIR}}/alice.access.log";
    let conf = format!("{GLOBAL}{}{}", section(ALICE, 2, logged), section(BOB, 2, ""));
    let pools = Neighbours { server: start(&target, Sandbox::new()?, &conf)? };
    let (zygote, bob) = (pools.zygote(ALICE)?, pools.all_of(BOB)?);
    let log = &pools.server.log;
    zygote.signal(Signal::SIGSTOP);
    let unheard = || log.count(&format!("[group alice] zygote {} takes no messages any more", zygote.pid)) > 0;
    let end = Instant::now() + bar(ms(30_000));
    while !unheard() {
        ensure!(Instant::now() < end, "{} signals later it is still waited for", log.count("error log file re-opened"));
        let mark = log.mark();
        pools.server.supervisor.signal(Signal::SIGUSR1);
        log.wait_for(mark, &["access log file re-opened"], ms(5000))?;
    }
    let supervisor: Process = pools.server.supervisor;
    pools.expect_only_alice_changed(zygote, &bob)?;
    wait_until("the end of what waited", bar(ms(5000)), || supervisor.fds().len() < 64)?;
    pools.server.stop()
}

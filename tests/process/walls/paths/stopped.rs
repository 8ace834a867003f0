//! A process that acts as a user, and that the user stops.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use nix::sys::signal::Signal;
use testkit::clock::{bar, ms};
use testkit::{Outcome, ensure, turn};

use super::{ALICE, BOB, GLOBAL, dir_of, dirs_of_bobs, find, hello_of, section, start};

/// Stops each new child of that process until it is told to end; returns how many.
fn stop_children(pid: i32, known: &[i32], over: &AtomicBool) -> u32 {
    let mut stopped = known.to_vec();
    while !over.load(Ordering::Relaxed) {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
            if !stopped.contains(&child) {
                let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(child), Signal::SIGSTOP);
                stopped.push(child);
            }
        }
    }
    u32::try_from(stopped.len() - known.len()).unwrap_or(u32::MAX)
}

/// A user may signal a process that runs with that user's id. The supervisor does not wait for one that is stopped.
#[test]
fn a_stopped_helper_keeps_nobody() -> Outcome {
    let Some(target) = find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = dirs_of_bobs()?;
    // The request takes some time.
    let mut deep = "bob/logs".to_owned();
    for _ in 0..250 {
        deep.push_str("/d");
        dir_of(&sandbox, &deep, BOB.1)?;
    }
    let conf = format!(
        "{GLOBAL}{}{}",
        section(ALICE, 1, ""),
        section(BOB, 1, &format!("access.log = {{{{DIR}}}}/{deep}/a.log"))
    );
    let mut server = start(&target, sandbox, &conf)?;
    let pid = server.supervisor.pid;
    let known: Vec<i32> = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?
        .split_whitespace()
        .filter_map(|child| child.parse().ok())
        .collect();
    let said = "a.log): user 2002 has stopped the helper process";
    let over = AtomicBool::new(false);
    let reopened = || -> Outcome {
        // A helper may end before it can be stopped.
        let limit = Instant::now() + ms(20_000);
        while Instant::now() < limit {
            let (mark, begun) = (server.log.mark(), Instant::now());
            server.supervisor.signal(Signal::SIGUSR1);
            testkit::clock::wait_until("the log is opened again, or not", ms(9000), || {
                let text = server.log.since(mark);
                text.contains("access log file re-opened") || text.contains("unable to re-opened access log file")
            })?;
            ensure!(begun.elapsed() < bar(ms(2000)), "it took {:?}: {}", begun.elapsed(), server.log.since(mark));
            if server.log.since(mark).contains(said) {
                return Ok(());
            }
        }
        Err(format!("none was stopped: {}", server.log.tail(5)).into())
    };
    std::thread::scope(|scope| {
        let stopper = scope.spawn(|| stop_children(pid, &known, &over));
        let outcome = reopened();
        over.store(true, Ordering::Relaxed);
        let count = stopper.join().map_err(|_| "the stopper")?;
        outcome.map_err(|e| format!("{count} stopped: {e}"))
    })?;
    hello_of(&server, ALICE)?;
    hello_of(&server, BOB)?;
    server.supervisor.signal(Signal::SIGTERM);
    server.await_end(bar(ms(5000)))?;
    Ok(())
}

//! A group whose pool leads into a directory that hangs: other groups start and reload without it.

use std::fs;
use std::time::Instant;

use nix::sys::signal::Signal;
use testkit::clock::{bar, ms, wait_until};
use testkit::sandbox::Sandbox;
use testkit::{Outcome, ensure, turn};

use super::hanging::{Hung, Silent, bob_with_mount};
use super::{ALICE, BOB, GLOBAL, dir_of, find, hello_of, section, spawn, start, swap};

/// Lines of bob's pool that lead into a directory that hangs.
const HANGING: [&str; 4] = [
    "access.log = {{DIR}}/bob/hangs/access.log",
    "slowlog = {{DIR}}/bob/hangs/slow.log\nrequest_slowlog_timeout = 5s",
    "listen = {{DIR}}/bob/hangs/php.sock",
    "chdir = {{DIR}}/bob/hangs",
];
/// What is said about it.
const NO_ANSWER: &str = "a directory of user 2002 did not answer within";

/// A directory of bob's with a link into a mount that hangs.
fn with_hanging_link() -> Outcome<Option<(Sandbox, Vec<Silent>)>> {
    let Some((sandbox, silent)) = bob_with_mount(&[])? else { return Ok(None) };
    swap(&sandbox.file("bob/hangs"), &sandbox.file("bob/mount/deep"), BOB.1)?;
    Ok(Some((sandbox, silent)))
}

/// At a start: alice's group serves after the time that a slow start is waited for, not after bob's time limit. Signals are
/// handled at once, and bob's group serves when its directory does not hang any more.
#[test]
fn a_start_does_not_wait_for_a_directory_that_hangs() -> Outcome {
    let Some(target) = find() else { return Ok(()) };
    let _turn = turn::shared()?;
    for lines in HANGING {
        let Some((sandbox, silent)) = with_hanging_link()? else { return Ok(()) };
        let conf = format!("{GLOBAL}{}{}", section(ALICE, 1, ""), section(BOB, 1, lines));
        let begun = Instant::now();
        let server = spawn(&target, sandbox, &conf)?;
        let mut hung = Hung { silent, server };
        let server = &mut hung.server;
        let first = server.log.mark();
        wait_until("alice's page", ms(20_000), || hello_of(server, ALICE).is_ok())?;
        ensure!(begun.elapsed() < bar(ms(4000)), "{lines}: alice's page came after {:?}", begun.elapsed());
        let heard = server.hears(ms(5000))?;
        ensure!(heard < bar(ms(100)), "{lines}: the signal was handled after {heard:?}");
        server.log.wait_for(first, &["[group bob] could not be started: ", NO_ANSWER], ms(20_000))?;
        drop(std::mem::take(&mut hung.silent));
        fs::remove_file(server.sandbox.file("bob/hangs"))?;
        dir_of(&server.sandbox, "bob/hangs", BOB.1)?;
        server.log.wait_for(first, &["[group bob] generation 1 serves"], ms(60_000))?;
        server.supervisor.signal(Signal::SIGTERM);
        server.await_end(bar(ms(5000)))?;
    }
    Ok(())
}

/// At a reload: alice's group has the new configuration at once, and bob's serves on with the former one. Signals are handled at
/// once, also a further reload.
#[test]
fn a_reload_does_not_wait_for_a_directory_that_hangs() -> Outcome {
    let Some(target) = find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let Some((sandbox, silent)) = with_hanging_link()? else { return Ok(()) };
    let conf = |number: usize, lines: &str| {
        format!("{GLOBAL}{}{}", section(ALICE, 1, &format!("env[N] = {number}")), section(BOB, 1, lines))
    };
    let mut hung = Hung { silent, server: start(&target, sandbox, &conf(0, ""))? };
    let server = &mut hung.server;
    for (at, lines) in HANGING.into_iter().enumerate() {
        let (mark, asked) = (server.log.mark(), Instant::now());
        server.sandbox.configure(&conf(at + 1, lines))?;
        server.supervisor.signal(Signal::SIGUSR2);
        server.await_generation("alice", at + 2, ms(20_000))?;
        ensure!(asked.elapsed() < bar(ms(4000)), "{lines}: alice's group changed after {:?}", asked.elapsed());
        hello_of(server, ALICE)?;
        hello_of(server, BOB)?;
        let heard = server.hears(ms(5000))?;
        ensure!(heard < bar(ms(100)), "{lines}: the signal took {heard:?}");
        server.log.wait_for(mark, &["[group bob] reload failed: ", "its generation 1 serves on"], ms(20_000))?;
        ensure!(server.log.since(mark).contains(NO_ANSWER), "{lines}: {}", server.log.since(mark));
        server.log.wait_for(mark, &["ready to handle connections"], ms(5000))?;
        hello_of(server, BOB)?;
    }
    server.supervisor.signal(Signal::SIGTERM);
    server.await_end(bar(ms(5000)))?;
    Ok(())
}

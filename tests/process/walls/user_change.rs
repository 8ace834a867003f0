//! A reload gives a pool another user: no connection of the former user reaches the new user's workers.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;

use testkit::clock::ms;
use testkit::fastcgi::{Client, Request, ask_once};
use testkit::inside::{packet_sockets, send, stream_pair};
use testkit::process::Process;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::target::Target;
use testkit::{Outcome, ensure, say, turn};

use super::{ALICE, GLOBAL, section, start};

/// A server with the one pool, for that uid.
fn conf(uid: u32) -> String {
    format!("{GLOBAL}{}", section((ALICE.0, uid), 2, "pm.status_path = /status"))
}

/// A worker in a long request, and its channels to its zygote.
pub(super) struct Former {
    _client: Client,
    worker: Process,
    ways: Vec<OwnedFd>,
}

pub(super) fn keep_one_busy(server: &Server) -> Outcome<Former> {
    let zygote = *server.zygotes().first().ok_or("no zygote")?;
    server.sandbox.put("www/long.php", "<?php echo getmypid(), str_repeat(' ', 9000); flush(); sleep(8);\n")?;
    let mut client = Client::connect(&server.address, ms(20_000))?;
    client.send(&Request::get(&server.sandbox.page("long.php")).encode(1))?;
    let first = client.record()?.ok_or("no answer")?;
    let text = String::from_utf8_lossy(&first.content).into_owned();
    let pid = text.split("\r\n\r\n").nth(1).unwrap_or_default().trim().parse()?;
    let worker = Process::find(pid).ok_or("the worker has gone")?;
    let ways = packet_sockets(worker, zygote)?.into_iter().map(|way| way.fd).collect();
    Ok(Former { _client: client, worker, ways })
}

/// The worker hands over connections that it made itself, each with a request; the answers.
fn give_away(former: &Former, request: &Request) -> Outcome<Vec<String>> {
    let mut answers = Vec::new();
    for way in &former.ways {
        let (ours, theirs) = stream_pair()?;
        let mut client = Client::over(UnixStream::from(ours), ms(1500))?;
        client.send(&request.encode(1))?;
        let sent = send(way, &[b'k'; 64], &[theirs.as_raw_fd()]);
        drop(theirs);
        if sent.is_ok() {
            answers.extend(client.answer().map(|answer| answer.body()));
        }
    }
    Ok(answers)
}

fn after_a_reload_to(target: &Target, uid: u32) -> Outcome<Vec<String>> {
    let sandbox = Sandbox::new()?;
    sandbox.put("www/who.php", "<?php echo posix_geteuid();\n")?;
    let server = start(target, sandbox, &conf(ALICE.1))?;
    let former = keep_one_busy(&server)?;
    ensure!(!former.ways.is_empty(), "no ways: {:?}", former.worker.fds());
    server.sandbox.configure(&conf(uid))?;
    server.reload()?;
    let who = Request::get(&server.sandbox.page("who.php"));
    let now = ask_once(&server.address, &who, ms(5000))?;
    ensure!(now == uid.to_string(), "the pool is {now}");
    ensure!(former.worker.lives(), "the former worker has gone");
    let answers = give_away(&former, &who)?;
    server.stop()?;
    Ok(answers)
}

/// A worker of the former user hands a connection over: the new user's workers do not serve it. Without a change of
/// user the next generation serves it, which shows that the channel is the right one.
#[test]
fn nothing_of_the_former_user_is_served() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let same = after_a_reload_to(&target, ALICE.1)?;
    ensure!(same.contains(&ALICE.1.to_string()), "kept connections don't go on: {same:?}");
    let other = after_a_reload_to(&target, 2002)?;
    say(&format!("served to the same user {same:?}, after a change of user {other:?}"));
    ensure!(!other.contains(&"2002".to_owned()), "served as the next user: {other:?}");
    Ok(())
}

/// The counters continue, and the memory that the former user's worker still writes to is no longer used for them.
#[test]
fn counters_are_copied_once() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = start(&target, Sandbox::new()?, &conf(ALICE.1))?;
    let accepted = || -> Outcome<u64> {
        let request = Request::of_pool("/status", "");
        let page = ask_once(&server.address, &request, ms(5000))?;
        let line = page.lines().find_map(|line| line.strip_prefix("accepted conn:"));
        Ok(line.ok_or_else(|| format!("no such line: {page}"))?.trim().parse()?)
    };
    let former = keep_one_busy(&server)?;
    let before = accepted()?;
    let totals = |process: Process| -> Vec<String> {
        process.fds().into_values().filter(|to| to.contains("cgi-fpm-totals")).collect()
    };
    ensure!(totals(server.supervisor).len() == 1, "{:?}", totals(server.supervisor));
    server.sandbox.configure(&conf(2002))?;
    server.reload()?;
    ensure!(former.worker.lives(), "the former worker has gone");
    ensure!(totals(server.supervisor).len() == 2, "{:?}", totals(server.supervisor));
    let after = accepted()?;
    ensure!((before..before + 20).contains(&after), "accepted {before} before and {after} after");
    // The next generation of the same user has the same memory.
    server.reload()?;
    ensure!(totals(server.supervisor).len() == 2, "{:?}", totals(server.supervisor));
    server.stop()
}

/// A kept connection of the former user's generation is closed soon, however long a request of that generation runs:
/// no worker would serve later requests on it.
#[test]
fn kept_connections_end_soon() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = start(&target, Sandbox::new()?, &conf(ALICE.1))?;
    let mut kept = Client::connect(&server.address, ms(5000))?;
    let hello = Request::get(&server.sandbox.page("hello.php")).keep();
    ensure!(kept.ask(&hello)?.body() == "hello", "no answer");
    let former = keep_one_busy(&server)?;
    server.sandbox.configure(&conf(2002))?;
    server.reload()?;
    let end = kept.record()?;
    ensure!(end.is_none(), "something came: {end:?}");
    ensure!(former.worker.lives(), "the former worker has gone");
    server.stop()
}

//! Pipes that carry more than their buffer holds are read while the writers run.
#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Instant;

use nix::sys::signal::Signal;
use testkit::broken;
use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::{Client, Request, ask_once};
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::{Door, Target, web_user};
use testkit::{Outcome, ensure, skip, turn};

/// Ten times what a pipe holds.
const COMPLAINTS: &str = "#!/bin/sh\ni=0\nwhile [ $i -lt 6500 ]; do i=$((i + 1)); \
    printf 'complaint %05d %084d\\n' $i 0 >&2; done\nexit 3\n";

/// A check with a long output ends when the output is complete, not at its limit of 30 s. The log contains the
/// beginning, and the size of the rest.
#[test]
fn a_check_may_complain_at_length() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    if target.door != Door::Patched {
        skip("the host of the stock door is not the test's to replace");
        return Ok(());
    }
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1).own_prefix())?;
    let talker = server.sandbox.file("talker");
    fs::write(&talker, COMPLAINTS)?;
    fs::set_permissions(&talker, fs::Permissions::from_mode(0o755))?;
    let host = target.host_in(&server.prefix);
    broken::replace(&host, &talker)?;
    let (mark, asked) = (server.log.mark(), Instant::now());
    server.supervisor.signal(Signal::SIGUSR2);
    server.log.wait_for(mark, &["reload check: complaint 00001 0", "reload refused: the check"], bar(ms(20_000)))?;
    let said = server.log.since(mark);
    let lines = said.lines().filter(|line| line.contains("reload check: complaint")).count();
    ensure!((100..2000).contains(&lines), "{lines} lines in {:?}", asked.elapsed());
    ensure!(said.contains("exited with code 3"), "it did not end by itself: {}", server.log.tail(3));
    let cut = said.lines().find(|line| line.contains("reload check:") && line.contains("more bytes"));
    ensure!(cut.is_some(), "nothing tells of the rest: {}", server.log.tail(3));
    broken::replace(&host, &target.host_in(&target.prefix))?;
    server.reload()?;
    server.stop()
}

/// Delays the start of PHP in one group until a file exists.
const PRELOAD: &str = "<?php if (str_contains(file_get_contents('/proc/self/cmdline'), 'zygote slow')) {
    for ($i = 0; $i < 1500 && !file_exists('{{FILE}}'); $i++) { usleep(10000); }
}";

/// Five times what a pipe holds.
const TALK: &str = "<?php $err = fopen('php://stderr', 'w');
    for ($i = 0; $i < 3300; $i++) { fwrite($err, sprintf(\"word %05d %088d\\n\", $i, 0)); } echo 'said';";

/// Until all pools are ready, the log has no output of workers; but the output is read, and pools that are ready
/// serve.
#[test]
fn workers_may_talk_while_others_start() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let go = sandbox.file("go");
    sandbox.put("www/talk.php", TALK)?;
    sandbox.put("preload.php", &PRELOAD.replace("{{FILE}}", &go.display().to_string()))?;
    let user = web_user().map(|user| format!("user = {user}\ngroup = {user}")).unwrap_or_default();
    let slow = format!(
        "process.group = fast\ncatch_workers_output = yes\n[slow]\npm = static\npm.max_children = 1\n\
         process.group = slow\nlisten = {}\n{user}",
        sandbox.file("slow.sock").display()
    );
    let ini = format!("opcache.preload = {}", sandbox.file("preload.php").display());
    let setup = Setup::new(1).pool(&slow).ini(&ini);
    let mut server = Server::spawn_in(sandbox, &target, &setup)?;
    wait_until("the fast pool has a worker", bar(ms(10_000)), || server.workers().len() == 1)?;
    let asked = Instant::now();
    let mut client = Client::connect(&server.address, bar(ms(8000)))?;
    client.send(&Request::get(&server.sandbox.page("talk.php")).encode(1))?;
    let answer = client.answer()?;
    ensure!(answer.body() == "said", "{}", answer.body());
    ensure!(server.log.count("ready to handle connections") == 0, "all were ready in {:?}", asked.elapsed());
    ensure!(server.log.count("said into stderr") == 0, "it is in the log already");
    fs::write(&go, "")?;
    server.await_ready()?;
    wait_until("what was dropped is told", bar(ms(5000)), || server.log.count("bytes dropped") > 0)?;
    let text = server.log.text();
    let at = |what: &str| text.find(what).ok_or(format!("{what:?} isn't in the log"));
    ensure!(at("ready to handle")? < at("\"word 00000 0")?, "not in its place: {}", server.log.tail(3));
    let words = server.log.count("\"word ");
    ensure!((100..1500).contains(&words), "{words} lines");
    ask_once(&server.address, &Request::get(&server.sandbox.page("hello.php")), ms(5000))?;
    server.stop()
}

//! Processes that a script leaves become children of the supervisor. It reaps some at a time, however many there are.

use std::process::Command;

use nix::sys::signal::Signal;
use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::{Request, ask_once};
use testkit::process::Process;
use testkit::target::Target;
use testkit::{Outcome, ensure, say, turn};

use super::{ALICE, BOB, Neighbours, address};

/// Most that are reaped in one turn of the event loop.
const AT_ONCE: usize = 256;
/// As many as a script leaves.
const LEFT: usize = 700;

/// The most children that were reaped between two waits for events, and all of them together.
fn reaped(trace: &str) -> (usize, usize) {
    let (mut most, mut together, mut sum) = (0, 0, 0);
    for line in trace.lines() {
        if line.starts_with("epoll_") {
            together = 0;
        } else if line.starts_with("wait4(-1") && !line.ends_with("= 0") && !line.contains("= -1") {
            (together, sum) = (together + 1, sum + 1);
        }
        most = most.max(together);
    }
    (most, sum)
}

#[test]
fn they_are_reaped_some_at_a_time() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    if !testkit::calls::installed_or_skip() {
        return Ok(());
    }
    let pools = Neighbours::start(&target, "request_terminate_timeout = 0")?;
    let (server, supervisor) = (&pools.server, pools.server.supervisor);
    let script = format!("i=0; while [ $i -lt {LEFT} ]; do (: &); i=$((i+1)); done");
    server.sandbox.put("www/leave.php", &format!("<?php exec('{script}'); echo 'left';\n"))?;
    let listed = format!("/proc/{0}/task/{0}/children", supervisor.pid);
    let all = || std::fs::read_to_string(&listed).unwrap_or_default().split_whitespace().count();
    // The others live.
    let ended = || all().saturating_sub(supervisor.children().len());
    let file = server.sandbox.file("trace");
    supervisor.signal(Signal::SIGSTOP);
    let left = ask_once(&address(server, ALICE), &Request::get(&server.sandbox.page("leave.php")), ms(60_000));
    let before = ended();
    let strace = Command::new("strace")
        .args(["-qq", "-e", "trace=wait4,epoll_wait,epoll_pwait", "-o"])
        .arg(&file)
        .arg("-p")
        .arg(supervisor.pid.to_string())
        .spawn();
    let traced = wait_until("strace", ms(10_000), || supervisor.status("TracerPid") != ["0"]);
    supervisor.signal(Signal::SIGCONT);
    let gone = wait_until("the end of the orphans", bar(ms(20_000)), || ended() == 0);
    let served = pools.ask(BOB, "hello.php");
    let mut strace = strace?;
    if let Some(tracer) = i32::try_from(strace.id()).ok().and_then(Process::find) {
        tracer.signal(Signal::SIGTERM);
    }
    strace.wait()?;
    ensure!(left? == "left" && before >= LEFT, "{before} processes were left");
    traced?;
    gone?;
    ensure!(served? == "hello", "bob");
    let (most, sum) = reaped(&std::fs::read_to_string(&file)?);
    say(&format!("{sum} reaped, at most {most} in a turn"));
    ensure!(sum >= LEFT && most <= AT_ONCE, "{sum} were reaped, {most} of them in one turn");
    server.says_hello(&address(server, ALICE))?;
    pools.server.stop()
}

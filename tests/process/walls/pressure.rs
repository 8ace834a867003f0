//! What an attack by alice costs bob. Each attack runs in windows of time between quiet windows, while clients ask bob's pool.
//! The median over the windows of bob's 99th percentile must be at most one and a half times that of the quiet windows, and
//! the supervisor must handle signals within 100 ms.
//!
//! The attacks run with the lowest priority, and so do alice's zygote and workers. So this does not measure how the kernel shares
//! the CPU between users, but what the supervisor does for alice, and whether anything of bob's waits for it: his workers end
//! after some requests, and he needs new ones all the time.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::clock::{bar, ms, wait_until};
use testkit::extension;
use testkit::fastcgi::{Client, Request};
use testkit::inside::ways_to;
use testkit::load::Plan;
use testkit::sandbox::Sandbox;
use testkit::target::Target;
use testkit::turn::Alone;
use testkit::{Outcome, ensure, say, turn};

use super::locked::{LOCK, stop_with_programs};
use super::{BOB, GLOBAL, Neighbours, address, asker, section, start};

/// The attacker's pool. The user is one that no other test has, since it sends signals to all processes of its own.
pub(super) const ALICE: (&str, u32) = ("alice", 2771);

/// The length of a window, and the numbers of pairs of windows that are judged. The machine may do other work in some, so a bad
/// verdict counts only after the last number.
const WINDOW: Duration = Duration::from_millis(500);
const PAIRS: [usize; 3] = [3, 7, 13];
/// Differences below this are not seen by bob's clients: a few switches between processes, and one request in a hundred to a new worker
/// that has had no time to warm up, which costs 0.6 ms.
const UNSEEN: Duration = Duration::from_micros(900);

/// After `LOCK`: attacks that need no pool: started as alice's user, until they are killed.
const PROGRAM: &str = r#"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static void all_signals(void) {
    int signals[] = {SIGSTOP, SIGCONT, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2, SIGHUP, SIGINT, SIGALRM, SIGSTOP, SIGCONT, SIGKILL};
    for (unsigned i = 0;; i++) {
        kill(-1, signals[i % (sizeof signals / sizeof *signals)]);
        usleep(5000);
    }
}
static void bomb(void) {
    struct rlimit most = {150, 150};
    setrlimit(RLIMIT_NPROC, &most);
    for (;;)
        if (fork() < 0) usleep(1000);
}
int main(int count, char **words) {
    nice(19);
    if (count < 2) return 1;
    if (!strcmp(words[1], "signals")) all_signals();
    if (!strcmp(words[1], "bomb")) bomb();
    if (!strcmp(words[1], "lock")) lock();
    return 0;
}
"#;

/// A page for attacks from a script.
const PAGE: &str = r"<?php
$program = dirname(__DIR__) . '/attack';
switch ($_SERVER['QUERY_STRING']) {
case 'die': posix_kill(getmypid(), 9); break;
case 'exit': exit(255);
case 'pipes': proc_open(['sleep', '2'], [], $pipes); posix_kill(getmypid(), 9); break;
case 'lock': proc_open([$program, 'lock'], [], $pipes); posix_kill(getmypid(), 9); break;
case 'stop': posix_kill(posix_getppid(), 19); posix_kill(getmypid(), 19); break;
case 'output': $end = microtime(true) + 0.2; while (microtime(true) < $end) error_log(str_repeat('x', 100)); break;
case 'zygote': posix_kill(posix_getppid(), 9); break;
}
echo 'ok';
";

/// Acts until it is told to stop.
pub(super) type Attack = fn(&Neighbours, &AtomicBool) -> Outcome;

const ATTACKS: [(&str, Attack); 10] = [
    ("every signal to every process", |pools, stop| by_program(pools, stop, "signals")),
    ("a fork bomb", |pools, stop| by_program(pools, stop, "bomb")),
    ("workers that are killed", |pools, stop| by_page(pools, stop, "die")),
    ("workers that leave children with their pipes", |pools, stop| by_page(pools, stop, "pipes")),
    ("workers with locked pipes", |pools, stop| by_page(pools, stop, "lock")),
    ("workers that flood the log", |pools, stop| by_page(pools, stop, "output")),
    ("workers and zygotes that are stopped", |pools, stop| by_page(pools, stop, "stop")),
    ("zygotes that are killed", |pools, stop| by_page(pools, stop, "zygote")),
    ("a zygote that floods the supervisor", |pools, stop| {
        by_messages(pools, stop, &[r#"{"Demand":{"pool":0,"waiting":0}}"#])
    }),
    ("a zygote that lies about its workers", |pools, stop| by_messages(pools, stop, &LIES)),
];

const LIES: [&str; 3] = [
    r#"{"Forked":{"pool":0,"slot":0,"pid":1}}"#,
    r#"{"Worker":{"pool":0,"slot":0,"says":"Accepting"}}"#,
    r#"{"Exited":{"pool":0,"slot":0,"pid":1,"exit":{"Code":0}}}"#,
];

fn as_alice(program: &Path, mode: &str) -> Outcome<Child> {
    let mut command = Command::new(program);
    command.arg(mode).uid(ALICE.1).gid(ALICE.1).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command.process_group(0).spawn()?)
}

fn by_program(pools: &Neighbours, stop: &AtomicBool, mode: &str) -> Outcome {
    let mut child = as_alice(&pools.server.sandbox.file("attack"), mode)?;
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(ms(5));
    }
    let group = nix::unistd::Pid::from_raw(i32::try_from(child.id())?);
    // A bomb forks on while it is killed.
    for _ in 0..50 {
        let _ = nix::sys::signal::killpg(group, Signal::SIGKILL);
        std::thread::sleep(ms(1));
    }
    child.wait()?;
    Ok(())
}

/// Two clients ask for that page of alice's again and again; the answers do not matter.
fn by_page(pools: &Neighbours, stop: &AtomicBool, mode: &str) -> Outcome {
    let request = Request::get(&pools.server.sandbox.page("attack.php")).param("QUERY_STRING", mode);
    let ask = || {
        while !stop.load(Ordering::Relaxed) {
            if let Ok(mut client) = Client::connect(&address(&pools.server, ALICE), ms(100)) {
                let _ = client.ask(&request);
            }
            std::thread::sleep(ms(2));
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(ask);
        scope.spawn(ask);
    });
    Ok(())
}

fn by_messages(pools: &Neighbours, stop: &AtomicBool, messages: &[&str]) -> Outcome {
    while !stop.load(Ordering::Relaxed) {
        let ways = pools.zygote(ALICE).and_then(|zygote| ways_to(zygote, pools.server.supervisor));
        let ways: Vec<_> =
            ways.unwrap_or_default().into_iter().filter(|way| way.points_to.starts_with("pipe:")).collect();
        let mut open = !ways.is_empty();
        while open && !stop.load(Ordering::Relaxed) {
            let results = messages.iter().flat_map(|message| ways.iter().map(|way| way.say(message.as_bytes())));
            open = results.fold(true, |open, result| open & matches!(result, Ok(()) | Err(nix::errno::Errno::EAGAIN)));
            // A full pipe wakes this thread as seldom as its reader.
            std::thread::sleep(ms(1));
        }
        std::thread::sleep(ms(5));
    }
    Ok(())
}

/// Two pools: alice's with these further lines, and bob's, who needs new workers all the time.
pub(super) fn pools(target: &Target, sandbox: Sandbox, alice: &str) -> Outcome<Neighbours> {
    let alice = format!("process.priority = 19\nrequest_drop_abandoned = yes\n{alice}");
    let conf = format!("{GLOBAL}{}{}", section(ALICE, 3, &alice), section(BOB, 3, "pm.max_requests = 100"));
    Ok(Neighbours { server: start(target, sandbox, &conf)? })
}

fn neighbours(target: &Target) -> Outcome<Neighbours> {
    let sandbox = Sandbox::new()?;
    extension::program(&sandbox, "attack", &[LOCK, PROGRAM].concat())?;
    sandbox.put("www/attack.php", PAGE)?;
    pools(target, sandbox, "catch_workers_output = yes\nrequest_terminate_timeout = 1s")
}

/// What a window has shown.
#[derive(Clone, Copy)]
struct Seen {
    /// Bob's 99th percentile.
    p99: Duration,
    /// The longest time until a signal was handled.
    signal: Duration,
}

fn window(pools: &Neighbours) -> Outcome<Seen> {
    let load = Plan::clients(2).pause(ms(1)).start(|_| asker(&pools.server, BOB));
    let (end, mut signal) = (Instant::now() + WINDOW, Duration::ZERO);
    while Instant::now() < end {
        signal = signal.max(pools.server.hears(ms(10_000))?);
        std::thread::sleep(ms(60));
    }
    let tally = load.stop();
    tally.expect_no_failure()?;
    Ok(Seen { p99: tally.percentile(99), signal })
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// What the windows so far have shown.
#[derive(Default)]
struct Windows {
    quiet: Vec<Seen>,
    attacked: Vec<Seen>,
}

impl Windows {
    /// A quiet window, then one of an attack.
    fn add(&mut self, pools: &Neighbours, attack: Attack) -> Outcome {
        self.quiet.push(window(pools)?);
        let stop = AtomicBool::new(false);
        self.attacked.push(std::thread::scope(|scope| {
            let attacking = scope.spawn(|| attack(pools, &stop).map_err(|e| e.to_string()));
            std::thread::sleep(ms(30));
            let seen = window(pools);
            stop.store(true, Ordering::Relaxed);
            attacking.join().map_err(|_| "the attack has panicked")??;
            seen
        })?);
        recover(pools)
    }

    /// The medians of bob's 99th percentiles, in quiet and under attack.
    fn p99(&self) -> [Duration; 2] {
        [&self.quiet, &self.attacked].map(|seen| median(seen.iter().map(|one| one.p99).collect()))
    }

    fn longest_signal(&self) -> Duration {
        self.attacked.iter().map(|one| one.signal).max().unwrap_or_default()
    }
}

/// Waits until alice is served again. Her stopped processes are killed; old requests in her queue may stop others.
fn recover(pools: &Neighbours) -> Outcome {
    wait_until("alice is served again", bar(ms(40_000)), || {
        for process in pools.server.remaining().into_iter().filter(|process| process.state() == 'T') {
            process.signal(Signal::SIGKILL);
        }
        let request = pools.server.hello();
        let client = Client::connect(&address(&pools.server, ALICE), ms(300));
        client.and_then(|mut client| client.ask(&request)).is_ok_and(|answer| answer.body() == "hello")
    })
    .map(drop)
}

fn judge(turn: &Alone, pools: &Neighbours, (name, attack): (&str, Attack)) -> Outcome {
    let (mut windows, mut last) = (Windows::default(), String::new());
    for pairs in PAIRS {
        while windows.attacked.len() < pairs {
            windows.add(pools, attack).map_err(|e| format!("{name}: {e}"))?;
        }
        let ([quiet, attacked], signal) = (windows.p99(), windows.longest_signal());
        last = format!("{name}: p99 {quiet:.1?} in quiet, {attacked:.1?} under attack; signals within {signal:.1?}");
        say(&last);
        if attacked <= bar(quiet * 3 / 2) + UNSEEN && turn.expect_within(name, signal, ms(100)).is_ok() {
            return Ok(());
        }
    }
    Err(last.into())
}

#[test]
fn attacks_cost_others_nothing() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let turn = turn::alone()?;
    let pools = neighbours(&target)?;
    judge_all(&turn, &pools, &ATTACKS)?;
    // The supervisor unlocks the pipes of dead workers one after another, and may not have come to the last ones.
    let locker = format!("{} lock", pools.server.sandbox.file("attack").display());
    stop_with_programs(pools.server, &locker)
}

/// Judges each attack, and what the supervisor has then.
pub(super) fn judge_all(turn: &Alone, pools: &Neighbours, attacks: &[(&str, Attack)]) -> Outcome {
    let supervisor = pools.server.supervisor;
    let (fds, memory) = (supervisor.fds().len(), supervisor.anonymous_kb());
    for attack in attacks {
        judge(turn, pools, *attack)?;
        let (fds_now, memory_now) = (supervisor.fds().len(), supervisor.anonymous_kb());
        ensure!(fds_now <= fds + 24, "{}: {fds} descriptors have become {fds_now}", attack.0);
        ensure!(memory_now <= memory + 8 * 1024, "{}: {memory} kB have become {memory_now} kB", attack.0);
    }
    wait_until("few descriptors", bar(ms(10_000)), || supervisor.fds().len() <= fds + 4).map(drop)
}

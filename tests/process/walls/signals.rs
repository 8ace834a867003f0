//! Signals to a pool's own zygote, and writes to the descriptors that its workers wait on.

use nix::sys::signal::Signal;
use testkit::clock::{bar, ms, wait_until};
use testkit::inside::{borrow_all, ways_to};
use testkit::load::Plan;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, say, turn};

use super::{ALICE, BOB, Neighbours, asker, lines_within};

/// More than this per second is a busy loop.
const CALM: usize = 20;

/// A page that sends a signal to its worker's parent.
fn sender(sandbox: &Sandbox) -> Outcome {
    sandbox
        .put("www/signal.php", "<?php echo posix_kill(posix_getppid(), (int) $_GET['signal']) ? 'sent' : 'refused';\n")
}

/// Whatever signal a script sends to its parent: its pool loses no request, the processes of the other pool stay, and
/// nothing loops.
#[test]
fn a_script_that_signals_its_zygote() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::alone()?;
    let pools = Neighbours::start(&target, "")?;
    sender(&pools.server.sandbox)?;
    let bob = pools.all_of(BOB)?;
    let clients = Plan::clients(3).pause(ms(3));
    let loads = [ALICE, BOB].map(|pool| clients.start(|_| asker(&pools.server, pool)));
    use Signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
    for signal in [SIGTERM, SIGQUIT, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGTERM] {
        let zygote = pools.zygote(ALICE)?;
        let body = pools.ask(ALICE, &format!("signal.php?signal={}", signal as i32))?;
        ensure!(body == "sent", "{signal}: {body}");
        if [SIGTERM, SIGQUIT].contains(&signal) {
            let asked = format!("[group alice] zygote {}: {signal} from process ", zygote.pid);
            let by_script = |line: &&str| {
                line.contains(&asked) && line.contains(&format!(" of user {} asks the zygote to exit", ALICE.1))
            };
            wait_until("the log tells who has sent it", bar(ms(5000)), || {
                pools.server.log.text().lines().filter(by_script).count() == 1
            })?;
            pools.expect_only_alice_changed(zygote, &bob).map_err(|e| format!("{signal}: {e}"))?;
        } else {
            // Longer than the zygote waits for the supervisor's decision.
            std::thread::sleep(ms(700));
            ensure!(pools.zygote(ALICE)? == zygote, "{signal} has ended the zygote");
        }
    }
    let lines = lines_within(&pools.server, ms(1000));
    ensure!(lines <= CALM, "{lines} lines in a second: {}", pools.server.log.tail(5));
    for (pool, load) in [ALICE, BOB].into_iter().zip(loads) {
        let tally = load.stop();
        say(&format!("{}: {}", pool.0, tally.summary()));
        tally.expect_no_failure()?;
    }
    ensure!(pools.all_of(BOB)? == bob, "bob's processes are others");
    pools.server.stop()
}

/// The administrator ends the only zygote: its workers finish their requests, and the workers of the next zygote
/// stay.
#[test]
fn the_only_zygote_is_ended() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::alone()?;
    let server = Server::start(&target, &Setup::new(3))?;
    let load = Plan::clients(2).pause(ms(3)).start(|_| Box::new(super::hello(&server.address, &server.sandbox)));
    for signal in [Signal::SIGTERM, Signal::SIGQUIT] {
        let mut long = server.in_hand(bar(ms(3500)))?;
        let zygote = *server.zygotes().first().ok_or("no zygote")?;
        zygote.signal(signal);
        let next = || server.zygotes().first().is_some_and(|next| *next != zygote);
        // The zygote does not wait for a worker in a long request.
        let took = wait_until("the next zygote", bar(ms(2900)), || next() && server.workers().len() >= 3)?;
        let end = format!("zygote {} exited with code 0", zygote.pid);
        ensure!(server.log.count(&end) == 1, "{signal}: {}", server.log.tail(5));
        let body = long.answer()?.body();
        ensure!(body == "done" || body.ends_with("short"), "{signal}: the request in hand: {body}");
        let asked = format!(
            "[group www] zygote {}: {signal} from process {} of user {} asks the zygote to exit",
            zygote.pid,
            std::process::id(),
            nix::unistd::getuid()
        );
        ensure!(server.log.count(&asked) == 1, "{asked:?} is not in the log: {}", server.log.tail(8));
        server.await_workers(3, bar(ms(5000)))?;
        let workers = server.workers();
        let lines = lines_within(&server, ms(1000));
        say(&format!("{signal}: the next one after {took:.1?}, {lines} lines in a second"));
        ensure!(lines <= CALM, "{signal}: {lines} lines in a second: {}", server.log.tail(5));
        ensure!(server.workers() == workers, "{signal}: its workers are others a second later");
    }
    let tally = load.stop();
    say(&tally.summary());
    tally.expect_no_failure()?;
    server.stop()
}

/// Code in a worker writes to every descriptor that other processes might wait on: the workers of both pools stay.
#[test]
fn a_worker_that_writes_to_its_drain_signal() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let pools = Neighbours::start(&target, "")?;
    let both = (pools.all_of(ALICE)?, pools.all_of(BOB)?);
    let worker = *pools.workers(ALICE).first().ok_or("no worker")?;
    let (mark, mut found) = (pools.server.log.mark(), 0);
    for process in [worker, pools.zygote(ALICE)?] {
        let waited_for = |to: &str| to.starts_with("pipe:") || to.contains("eventfd");
        // Except the channel to the supervisor, where an invalid message ends the zygote.
        let ways: Vec<String> =
            ways_to(process, pools.server.supervisor)?.into_iter().map(|way| way.points_to).collect();
        let is_own = |to: &String| waited_for(to) && !ways.contains(to);
        let own = borrow_all(process)?.into_iter().filter(|one| one.number > 2 && is_own(&one.points_to));
        for one in own {
            found += 1;
            let _ = nix::unistd::write(&one.fd, &1u64.to_ne_bytes());
        }
    }
    ensure!(found >= 2, "nothing to be written to: {:?}", worker.fds());
    lines_within(&pools.server, ms(1000));
    ensure!((pools.all_of(ALICE)?, pools.all_of(BOB)?) == both, "other processes: {}", pools.server.log.tail(5));
    let lines = pools.server.log.since(mark);
    ensure!(lines.is_empty(), "it is logged: {lines}");
    pools.server.stop()
}

/// The first real-time signal, 34, has no name in most programs. It ends a zygote or a worker as other signals do, and
/// the supervisor and the zygote replace them.
#[test]
fn a_script_that_sends_a_real_time_signal() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let pools = Neighbours::start(&target, "")?;
    sender(&pools.server.sandbox)?;
    let (bob, zygote) = (pools.all_of(BOB)?, pools.zygote(ALICE)?);
    ensure!(pools.ask(ALICE, "signal.php?signal=34")? == "sent", "the signal was refused");
    pools.expect_only_alice_changed(zygote, &bob)?;
    let (zygote, workers) = (pools.zygote(ALICE)?, pools.workers(ALICE));
    // Its worker dies inside the request.
    let _ = pools.ask(ALICE, "crash.php?signal=34");
    wait_until("another worker", bar(ms(5000)), || {
        let now = pools.workers(ALICE);
        now.len() == 2 && now.iter().any(|worker| !workers.contains(worker))
    })?;
    ensure!(pools.zygote(ALICE)? == zygote, "the zygote has changed");
    ensure!(pools.all_of(BOB)? == bob, "bob's processes are others");
    ensure!(pools.server.log.count("exited on signal 34") == 2, "{}", pools.server.log.tail(5));
    pools.server.stop()
}

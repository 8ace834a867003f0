//! A zygote reports the pids of its workers: a process that is not its worker gets no signal, and the false report
//! ends the zygote.

use std::os::fd::AsRawFd as _;

use nix::sys::signal::Signal;
use nix::sys::socket::{MsgFlags, recv};
use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::{Client, Request};
use testkit::inside::{borrow_all, packet_sockets};
use testkit::process::Process;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::{ALICE, BOB, Neighbours, address, lines_within};

/// The zygote is stopped, its worker is killed, and code in the zygote reports it; the supervisor orders another
/// worker in that slot.
fn until_a_worker_is_asked_for(pools: &Neighbours, zygote: Process) -> Outcome<u64> {
    let worker = *pools.workers(ALICE).first().ok_or("no worker")?;
    zygote.signal(Signal::SIGSTOP);
    wait_until("the zygote stands still", bar(ms(5000)), || zygote.state() == 'T')?;
    // The report would not be believed about a worker that lives.
    worker.signal(Signal::SIGKILL);
    wait_until("the worker's end", bar(ms(5000)), || worker.state() == 'Z')?;
    for slot in 0..2 {
        let ended =
            format!("{{\"Exited\":{{\"pool\":0,\"slot\":{slot},\"pid\":{},\"exit\":{{\"Code\":0}}}}}}", worker.pid);
        pools.say_as(zygote, &ended)?;
    }
    // The zygote does not read: the order waits in its socket.
    let ways = packet_sockets(zygote, pools.server.supervisor)?;
    let mut slot = None;
    wait_until("another worker is asked for", bar(ms(5000)), || {
        slot = ways.iter().find_map(|way| {
            let mut order = [0; 4096];
            let length = recv(way.fd.as_raw_fd(), &mut order, MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT).ok()?;
            let order: serde_json::Value = serde_json::from_slice(&order[..length]).ok()?;
            order["Fork"]["slot"].as_u64()
        });
        slot.is_some()
    })?;
    Ok(slot.ok_or("no slot")?)
}

/// A zygote names another pool's zygote as its worker, writes into its scoreboard that this process has been in a
/// request for ever, and dies. The supervisor's time limit must not end the named process.
#[test]
fn another_pools_process_is_claimed() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let pools = Neighbours::start(&target, "request_terminate_timeout = 1s")?;
    let (zygote, bob) = (pools.zygote(ALICE)?, pools.all_of(BOB)?);
    let (victim, mark) = (pools.zygote(BOB)?.pid, pools.server.log.mark());
    let slot = until_a_worker_is_asked_for(&pools, zygote)?;
    let boards = borrow_all(zygote)?.into_iter().filter(|one| one.points_to.contains("cgi-fpm-scoreboard"));
    let boards: Vec<_> = boards.collect();
    let at = format!("\"pool\":0,\"slot\":{slot}");
    let lies = [
        format!("{{\"Forked\":{{{at},\"pid\":{victim}}}}}"),
        format!("{{\"Worker\":{{{at},\"says\":\"Accepting\"}}}}"),
    ];
    // The first report may be the last: the zygote is killed for it.
    let told = lies.iter().filter(|lie| pools.say_as(zygote, lie).is_ok()).count();
    for board in &boards {
        // Stage, start of the request, pid.
        for (word, value) in [(4, 1000_u64), (9, victim.unsigned_abs().into()), (0, 4)] {
            nix::sys::uio::pwrite(&board.fd, &value.to_ne_bytes(), 8 * (16 * i64::try_from(slot)? + word))?;
        }
    }
    ensure!(told > 0, "nothing could be said");
    // The supervisor had ordered a worker, so only the kernel's information shows that the report is false.
    let refused = format!("its zygote names process {victim} as a new worker, which is no new child of its own");
    pools.server.log.wait_for(mark, &[&refused], bar(ms(5000)))?;
    zygote.signal(Signal::SIGKILL);
    pools.expect_only_alice_changed(zygote, &bob)?;
    // A request that starts now reaches its time limit, and ends, after the claimed one.
    let long = Request::get(&pools.server.sandbox.page("work.php")).param("QUERY_STRING", "ms=60000");
    let mut client = Client::connect(&address(&pools.server, ALICE), bar(ms(10_000)))?;
    ensure!(client.ask(&long).is_err(), "the time limit ends nothing");
    pools.server.log.wait_for(mark, &["execution timed out", "exited on signal 15"], bar(ms(5000)))?;
    ensure!(pools.all_of(BOB)? == bob, "bob's processes are others: {}", pools.server.log.text());
    ensure!(pools.server.log.count(&refused) == 1, "not refused: {}", pools.server.log.text());
    pools.server.stop()
}

/// A zygote that lives names a process of its own user as a new worker that is the supervisor's child: a script has left it.
#[test]
fn a_process_that_a_script_has_left_is_claimed() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let pools = Neighbours::start(&target, "")?;
    let page = "<?php exec('sleep 600 > /dev/null 2>&1 & echo $!', $pid); echo $pid[0];";
    pools.server.sandbox.put("www/leave.php", page)?;
    let left = Process::find(pools.ask(ALICE, "leave.php")?.parse()?).ok_or("no process")?;
    wait_until("the supervisor's child", bar(ms(5000)), || left.parent() == pools.server.supervisor.pid)?;
    let (zygote, bob, mark) = (pools.zygote(ALICE)?, pools.all_of(BOB)?, pools.server.log.mark());
    let slot = until_a_worker_is_asked_for(&pools, zygote)?;
    pools.say_as(zygote, &format!("{{\"Forked\":{{\"pool\":0,\"slot\":{slot},\"pid\":{}}}}}", left.pid))?;
    let refused = format!("its zygote names process {} as a new worker, which is no new child of its own", left.pid);
    pools.server.log.wait_for(mark, &[&refused], bar(ms(5000)))?;
    pools.expect_only_alice_changed(zygote, &bob)?;
    ensure!(left.lives(), "the process was killed");
    left.signal(Signal::SIGKILL);
    pools.server.stop()
}

/// An endless stream of reports about new and ended workers: the zygote is killed, and the supervisor keeps no
/// further descriptors.
#[test]
fn a_flood_of_claims() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let pools = Neighbours::start(&target, "catch_workers_output = yes")?;
    let (zygote, bob, before) = (pools.zygote(ALICE)?, pools.all_of(BOB)?, pools.server.supervisor.fds().len());
    until_a_worker_is_asked_for(&pools, zygote)?;
    let mut most = before;
    for round in 0..2000 {
        for slot in 0..2 {
            let at = format!("\"pool\":0,\"slot\":{slot}");
            for message in [
                format!("{{\"Forked\":{{{at},\"pid\":1}}}}"),
                format!("{{\"Worker\":{{{at},\"says\":\"Accepting\"}}}}"),
                format!("{{\"Exited\":{{{at},\"pid\":1,\"exit\":{{\"Code\":0}}}}}}"),
            ] {
                let said = wait_until("room for a message", bar(ms(5000)), || {
                    !zygote.lives() || pools.say_as(zygote, &message).is_ok()
                });
                said.map_err(|e| format!("round {round}: {e}"))?;
            }
        }
        if round % 100 == 0 {
            most = most.max(pools.server.supervisor.fds().len());
        }
        if !zygote.lives() {
            break;
        }
    }
    ensure!(!zygote.lives(), "the zygote goes on");
    ensure!(most <= before + 24, "{before} descriptors before, {most} meanwhile");
    pools.expect_only_alice_changed(zygote, &bob)?;
    let lines = lines_within(&pools.server, ms(500));
    ensure!(lines < 20, "{lines} lines more");
    wait_until("as many descriptors as before", bar(ms(5000)), || pools.server.supervisor.fds().len() <= before + 2)?;
    pools.server.stop()
}

/// Reports that a living worker has ended, again and again, so that the supervisor orders new ones.
#[test]
fn an_end_that_is_none() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let pools = Neighbours::start(&target, "")?;
    let (zygote, bob, mark) = (pools.zygote(ALICE)?, pools.all_of(BOB)?, pools.server.log.mark());
    let worker = pools.workers(ALICE).first().ok_or("no worker")?.pid;
    for slot in 0..2 {
        let end = format!("{{\"Exited\":{{\"pool\":0,\"slot\":{slot},\"pid\":{worker},\"exit\":{{\"Code\":0}}}}}}");
        // The first may be the last.
        let _ = pools.say_as(zygote, &end);
    }
    let refused =
        format!("[pool alice] its zygote reports the end of process {worker}, which lives: the zygote is killed");
    pools.server.log.wait_for(mark, &[&refused], bar(ms(5000)))?;
    pools.expect_only_alice_changed(zygote, &bob)?;
    ensure!(pools.server.log.count(&refused) == 1, "{}", pools.server.log.tail(9));
    pools.server.stop()
}

/// Messages about pools and slots that the zygote does not have end it.
#[test]
fn places_that_do_not_exist() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    for message in [
        "{\"ForkFailed\":{\"pool\":1,\"slot\":0,\"errno\":11}}",
        "{\"Demand\":{\"pool\":18446744073709551615,\"waiting\":1}}",
        "{\"Worker\":{\"pool\":0,\"slot\":4294967295,\"says\":{\"Failed\":\"x\"}}}",
    ] {
        let pools = Neighbours::start(&target, "")?;
        let (zygote, bob, mark) = (pools.zygote(ALICE)?, pools.all_of(BOB)?, pools.server.log.mark());
        pools.say_as(zygote, message)?;
        let refused = format!(
            "[group alice] zygote {} names a place for a worker that it does not have: it is killed",
            zygote.pid
        );
        pools.server.log.wait_for(mark, &[&refused], bar(ms(5000)))?;
        pools.expect_only_alice_changed(zygote, &bob)?;
        ensure!(pools.server.log.count("[pool ]") == 0, "{message}: {}", pools.server.log.tail(9));
        pools.server.stop()?;
    }
    Ok(())
}

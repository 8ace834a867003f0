//! What groups cost that have no clients. The figures do not depend on how fast or busy the machine is.

use std::thread::sleep;
use std::time::Duration;

use testkit::calls::{self, Calls};
use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Request, ask_once};
use testkit::process::Process;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::usage::Usage;
use testkit::{Outcome, ensure, say, turn};

use super::{conf_with, socket_in, start};

const SECONDS: u64 = 4;
/// System calls of all processes in a second, however many groups there are.
const MOST_CALLS: u64 = 15;
/// Memory for each group that sleeps, in bytes.
const MOST_BYTES: u64 = 15_000;
/// Private memory of the process that reads pipes, in kB.
const MOST_OF_READER: u64 = 700;

/// A server with so many groups that have neither zygote nor worker.
fn sleepers(target: &Target, groups: usize) -> Outcome<Server> {
    let soon = "process.group_idle_timeout = 1s";
    let conf = conf_with(groups, soon, "pm = ondemand\npm.process_idle_timeout = 1s\npm.status_path = /status");
    let sandbox = Sandbox::new()?;
    let server = Server::start_at(socket_in(&sandbox, 0), sandbox, target, &Setup::new(1).whole(&conf))?;
    // The testkit has woken the first one.
    wait_until("all groups sleep", ms(20_000), || server.zygotes().is_empty() && server.workers().is_empty())?;
    // Memory is returned after a second.
    sleep(ms(2500));
    Ok(server)
}

fn calls_at_rest(server: &Server) -> Outcome<Calls> {
    calls::count(server, || {
        sleep(Duration::from_secs(SECONDS));
        Ok(())
    })
}

/// The supervisor wakes once a second, and looks at all sockets and zygotes with a few system calls. The other processes sleep.
#[test]
fn groups_without_clients_cost_few_system_calls() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    if !calls::installed_or_skip() {
        return Ok(());
    }
    let _turn = turn::shared()?;
    let servers = [sleepers(&target, 50)?, start(&target, Sandbox::new()?, 20, "", &[])?];
    // Workers and zygotes return memory a second after their start.
    sleep(ms(2500));
    for server in servers {
        let before = Usage::of_tree(server.supervisor);
        sleep(Duration::from_secs(SECONDS));
        let woken = Usage::of_tree(server.supervisor).since(before).sleeps;
        let calls = calls_at_rest(&server)?;
        say(&format!("{woken} wake-ups and {} system calls in {SECONDS} s: {calls:?}", calls.total()));
        ensure!(woken <= 2 * SECONDS, "{woken} wake-ups in {SECONDS} s");
        ensure!(calls.total() <= MOST_CALLS * (SECONDS + 1), "{calls:?} in {SECONDS} s");
        server.stop()?;
    }
    Ok(())
}

/// Memory that belongs to the processes of the server alone, in kB.
fn own_memory(server: &Server) -> u64 {
    let parts = ["Pss_Anon", "Pss_Shmem"];
    let of = |process: &Process| parts.iter().filter_map(|part| process.rollup_kb(part)).sum::<u64>();
    server.supervisor.tree().iter().map(of).sum()
}

#[test]
fn sleeping_groups_take_little_memory() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    const FEW: usize = 20;
    const MANY: usize = 220;
    let mut sums = Vec::new();
    for groups in [FEW, MANY] {
        let server = sleepers(&target, groups)?;
        sums.push(own_memory(&server));
        let readers = server.pipe_readers();
        let private = readers.iter().filter_map(|reader| reader.rollup_kb("Private_Dirty")).max().unwrap_or(0);
        ensure!(private > 0 && private <= MOST_OF_READER, "{private} kB of one of {} readers", readers.len());
        server.stop()?;
    }
    let each = (sums[1] - sums[0]) * 1024 / u64::try_from(MANY - FEW)?;
    say(&format!("{sums:?} kB, {each} bytes for each group"));
    ensure!(each <= MOST_BYTES, "{each} bytes for each sleeping group: {sums:?} kB");
    Ok(())
}

/// The counters of a group that has slept since the start go through a reload.
#[test]
fn counters_of_sleeping_groups_survive_a_reload() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = sleepers(&target, 4)?;
    server.reload()?;
    server.reload()?;
    // Two seconds and more since the start, as `sleepers` says.
    let status = || -> Outcome<serde_json::Value> {
        let page = ask_once(&socket_in(&server.sandbox, 2), &Request::of_pool("/status", "json"), ms(10_000))?;
        Ok(serde_json::from_str(&page)?)
    };
    let first = status()?;
    let since = first["start since"].as_u64();
    ensure!((Some(2)..Some(600)).contains(&since), "{first}");
    wait_until("the limit of the queue", ms(5000), || {
        status().is_ok_and(|status| status["listen queue len"].as_u64() > Some(0))
    })?;
    server.stop()
}

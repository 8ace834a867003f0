//! Zygotes that are forked from a base zygote: who has one, and what happens if the base zygote dies, stops or cannot serve.
#![forbid(unsafe_code)]

mod asleep;
mod lies;
mod memory;
mod secrets;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use nix::sys::signal::Signal;
use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::{Request, ask_once};
use testkit::load::{Job, Plan, asker};
use testkit::process::Process;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stage::{command_in, run_to_end};
use testkit::stream::Address;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

/// The uid of the first group's pool; the others have the next ones.
const FIRST: u32 = 2101;

/// A server with so many groups of one pool with one worker. As root each has a user of its own.
fn start(target: &Target, sandbox: Sandbox, groups: usize, global: &str, ini: &[&str]) -> Outcome<Server> {
    let conf = conf(groups, global);
    let address = socket_in(&sandbox, 0);
    let setup = ini.iter().fold(Setup::new(1).whole(&conf), |setup, line| setup.ini(line));
    Server::start_at(address, sandbox, target, &setup)
}

fn conf(groups: usize, global: &str) -> String {
    conf_with(groups, global, "pm = static")
}

fn conf_with(groups: usize, global: &str, manager: &str) -> String {
    let mut conf =
        format!("[global]\npid = {{{{DIR}}}}/fpm.pid\nerror_log = {{{{DIR}}}}/fpm.log\nlog_level = debug\n{global}\n");
    for (group, uid) in (FIRST..).take(groups).enumerate() {
        let user =
            if nix::unistd::geteuid().is_root() { format!("user = {uid}\ngroup = {uid}") } else { String::new() };
        let _ = write!(
            conf,
            "[p{group}]\n{user}\nprocess.group = $pool\nlisten = {{{{DIR}}}}/p{group}.sock\nlisten.mode = 0666\n\
             {manager}\npm.max_children = 1\n"
        );
    }
    conf
}

fn socket_in(sandbox: &Sandbox, group: usize) -> Address {
    Address::Unix(sandbox.file(&format!("p{group}.sock")))
}

fn ask(server: &Server, group: usize, page: &str) -> Outcome<String> {
    let (page, query) = page.split_once('?').unwrap_or((page, ""));
    let request = Request::get(&server.sandbox.page(page)).param("QUERY_STRING", query);
    ask_once(&socket_in(&server.sandbox, group), &request, ms(20_000))
}

fn client(server: &Server, group: usize) -> Job {
    asker(&socket_in(&server.sandbox, group), &server.hello(), "hello", ms(20_000))
}

fn base(server: &Server) -> Outcome<Process> {
    match server.bases().as_slice() {
        [base] => Ok(*base),
        other => Err(format!("{} base zygotes: {}", other.len(), server.log.tail(9)).into()),
    }
}

/// Four groups have a base zygote, three have none. The zygotes are the supervisor's children, have become their user, and have no
/// capabilities; the base zygote has two, not effective.
#[test]
fn four_groups_have_a_base_zygote() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    for (groups, global, bases) in [(3, "", 0), (4, "", 1), (4, "process.base = no", 0), (1, "process.base = yes", 1)] {
        let server = start(&target, Sandbox::new()?, groups, global, &[])?;
        ensure!(server.bases().len() == bases, "{groups} groups, {global:?}: {}", server.log.text());
        ensure!(server.zygotes().len() == groups, "{} zygotes", server.zygotes().len());
        for group in 0..groups {
            ensure!(ask(&server, group, "hello.php")? == "hello", "group {group}");
            let zygote = server.zygote_of(&format!("p{group}"))?;
            let user = zygote.status("Uid");
            if nix::unistd::geteuid().is_root() {
                let uid = (FIRST + u32::try_from(group)?).to_string();
                ensure!(user.iter().all(|id| *id == uid), "{user:?} in place of {uid}");
            }
            ensure!(zygote.status("CapPrm") == ["0000000000000000"], "{:?}", zygote.status("CapPrm"));
            let channels = |process: Process| -> BTreeSet<String> {
                let fds = process.fds().into_values();
                fds.filter(|to| to.starts_with("pipe:") || to.starts_with("socket:")).collect()
            };
            for base in server.bases() {
                let common: Vec<String> = channels(base).intersection(&channels(zygote)).cloned().collect();
                ensure!(common.is_empty(), "the zygote has channels of the base zygote: {common:?}");
            }
        }
        for base in server.bases().into_iter().filter(|_| nix::unistd::geteuid().is_root()) {
            // CAP_SETGID is 6, CAP_SETUID is 7.
            let capabilities = (base.status("CapPrm"), base.status("CapEff"));
            let expected = (vec!["00000000000000c0".to_owned()], vec!["0000000000000000".to_owned()]);
            ensure!(capabilities == expected, "{capabilities:?}");
            ensure!(base.status("Uid") == ["65534"; 4], "{:?}", base.status("Uid"));
        }
        server.stop()?;
    }
    Ok(())
}

/// `kill -9` of the base zygote: no request fails, and it is started again when a zygote is needed.
#[test]
fn groups_survive_their_base_zygote() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = start(&target, Sandbox::new()?, 4, "", &[])?;
    let load = Plan::clients(4).start(|group| client(&server, group));
    let (first, before) = (base(&server)?, server.zygote_of("p0")?);
    first.signal(Signal::SIGKILL);
    wait_until("its end", ms(5000), || server.bases().is_empty())?;
    ensure!(before.lives(), "the zygotes live");
    before.signal(Signal::SIGKILL);
    wait_until("the next zygote", ms(10_000), || server.zygote_of("p0").is_ok_and(|now| now != before))?;
    let second = base(&server)?;
    ensure!(second != first, "a new base zygote");
    let tally = load.stop();
    tally.expect_no_failure()?;
    server.stop()
}

/// A base zygote that is stopped is killed within two seconds, and the zygote that was wanted of it is forked from the next one.
#[test]
fn a_base_zygote_that_is_stopped_is_replaced() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = start(&target, Sandbox::new()?, 4, "", &[])?;
    let (stopped, before) = (base(&server)?, server.zygote_of("p0")?);
    stopped.signal(Signal::SIGSTOP);
    before.signal(Signal::SIGKILL);
    ensure!(ask(&server, 1, "hello.php")? == "hello", "other groups serve meanwhile");
    wait_until("its end", bar(ms(4000)), || !stopped.lives())?;
    ensure!(server.log.text().contains("is stopped: it is killed"), "{}", server.log.tail(9));
    wait_until("the next zygote", ms(10_000), || !server.zygotes_of("p0").is_empty())?;
    ensure!(ask(&server, 0, "hello.php")? == "hello", "it serves");
    ensure!(base(&server)? != stopped, "a new base zygote");
    server.stop()
}

/// A reload starts a new base zygote. The former one ends with its groups. No request fails.
#[test]
fn a_reload_has_a_base_zygote_of_its_own() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = start(&target, Sandbox::new()?, 4, "", &[])?;
    let load = Plan::clients(4).start(|group| client(&server, group));
    let mut seen = BTreeSet::from([base(&server)?.pid]);
    for generation in 2..=3 {
        server.reload()?;
        let title = format!("php-fpm: base zygote (generation {generation})");
        wait_until(
            "only the new base zygote",
            ms(10_000),
            || matches!(server.bases().as_slice(), [base] if base.title() == title),
        )?;
        ensure!(seen.insert(base(&server)?.pid), "a new one");
    }
    load.stop().expect_no_failure()?;
    wait_until("four zygotes", ms(10_000), || server.zygotes().len() == 4)?;
    server.stop()
}

/// A reload of fewer than four groups uses the base zygote of the others, as long as PHP would start with the same files.
#[test]
fn a_reload_of_one_group_uses_the_base_zygote_that_there_is() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = start(&target, Sandbox::new()?, 4, "", &[])?;
    let first = base(&server)?;
    let reload = |generation: usize| is_forked_after_reload(&target, &server, generation);
    ensure!(reload(2)?, "it started PHP itself: {}", server.log.tail(20));
    ensure!(base(&server)? == first, "another base zygote");
    let ini = server.sandbox.file("php.ini");
    fs::write(&ini, fs::read_to_string(&ini)? + "user_agent = changed\n")?;
    ensure!(!reload(3)?, "it was forked from a PHP that has read another php.ini");
    server.stop()
}

/// Whether the zygote of the second group is forked from a base zygote after a reload of that group.
fn is_forked_after_reload(target: &Target, server: &Server, generation: usize) -> Outcome<bool> {
    let ran = run_to_end(&mut command_in(target, &server.sandbox, &["reload", "p1"]))?;
    ran.expect(0, &[])?;
    server.await_generation("p1", generation, bar(ms(10_000)))?;
    ensure!(ask(server, 1, "hello.php")? == "hello", "it serves");
    // It has a copy of the base zygote's memory.
    let maps = fs::read_to_string(format!("/proc/{}/maps", server.zygote_of("p1")?.pid))?;
    Ok(maps.contains("/memfd:shared_memory"))
}

/// The files of a group that never had a zygote are not known: the base zygote that there is may have read others.
#[test]
fn a_reload_of_a_group_that_has_slept_so_far_reads_php_ini_again() -> Outcome {
    after_a_change(&["reload", "p1"])
}

/// Other groups have named the files that their base zygote has read.
#[test]
fn a_reload_of_what_has_changed_renews_groups_that_have_slept_so_far() -> Outcome {
    after_a_change(&["reload", "--changed"])
}

/// A group that never had a zygote is asked after php.ini has changed, and after that command.
fn after_a_change(command: &[&str]) -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    sandbox.put("www/agent.php", "<?= ini_get('user_agent');")?;
    let setup = Setup::new(1).whole(&conf_with(4, "", "pm = ondemand"));
    let server = Server::start_at(socket_in(&sandbox, 0), sandbox, &target, &setup)?;
    wait_until("the base zygote", ms(10_000), || server.log.text().contains("is ready: each zygote gets a copy"))?;
    ensure!(ask(&server, 0, "hello.php")? == "hello", "the first group is awake");
    ensure!(server.zygote_of("p1").is_err(), "it has woken: {}", server.log.tail(20));
    let ini = server.sandbox.file("php.ini");
    fs::write(&ini, fs::read_to_string(&ini)? + "user_agent = changed\n")?;
    let ran = run_to_end(&mut command_in(&target, &server.sandbox, command))?;
    ran.expect(0, &[])?;
    let agent = ask(&server, 1, "agent.php")?;
    ensure!(agent == "changed", "PHP has read the former php.ini: {agent:?}");
    server.stop()
}

/// Groups of sleeping pools are ready at once, and have a base zygote before their first request.
#[test]
fn sleeping_groups_start_at_once() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::alone()?;
    let sandbox = Sandbox::new()?;
    let setup = Setup::new(1).whole(&conf_with(40, "", "pm = ondemand"));
    let address = socket_in(&sandbox, 0);
    let begun = std::time::Instant::now();
    let server = Server::start_at(address, sandbox, &target, &setup)?;
    let took = begun.elapsed();
    ensure!(took < bar(ms(3000)), "it took {took:.1?}");
    wait_until("the base zygote", ms(5000), || server.log.text().contains("is ready: each zygote gets a copy"))?;
    // The connection that finds out whether the server is up may have woken the first group.
    ensure!(server.zygotes().len() <= 1, "{} zygotes", server.zygotes().len());
    let mut times = Vec::new();
    for group in 0..40 {
        let begun = std::time::Instant::now();
        ensure!(ask(&server, group, "hello.php")? == "hello", "group {group}");
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    testkit::say(&format!("first request to a sleeping group: median {:.1?}, worst {:.1?}", times[20], times[39]));
    server.stop()
}

//! The supervisor's file descriptors: how many each group and pool needs, and what happens when there are not enough.
#![forbid(unsafe_code)]

use std::fmt::Write as _;

use nix::sys::signal::Signal;
use testkit::clock::{bar, ms, wait_until};
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stage;
use testkit::stream::Address;
use testkit::target::{Target, web_user};
use testkit::{Outcome, ensure, turn};

/// A pool with a group of its own or not, and workers that need four descriptors each.
fn pool(sandbox: &Sandbox, name: &str, workers: u32, group: &str) -> String {
    let user = web_user().map(|user| format!("user = {user}\ngroup = {user}\n")).unwrap_or_default();
    let file = |name: String| sandbox.file(&name).display().to_string();
    format!(
        "[{name}]\n{user}listen = {}\npm = static\npm.max_children = {workers}\ncatch_workers_output = yes\n\
         process.group = {group}\nrequest_slowlog_timeout = 5s\nslowlog = {}\naccess.log = {}\n",
        file(format!("{name}.sock")),
        file("slow.log".to_owned()),
        file(format!("{name}.access"))
    )
}

/// What `-t` and the start compute is what is open: 4 for a group, 3 for a pool and 1 for its socket, 4 for a worker.
#[test]
fn the_need_is_what_is_open() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let open_with = |groups: u32, pools: u32, workers: u32| -> Outcome<usize> {
        let sandbox = Sandbox::new()?;
        let mut text = String::new();
        for group in 0..groups {
            for at in 0..pools {
                text += &pool(&sandbox, &format!("p{group}-{at}"), workers, &format!("g{group}"));
            }
        }
        // A base zygote would need three more.
        let setup = Setup::new(1).global("process.base = no").pool(&text);
        let server = Server::start_in(sandbox, &target, &setup)?;
        server.await_workers(1 + usize::try_from(groups * pools * workers)?, bar(ms(5000)))?;
        let open = server.supervisor.fds().len();
        server.stop()?;
        Ok(open)
    };
    let (base, groups, pools) = (open_with(1, 1, 1)?, open_with(3, 1, 1)?, open_with(1, 3, 1)?);
    let workers = open_with(1, 1, 6)?;
    let each = (groups - base, pools - base, workers - base);
    ensure!(each == (2 * (4 + 4 + 4), 2 * (4 + 4), 5 * 4), "{each:?}");
    ensure!(base <= 24 + 12, "{base} with one pool");
    Ok(())
}

const POOLS: u32 = 24;

/// With too few descriptors for all workers, each pool has at least one, and reloads, signals and logs work.
#[test]
fn each_pool_serves_when_descriptors_are_short() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let names: Vec<String> = (0..POOLS).map(|at| format!("p{at}")).collect();
    let text = names.iter().fold(String::new(), |text, name| text + &pool(&sandbox, name, 6, "all"));
    // All workers would need 24 * 6 * 4 = 576.
    let setup = Setup::new(1).pool(&text).under(&["prlimit", "--nofile=420:420"]);
    let server = Server::start_in(sandbox, &target, &setup)?;
    let sockets: Vec<Address> =
        names.iter().map(|name| Address::Unix(server.sandbox.file(&format!("{name}.sock")))).collect();
    let all_serve = || sockets.iter().try_for_each(|socket| server.says_hello(socket));
    all_serve()?;
    let log = server.log.text();
    let warned = log
        .lines()
        .any(|line| line.contains("WARNING") && line.contains("its limit is 420") && line.contains("LimitNOFILE="));
    ensure!(warned, "no warning: {}", server.log.tail(30));
    let are_full = || wait_until("as many workers run as have room", bar(ms(5000)), || server.workers().len() > 35);
    are_full()?;
    wait_until("the log tells of those that are missing", bar(ms(5000)), || {
        server.log.text().contains("no more workers or zygotes are started")
    })?;
    let open = server.supervisor.fds().len();
    ensure!(open <= 420 - 64, "{open} descriptors");
    let mark = server.log.mark();
    server.supervisor.signal(Signal::SIGUSR1);
    server.log.wait_for(mark, &["access log file re-opened"], bar(ms(5000)))?;
    for _ in 0..2 {
        are_full()?;
        server.reload()?;
        all_serve()?;
    }
    let said = server.log.text();
    for word in ["Too many open files", "ALERT", "reload failed"] {
        ensure!(!said.contains(word), "{word}: {}", server.log.tail(30));
    }
    wait_until("the former workers have left", bar(ms(5000)), || server.supervisor.fds().len() <= 420 - 64)?;
    server.stop()
}

/// Where not even one worker for each pool fits, the start is refused, and `-t` warns.
#[test]
fn a_start_without_enough_descriptors_is_refused() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let mut text = String::new();
    for at in 0..POOLS {
        let _ = write!(text, "{}", pool(&sandbox, &format!("p{at}"), 6, "all"));
    }
    let setup = Setup::new(1).pool(&text).under(&["prlimit", "--nofile=200:200"]);
    let mut server = Server::spawn_in(sandbox, &target, &setup)?;
    let status = server.await_end(bar(ms(10_000)))?;
    let said = server.stdio() + &server.log.text();
    ensure!(status == Some(78), "{status:?}: {said}");
    let clear = "its limit is 200: raise LimitNOFILE= of the systemd unit";
    ensure!(said.lines().any(|line| line.contains("ERROR") && line.contains(clear)), "{said}");
    let (conf, ini) = (server.sandbox.file("fpm.conf"), server.sandbox.file("php.ini"));
    let mut test = setup.command(&target.program());
    test.args(["-t", "-y"]).arg(conf).arg("-c").arg(ini).envs(target.environment());
    stage::run_to_end(&mut test)?.expect(0, &["WARNING: ", clear, "test is successful"])?;
    Ok(())
}

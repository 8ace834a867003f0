//! RLIMIT_NPROC: the limit on the number of a user's processes. php-fpm forks its workers as root, whom no such limit
//! binds, and its scripts have the limit of the master.

use std::process::{Child, Command};

use nix::sys::signal::Signal;
use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Request, ask_once};
use testkit::process::Process;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stream::Address;
use testkit::target::Target;
use testkit::{Outcome, ensure, skip, turn};

use super::same::capabilities;

/// Users whom no other process has, whatever runs at the same time. The next one is the user of another pool.
fn users() -> [u32; 3] {
    let first = 100_000 + std::process::id() % 100_000 * 6;
    [first, first + 2, first + 4]
}

/// Processes of the user, which end with this value.
struct Others(Vec<Child>);

impl Others {
    fn start(user: u32, count: usize) -> Outcome<Self> {
        let (uid, gid) = (format!("--reuid={user}"), format!("--regid={user}"));
        let one = || Command::new("setpriv").args([&uid, &gid, "--clear-groups", "sleep", "600"]).spawn();
        Ok(Self((0..count).map(|_| one()).collect::<std::io::Result<_>>()?))
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn setup(user: u32, sandbox: &Sandbox, words: &[&str]) -> Setup {
    let other = sandbox.file("other.sock").display().to_string();
    Setup::new(4).under(words).pool(&format!("user = {user}\ngroup = {user}")).pool(&format!(
        "[other]\nuser = {}\ngroup = {user}\nlisten = {other}\nlisten.mode = 0666\npm = static\npm.max_children = 1",
        user + 1
    ))
}

/// What a script says of its limit, and whether it can start a program.
const PAGE: &str = r"<?php preg_match('/Max processes.*/', file_get_contents('/proc/self/limits'), $limit);
echo preg_replace('/ +/', ' ', $limit[0]), '|', @shell_exec('echo started');";

/// All workers serve although their user has more processes than it may have, and after a reload. Scripts have the
/// limit.
#[test]
fn as_many_workers_as_php_fpm() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let [_, _, user] = users();
    let _others = Others::start(user, 10)?;
    for target in [&target, &target.partner()] {
        serves_beyond(target, user, "8:100", "8 100")?;
    }
    let own = Process::find(i32::try_from(std::process::id())?).ok_or("no process")?;
    if capabilities(own, "CapEff")? & RESOURCE == 0 {
        skip("the part with a hard limit needs CAP_SYS_RESOURCE");
        return Ok(());
    }
    for target in [&target, &target.partner()] {
        serves_beyond(target, user, "8:9", "8 9")?;
    }
    Ok(())
}

/// CAP_SYS_RESOURCE
const RESOURCE: u64 = 1 << 24;

fn serves_beyond(target: &Target, user: u32, limit: &str, shown: &str) -> Outcome {
    let sandbox = Sandbox::new()?;
    sandbox.put("www/limit.php", PAGE)?;
    let setup = setup(user, &sandbox, &["prlimit", &format!("--nproc={limit}"), "--"])
        .pool("request_slowlog_timeout = 5s\nslowlog = /dev/null");
    let server = Server::start_in(sandbox, target, &setup)?;
    for _ in 0..2 {
        let workers = || server.workers().into_iter().filter(|one| one.title().ends_with("pool www")).count();
        wait_until("all workers", ms(5000), || workers() == 4)?;
        let said = ask_once(&server.address, &Request::get(&server.sandbox.page("limit.php")), ms(5000))?;
        let wanted = format!("Max processes {shown} processes |");
        ensure!(said == wanted, "{}: {said}", target.program().display());
        server.reload()?;
    }
    server.stop()
}

/// Without the right to remove the limit, the workers that are possible serve, the others follow when there is room,
/// and a line says what binds. The other pool is not affected.
#[test]
fn without_the_right_to_remove_it() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let [user, ..] = users();
    let others = Others::start(user, 6)?;
    // The zygote and two workers.
    let limit = ["setpriv", "--bounding-set=-sys_resource", "prlimit", "--nproc=8:9", "--"];
    let sandbox = Sandbox::new()?;
    let setup = setup(user, &sandbox, &limit);
    let server = Server::start_in(sandbox, &target, &setup)?;
    server.says_hello(&server.address)?;
    server.says_hello(&Address::Unix(server.sandbox.file("other.sock")))?;
    let line = format!(
        "ERROR: [pool www] cannot fork more workers: the user {user} has 9 processes, RLIMIT_NPROC is 9; raise it"
    );
    wait_until("the line", ms(5000), || server.log.text().contains(&line))?;
    drop(others);
    wait_until("all workers", ms(40_000), || server.workers().len() == 5)?;
    server.reload()?;
    server.says_hello(&server.address)?;
    server.stop()
}

/// A user fills its limit, and a reload follows: all pools serve on. When there is room again, the next reload succeeds.
#[test]
fn a_full_limit_stops_no_pool() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let [_, user, _] = users();
    let limit = ["setpriv", "--bounding-set=-sys_resource", "prlimit", "--nproc=8:8", "--"];
    let sandbox = Sandbox::new()?;
    let setup = setup(user, &sandbox, &limit);
    let server = Server::start_in(sandbox, &target, &setup)?;
    let other = Address::Unix(server.sandbox.file("other.sock"));
    let others = Others::start(user, 8)?;
    server.supervisor.signal(Signal::SIGUSR2);
    wait_until("the line", ms(20_000), || server.log.text().contains("cannot fork more workers"))?;
    for address in [&server.address, &other] {
        server.says_hello(address)?;
    }
    wait_until("the end of the reload", ms(70_000), || {
        server.log.text().lines().any(|line| line.contains("reload failed") || line.contains("serves on"))
    })?;
    // The old generation serves on, and the other group has its new one.
    for (name, number) in [("www", 1), ("other", 2)] {
        server.await_generation(name, number, ms(10_000))?;
    }
    for address in [&server.address, &other] {
        server.says_hello(address)?;
    }
    drop(others);
    server.reload()?;
    for address in [&server.address, &other] {
        server.says_hello(address)?;
    }
    server.stop()
}

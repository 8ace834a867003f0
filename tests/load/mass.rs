//! Many pools, and many reloads.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use testkit::calls::{self, Calls};
use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::{Request, ask_once};
use testkit::load::{Plan, asker};
use testkit::nginx::{Nginx, Upstream};
use testkit::process::Process;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stage::Stage;
use testkit::stream::Address;
use testkit::target::{Target, full, web_user};
use testkit::{Outcome, ensure, say, turn};

const LIMIT: Duration = Duration::from_secs(20);

/// This number of pools beside `www`: ondemand, dynamic and static in turn.
struct Pools {
    text: String,
    sockets: Vec<PathBuf>,
}

impl Pools {
    fn new(sandbox: &Sandbox, count: usize) -> Self {
        let user = web_user().map(|user| format!("user = {user}\n")).unwrap_or_default();
        let (mut text, mut sockets) = (String::new(), Vec::new());
        for number in 0..count {
            let socket = sandbox.file(&format!("{number}.sock"));
            let _ = writeln!(text, "[p{number}]\n{user}listen = {}\npm.max_children = 2", socket.display());
            text.push_str(match number % 4 {
                0 | 1 => "pm = ondemand\n",
                2 => "pm = dynamic\npm.start_servers = 1\npm.min_spare_servers = 1\npm.max_spare_servers = 1\n",
                _ => "pm = static\n",
            });
            sockets.push(socket);
        }
        Self { text, sockets }
    }
}

#[test]
fn two_hundred_pools() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let turn = turn::alone()?;
    let sandbox = Sandbox::new()?;
    let pools = Pools::new(&sandbox, 199);
    let start = Instant::now();
    let server = Server::start_in(sandbox, &target, &Setup::new(2).pool(&pools.text))?;
    let started = start.elapsed();
    let hello = Request::get(&server.sandbox.page("hello.php"));
    let ask_all = || -> Outcome {
        for socket in &pools.sockets {
            let body = ask_once(&Address::Unix(socket.clone()), &hello, LIMIT)?;
            ensure!(body == "hello", "{}: {body}", socket.display());
        }
        Ok(())
    };
    ask_all()?;
    let tree = server.supervisor.tree();
    let memory: u64 = tree.iter().copied().map(Process::pss_kb).sum();
    let own = server.supervisor.anonymous_kb();
    let start = Instant::now();
    server.reload()?;
    let reloaded = start.elapsed();
    ask_all()?;
    let supervisor = server.supervisor;
    let start = Instant::now();
    server.stop()?;
    let stopped = start.elapsed();
    ensure!(pools.sockets.iter().all(|socket| !socket.exists()), "there are sockets left");
    say(&format!(
        "start {started:.2?}, reload {reloaded:.2?}, stop {stopped:.2?}; {} processes with {memory} kB, the supervisor {own} kB of its own",
        tree.len()
    ));
    ensure!(!supervisor.lives(), "it lives");
    let limits = [("start", started, ms(6000)), ("reload", reloaded, ms(6000)), ("stop", stopped, ms(3000))];
    limits.into_iter().try_for_each(|(what, took, limit)| turn.expect_within(what, took, limit))
}

/// What a reload costs grows with the number of pools and not faster, and each pool costs a limited number of system calls and two
/// processes: a zygote and a worker.
#[test]
fn a_reload_costs_each_pool_the_same() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    if !calls::installed_or_skip() {
        return Ok(());
    }
    let _turn = turn::shared()?;
    let costs = [10, 30, 50].map(|pools| cost_of_reload(&target, pools));
    let [few, some, many] = costs;
    let (few, some, many) = (few?, some?, many?);
    let (first, next) = (some.beyond(&few), many.beyond(&some));
    say(&format!("system calls for 20 more pools: {}, and for the next 20: {}", first.total(), next.total()));
    let forks = |calls: &Calls| ["clone", "clone3", "fork", "vfork"].iter().map(|name| calls.of(name)).sum::<u64>();
    ensure!(forks(&next) <= 2 * 20 + 5, "{} processes for 20 pools", forks(&next));
    ensure!(next.total() <= 20 * MOST_CALLS, "{} system calls for a pool: {next:?}", next.total() / 20);
    ensure!(next.total() <= first.total() + first.total() / 5, "{first:?} for 20 pools, {next:?} for the next 20");
    // Others depend on how many events come at the same time, or take place once a second.
    for name in ["newfstatat", "statx", "openat", "fcntl"] {
        let (before, after) = (first.of(name), next.of(name));
        ensure!(after <= before + before / 5 + 40, "{name}: {before} for 20 pools, {after} for the next 20");
    }
    Ok(())
}

/// System calls of all processes for one pool with one worker.
const MOST_CALLS: u64 = 1500;

/// The system calls of all processes during a reload of so many pools, each with a user of its own.
fn cost_of_reload(target: &Target, pools: u32) -> Outcome<Calls> {
    let mut conf = "[global]\npid = {{DIR}}/fpm.pid\nerror_log = {{DIR}}/fpm.log\n".to_owned();
    for pool in 0..pools {
        let _ = writeln!(
            conf,
            "[p{pool}]\nuser = {0}\ngroup = {0}\nlisten = {{{{DIR}}}}/{pool}.sock\npm = static\npm.max_children = 1",
            2301 + pool
        );
    }
    let sandbox = Sandbox::new()?;
    let address = Address::Unix(sandbox.file("0.sock"));
    let server = Server::start_at(address, sandbox, target, &Setup::new(1).whole(&conf))?;
    let ended = || server.zygotes().len() == usize::try_from(pools).unwrap_or(0);
    let calls = calls::count(&server, || {
        server.reload()?;
        wait_until("the former generation's end", bar(ms(20_000)), ended).map(drop)
    })?;
    server.stop()?;
    Ok(calls)
}

/// More workers than in the examples of php-fpm's documentation: both kinds of configuration are accepted.
#[test]
fn large_pools_are_accepted() -> Outcome {
    let Some(mut stage) = Stage::find(12_800)? else {
        return Ok(());
    };
    let _turn = turn::shared()?;
    let dynamic = "pm = dynamic\npm.start_servers = 20\npm.min_spare_servers = 10\npm.max_spare_servers = 100";
    for way in ["pm = static", dynamic] {
        stage.conf = stage.conf.replace("pm = static", way);
        stage.sandbox.put("fpm.conf", &stage.conf)?;
        stage.run(&["-tt"])?.expect(0, &["pm.max_children = 12800", "test is successful"])?;
    }
    Ok(())
}

/// Reloads of four pools under load of all kinds: no request fails and no process grows.
#[test]
fn a_thousand_reloads() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::alone()?;
    let (early, count) = if full() { (50, 950) } else { (15, 45) };
    let sandbox = Sandbox::new()?;
    let pools = Pools::new(&sandbox, 3 + 1);
    let text = pools.text.split_once("[p1]").map_or("", |(_, rest)| rest);
    let server = Server::start_in(sandbox, &target, &Setup::new(2).pool(&format!("[p1]{text}")))?;
    let nginx = Nginx::start(&server.sandbox, &server.address, Upstream::Kept(4))?;
    let page = server.sandbox.page("hello.php");
    let posts = Plan::clients(2).pause(ms(5)).start(|_| {
        let mut web = nginx.client(LIMIT);
        Box::new(move || {
            let text = web.post("/work.php?ms=5", b"some=thing")?.expect(200)?.text();
            ensure!(text == "done", "{text}");
            Ok(())
        })
    });
    let sockets: Vec<Address> = pools.sockets[1..].iter().cloned().map(Address::Unix).collect();
    let asks =
        Plan::clients(3).pause(ms(5)).start(|number| asker(&sockets[number], &Request::get(&page), "hello", LIMIT));
    let start = Instant::now();
    (0..early).try_for_each(|_| server.reload())?;
    let first = Footprint::of(&server)?;
    (0..count).try_for_each(|_| server.reload())?;
    let last = Footprint::of(&server)?;
    let took = start.elapsed() / (early + count);
    let (posts, asks) = (posts.stop(), asks.stop());
    say(&format!("{} reloads, {took:.0?} each; {first:?}, then {last:?}", early + count));
    say(&format!("kept {}; new {}", posts.summary(), asks.summary()));
    posts.expect_no_failure().map_err(|error| format!("{error}; nginx: {}", nginx.errors()))?;
    asks.expect_no_failure()?;
    ensure!(last.fds == first.fds, "descriptors: {first:?}, then {last:?}");
    ensure!(last.memory_kb <= first.memory_kb + 256, "memory grows: {first:?}, then {last:?}");
    server.stop()
}

#[derive(Debug)]
struct Footprint {
    memory_kb: u64,
    fds: usize,
}

impl Footprint {
    /// The state of the supervisor after all processes of a former generation have gone: one zygote, as all pools
    /// have one user.
    fn of(server: &Server) -> Outcome<Self> {
        wait_until("the former generation's end", bar(ms(5000)), || server.zygotes().len() == 1)?;
        std::thread::sleep(ms(300));
        Ok(Self { memory_kb: server.supervisor.anonymous_kb(), fds: server.supervisor.fds().len() })
    }
}

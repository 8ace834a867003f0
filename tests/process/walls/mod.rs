//! Attacks by one pool's user on the other pools: two pools of two users, and code of one of them in its workers or
//! its zygote.
#![forbid(unsafe_code)]

mod claims;
mod floods;
mod locked;
mod messages;
mod native;
mod new_sockets;
mod one_way;
mod orphans;
mod paths;
mod pipes;
mod pressure;
mod queued;
mod signals;
mod unresponsive;
mod user_change;
mod veto;

use std::time::{Duration, Instant};

use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::{Request, ask_once};
use testkit::inside::ways_to;
use testkit::load::Job;
use testkit::process::Process;
use testkit::sandbox::Sandbox;
use testkit::server::{Server, is_worker};
use testkit::setup::Setup;
use testkit::stream::Address;
use testkit::target::Target;
use testkit::{Outcome, ensure};

use crate::hostile;

/// The attacker's pool, and its uid.
const ALICE: (&str, u32) = ("alice", 2001);
/// The victim's pool, and its uid.
const BOB: (&str, u32) = ("bob", 2002);

/// The two pools on one server.
struct Neighbours {
    server: Server,
}

/// The section of a static pool of its own user, with a socket of its name in the sandbox.
fn section((name, uid): (&str, u32), workers: u32, lines: &str) -> String {
    let common = format!("user = {uid}\ngroup = {uid}\nlisten = {{{{DIR}}}}/{name}.sock\nlisten.mode = 0666");
    format!("[{name}]\n{common}\npm = static\npm.max_children = {workers}\n{lines}\n")
}

/// `[global]` of all servers here.
const GLOBAL: &str = "[global]\npid = {{DIR}}/fpm.pid\nerror_log = {{DIR}}/fpm.log\n";

/// A server with pools of any users; it is ready when this returns.
fn start(target: &Target, sandbox: Sandbox, conf: &str) -> Outcome<Server> {
    let address = Address::Unix(sandbox.file("alice.sock"));
    Server::start_at(address, sandbox, target, &Setup::new(1).whole(conf))
}

/// The same, and it is not awaited.
fn spawn(target: &Target, sandbox: Sandbox, conf: &str) -> Outcome<Server> {
    let address = Address::Unix(sandbox.file("alice.sock"));
    Server::spawn_at(address, sandbox, target, &Setup::new(1).whole(conf))
}

impl Neighbours {
    /// Two workers each, with further lines for alice's pool.
    fn start(target: &Target, lines: &str) -> Outcome<Self> {
        let conf = format!("{GLOBAL}{}{}", section(ALICE, 2, lines), section(BOB, 2, ""));
        Ok(Self { server: start(target, Sandbox::new()?, &conf)? })
    }

    /// The same; alice's pool has native code (`hostile`).
    fn start_hostile(target: &Target, global: &str, lines: &str) -> Outcome<Self> {
        let sandbox = Sandbox::new()?;
        let library = hostile::build(target, &sandbox)?;
        let lines = format!("process.php_define[extension] = {}\n{lines}", library.display());
        let conf = format!("{GLOBAL}log_level = debug\n{global}\n{}{}", section(ALICE, 2, &lines), section(BOB, 2, ""));
        Ok(Self { server: start(target, sandbox, &conf)? })
    }

    fn zygote(&self, (name, _): (&str, u32)) -> Outcome<Process> {
        self.server.zygote_of(name)
    }

    fn workers(&self, (name, _): (&str, u32)) -> Vec<Process> {
        let title = format!("php-fpm: pool {name}");
        let all = self.server.supervisor.descendants().into_iter();
        all.filter(|process| is_worker(*process) && process.title() == title).collect()
    }

    fn ask(&self, pool: (&str, u32), page: &str) -> Outcome<String> {
        let (page, query) = page.split_once('?').unwrap_or((page, ""));
        let request = Request::get(&self.server.sandbox.page(page)).param("QUERY_STRING", query);
        ask_once(&address(&self.server, pool), &request, ms(5000))
    }

    /// Sends a message to the supervisor, as code in that zygote could.
    fn say_as(&self, zygote: Process, message: &str) -> Outcome {
        let ways = ways_to(zygote, self.server.supervisor)?;
        let said = ways.iter().filter(|way| way.say(message.as_bytes()).is_ok()).count();
        ensure!(said > 0, "no way to the supervisor: {:?}", zygote.fds());
        Ok(())
    }

    /// Both pools serve, the attacker's zygote is a new one, and the processes of the other pool are the same as
    /// before.
    fn expect_only_alice_changed(&self, former: Process, bob: &[Process]) -> Outcome {
        wait_until("alice's next zygote", bar(ms(5000)), || self.zygote(ALICE).is_ok_and(|zygote| zygote != former))?;
        wait_until("alice's workers", bar(ms(5000)), || self.workers(ALICE).len() == 2)?;
        ensure!(self.all_of(BOB)? == bob, "bob's processes are others: {}", self.server.log.tail(5));
        for pool in [ALICE, BOB] {
            let body = self.ask(pool, "hello.php")?;
            ensure!(body == "hello", "{pool:?}: {body}");
        }
        Ok(())
    }

    /// The log names the workers that started after a death; they must be visible before the supervisor knows of
    /// them.
    fn await_told(&self, pool: (&str, u32)) -> Outcome {
        let told = |worker: &Process| self.server.log.count(&format!("child {} started", worker.pid)) > 0;
        wait_until("the log tells of new workers", bar(ms(5000)), || self.workers(pool).iter().all(told)).map(drop)
    }

    /// A pool's zygote and workers.
    fn all_of(&self, pool: (&str, u32)) -> Outcome<Vec<Process>> {
        let mut all = self.workers(pool);
        all.push(self.zygote(pool)?);
        all.sort_unstable();
        Ok(all)
    }
}

fn address(server: &Server, (name, _): (&str, u32)) -> Address {
    Address::Unix(server.sandbox.file(&format!("{name}.sock")))
}

/// A client of a page that says hello.
fn hello(address: &Address, sandbox: &Sandbox) -> impl FnMut() -> Outcome + Send + use<> {
    let (address, request) = (address.clone(), Request::get(&sandbox.page("hello.php")));
    move || {
        let body = ask_once(&address, &request, ms(5000))?;
        ensure!(body == "hello", "{body}");
        Ok(())
    }
}

/// The same for one of the two pools.
fn asker(server: &Server, pool: (&str, u32)) -> Job {
    Box::new(hello(&address(server, pool), &server.sandbox))
}

/// The number of lines that the log gets in that time.
fn lines_within(server: &Server, time: Duration) -> usize {
    let (mark, end) = (server.log.mark(), Instant::now() + time);
    std::thread::sleep(end.saturating_duration_since(Instant::now()));
    server.log.since(mark).lines().count()
}

//! One number of pools on one server: static pools that all serve, then ondemand pools without requests.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::clock::wait_until;
use testkit::fastcgi::ask_once;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stream::Address;
use testkit::usage::Usage;
use testkit::{Outcome, ensure};

use super::memory::{self, Memory};
use super::side::Side;
use crate::stats::quantile;

/// Longer than any start or reload takes.
const LIMIT: Duration = Duration::from_secs(180);
/// After this, workers have returned the memory that only requests need, which they do once.
const REST: Duration = Duration::from_secs(2);
/// How long pools without clients are watched.
const ASLEEP: Duration = Duration::from_secs(10);
const READY: &str = "ready to handle connections";
/// Sleeping pools that are asked, one after the other.
const FIRST: usize = 21;
/// The uid of the first pool.
const UID: usize = 20_000;

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The number of pools and users.
    pub pools: usize,
    /// `opcache.interned_strings_buffer`, in MB.
    pub strings: usize,
}

/// A server's figures.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// From the start until the log says that it is ready.
    pub start: Duration,
    /// CPU time of all processes until then.
    pub start_cpu: Duration,
    /// After one request to each pool and a rest.
    pub serving: Memory,
    /// CPU time of all processes without clients after that, in milliseconds per second.
    pub idle_cpu: f64,
    /// From SIGUSR2 until it is ready again.
    pub reload: Duration,
    /// The most memory during the reload.
    pub peak: u64,
    /// Ondemand pools without a client.
    pub asleep: Memory,
    /// CPU time of all processes meanwhile, in milliseconds per second.
    pub asleep_cpu: f64,
    /// How often processes were scheduled per second meanwhile.
    pub wakeups: f64,
    /// The median of first requests to such pools.
    pub first: Duration,
}

/// Measures both kinds of pools.
pub fn measure(side: &Side, case: Case) -> Outcome<Figures> {
    let begun = Instant::now();
    let (server, sockets) = serve(side, case, "pm = static\npm.max_children = 1\n")?;
    let start = begun.elapsed();
    let start_cpu = Usage::of_tree(server.supervisor).cpu;
    sockets.iter().try_for_each(|socket| ask(&server, socket).map(drop))?;
    std::thread::sleep(REST);
    let idle_cpu = idle(&server).0;
    let serving = memory::of(&server);
    let reload = reload(&server)?;
    // In a reload of its own: looking at the memory of all processes takes time from them.
    let peak = peak_of_reload(&server)?;
    sockets.iter().try_for_each(|socket| ask(&server, socket).map(drop))?;
    server.stop()?;
    let (server, sockets) = serve(side, case, "pm = ondemand\npm.max_children = 1\n")?;
    std::thread::sleep(REST);
    let asleep = memory::of(&server);
    let (asleep_cpu, wakeups) = idle(&server);
    let mut times: Vec<Duration> =
        sockets.iter().take(FIRST).map(|socket| ask(&server, socket)).collect::<Outcome<_>>()?;
    times.sort_unstable();
    let first = quantile(&times, 0.5);
    server.stop()?;
    Ok(Figures { start, start_cpu, serving, idle_cpu, reload, peak, asleep, asleep_cpu, wakeups, first })
}

/// CPU time in milliseconds, and how often processes were scheduled, per second without clients.
fn idle(server: &Server) -> (f64, f64) {
    let before = Usage::of_tree(server.supervisor);
    std::thread::sleep(ASLEEP);
    let used = Usage::of_tree(server.supervisor).since(before);
    let seconds = ASLEEP.as_secs_f64();
    (used.cpu.as_secs_f64() * 1e3 / seconds, (used.sleeps + used.preempted) as f64 / seconds)
}

fn serve(side: &Side, case: Case, manager: &str) -> Outcome<(Server, Vec<PathBuf>)> {
    let sandbox = Sandbox::new()?;
    let dir = sandbox.path().to_owned();
    let mut conf = format!("[global]\npid = {0}/fpm.pid\nerror_log = {0}/fpm.log\n{1}", dir.display(), side.global);
    let mut sockets = Vec::new();
    for number in 0..case.pools {
        let (uid, socket) = (UID + number, dir.join(format!("{number}.sock")));
        let _ = writeln!(conf, "[p{number}]\nuser = {uid}\ngroup = {uid}\nlisten = {}\n{manager}", socket.display());
        sockets.push(socket);
    }
    let setup = Setup::new(1).whole(&conf).ini(&format!("opcache.interned_strings_buffer = {}", case.strings));
    let server = Server::spawn_in(sandbox, &side.target, &setup)?;
    let (log, supervisor) = (server.log.clone(), server.supervisor);
    wait_until("the server is ready", LIMIT, || log.count(READY) > 0 || !supervisor.lives())?;
    ensure!(supervisor.lives(), "{} ended: {}", side.name, server.log.tail(5));
    Ok((server, sockets))
}

/// The time of one request.
fn ask(server: &Server, socket: &std::path::Path) -> Outcome<Duration> {
    let start = Instant::now();
    let body = ask_once(&Address::Unix(socket.to_owned()), &server.hello(), LIMIT)?;
    ensure!(body == "hello", "{}: {body}", socket.display());
    Ok(start.elapsed())
}

/// Reloads, and waits until the former processes have gone as well; the time until it is ready.
fn reload(server: &Server) -> Outcome<Duration> {
    let mark = server.log.mark();
    let start = Instant::now();
    server.supervisor.signal(Signal::SIGUSR2);
    wait_until("the end of the reload", LIMIT, || server.log.since(mark).contains(READY))?;
    let took = start.elapsed();
    std::thread::sleep(Duration::from_secs(1));
    Ok(took)
}

/// The most memory during a reload, looked at as often as that goes.
fn peak_of_reload(server: &Server) -> Outcome<u64> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let peak = scope.spawn(|| {
            let mut peak = 0;
            while !over.load(Ordering::Relaxed) {
                peak = peak.max(memory::of(server).pss);
            }
            peak
        });
        let reloaded = reload(server);
        over.store(true, Ordering::Relaxed);
        let peak = peak.join().map_err(|_| "measuring panicked")?;
        reloaded.map(|_| peak)
    })
}

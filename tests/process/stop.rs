//! Stopping: the meaning of SIGTERM, requests that are still accepted before the end, and running as process 1.
#![forbid(unsafe_code)]

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle, sleep};
use std::time::Instant;

use nix::sys::signal::Signal;
use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Client, Request, ask_once};
use testkit::guard::Guard;
use testkit::log::Log;
use testkit::process::Process;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stream::Address;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

fn asked(server: &Server, milliseconds: u32) -> JoinHandle<String> {
    let request = Request::get(&server.sandbox.page("work.php")).param("QUERY_STRING", &format!("ms={milliseconds}"));
    let address = server.address.clone();
    thread::spawn(move || ask_once(&address, &request, ms(15_000)).unwrap_or_else(|e| e.to_string()))
}

fn ping(server: &Server) -> Outcome<(String, String)> {
    let request = Request::of_pool("/ping", "");
    let answer = Client::connect(&server.address, ms(5000))?.ask(&request)?;
    Ok((answer.headers(), answer.body()))
}

/// `on_sigterm = graceful`: the request is finished; a second SIGTERM terminates it.
#[test]
fn graceful() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    for again in [false, true] {
        let mut server = Server::start(&target, &Setup::new(2).global("on_sigterm = graceful"))?;
        let client = asked(&server, 1500);
        sleep(ms(300));
        server.supervisor.signal(Signal::SIGTERM);
        if again {
            sleep(ms(200));
            server.supervisor.signal(Signal::SIGTERM);
        }
        let body = client.join().map_err(|_| "the client panicked")?;
        ensure!((body == "done") != again, "again: {again}, {body:?}");
        server.await_end(ms(5000))?;
        ensure!(server.log.count("NOTICE: Finishing ...") == 1, "{}", server.log.tail(5));
        ensure!(server.log.count("NOTICE: Terminating ...") == usize::from(again), "{}", server.log.tail(5));
        ensure!(server.log.count("exiting, bye-bye!") == 1, "{}", server.log.tail(5));
    }
    Ok(())
}

/// Without it SIGTERM terminates requests, as in php-fpm.
#[test]
fn fast() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(2))?;
    let client = asked(&server, 5000);
    sleep(ms(300));
    server.stop()?;
    let body = client.join().map_err(|_| "the client panicked")?;
    ensure!(body != "done", "it was finished");
    Ok(())
}

/// `shutdown_delay`: ping answers 503, requests are accepted and answered, then the pools drain.
#[test]
fn delay() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let setup = Setup::new(2).global("shutdown_delay = 2s").global("on_sigterm = graceful").pool("ping.path = /ping");
    for signal in [Signal::SIGQUIT, Signal::SIGTERM] {
        let mut server = Server::start(&target, &setup)?;
        let (headers, body) = ping(&server)?;
        ensure!(!headers.contains("Status:") && body == "pong", "{headers:?} {body:?}");
        let start = Instant::now();
        server.supervisor.signal(signal);
        wait_until("503", ms(1000), || ping(&server).is_ok_and(|(headers, _)| headers.contains("Status: 503")))?;
        // A reload at this point could only disturb.
        server.supervisor.signal(Signal::SIGUSR2);
        while start.elapsed() < ms(1700) {
            let body = ask_once(&server.address, &Request::get(&server.sandbox.page("hello.php")), ms(5000))?;
            ensure!(body == "hello", "{body:?}");
            sleep(ms(50));
        }
        let client = asked(&server, 1000);
        server.await_end(ms(8000))?;
        ensure!(start.elapsed() >= ms(2000), "it ended after {:?}", start.elapsed());
        let body = client.join().map_err(|_| "the client panicked")?;
        ensure!(body == "done", "{body:?}");
        ensure!(server.log.count("Finishing in 2 seconds") == 1, "{}", server.log.tail(6));
        ensure!(server.log.count("Reloading in progress") == 0, "{}", server.log.tail(6));
    }
    Ok(())
}

/// A second signal means that the operator does not want to wait.
#[test]
fn delay_cut_short() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let turn = turn::alone()?;
    for second in [Signal::SIGQUIT, Signal::SIGTERM] {
        let mut server = Server::start(&target, &Setup::new(2).global("shutdown_delay = 30s"))?;
        server.supervisor.signal(Signal::SIGQUIT);
        sleep(ms(200));
        let start = Instant::now();
        server.supervisor.signal(second);
        server.await_end(ms(10_000))?;
        turn.expect_within("the end", start.elapsed(), ms(2000))?;
    }
    Ok(())
}

/// The server as process 1 of its own container, and the program that created the container.
struct Container {
    sandbox: Sandbox,
    address: Address,
    outer: Child,
    init: Process,
    log: Log,
    _guard: Guard,
}

impl Container {
    fn start(target: &Target) -> Outcome<Self> {
        let sandbox = Sandbox::new()?;
        let address = Address::Unix(sandbox.file("fpm.sock"));
        let setup = Setup::new(2);
        sandbox.put("fpm.conf", &setup.conf(sandbox.path(), &address))?;
        sandbox.put("php.ini", &setup.php_ini(target, sandbox.path()))?;
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]).arg(target.program());
        command.args(["-F", "-y"]).arg(sandbox.file("fpm.conf")).arg("-c").arg(sandbox.file("php.ini"));
        command.envs(target.environment()).process_group(0).stdin(Stdio::null());
        let outer = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let guard = Guard::over(outer.id())?;
        let log = Log::new(&sandbox.file("fpm.log"));
        wait_until("the server is ready", ms(15_000), || log.count("ready to handle connections") > 0)?;
        let init = Process::find(i32::try_from(outer.id())?).and_then(|outer| outer.children().first().copied());
        Ok(Self { sandbox, address, outer, init: init.ok_or("it ended at once")?, log, _guard: guard })
    }

    fn zombies(&self) -> usize {
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.init.pid));
        let pids = children.unwrap_or_default();
        let state = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        pids.split_ascii_whitespace().filter(|pid| state(pid).contains(") Z ")).count()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.init.signal(Signal::SIGKILL);
        let _ = self.outer.wait();
    }
}

/// As process 1 it reaps orphaned processes, and SIGTERM is graceful.
#[test]
fn as_process_1() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let mut container = Container::start(&target)?;
    for _ in 0..5 {
        let request = Request::get(&container.sandbox.page("orphan.php"));
        let body = ask_once(&container.address, &request, ms(5000))?;
        ensure!(body == "left", "{body:?}");
    }
    sleep(ms(600));
    wait_until("no zombie", ms(2000), || container.zombies() == 0)?;
    let request = Request::get(&container.sandbox.page("work.php")).param("QUERY_STRING", "ms=1000");
    let address = container.address.clone();
    let client = thread::spawn(move || ask_once(&address, &request, ms(15_000)).unwrap_or_else(|e| e.to_string()));
    sleep(ms(300));
    container.init.signal(Signal::SIGTERM);
    let body = client.join().map_err(|_| "the client panicked")?;
    ensure!(body == "done", "{body:?}; {}", container.log.tail(5));
    wait_until("its end", ms(5000), || matches!(container.outer.try_wait(), Ok(Some(_))))?;
    ensure!(container.log.count("NOTICE: Finishing ...") == 1, "{}", container.log.tail(5));
    Ok(())
}

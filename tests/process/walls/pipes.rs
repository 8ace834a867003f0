//! The pipes of ended workers and zygotes are closed, even if other processes hold the other ends.

use nix::sys::signal::Signal;
use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::{Client, Request};
use testkit::process::Process;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

/// Starts a program that keeps the streams of its parent, prints something, and kills its worker.
const LEAVER: &str = r"<?php
$p = proc_open(['sleep', '60'], [], $pipes);
fwrite(fopen('php://stderr', 'w'), 'final words ' . $_GET['n']);
posix_kill(getmypid(), 9);
";

/// A descriptor that the supervisor opens meanwhile: the socket with which it inspects queues once per second.
const OWN: usize = 1;

/// Programs that scripts have started and that still run.
fn left(server: &Server) -> Vec<Process> {
    server.remaining().into_iter().filter(|process| process.title().starts_with("sleep 60")).collect()
}

/// Each request starts a program that holds both ends of its worker's streams, and the worker dies.
#[test]
fn of_workers_whose_children_keep_them() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    sandbox.put("www/leaver.php", LEAVER)?;
    let setup = Setup::new(2).pool("catch_workers_output = yes").global("log_level = debug");
    let server = Server::start_in(sandbox, &target, &setup)?;
    server.await_workers(2, ms(5000))?;
    let at_first = server.supervisor.fds();
    let before = at_first.len();
    let (mut most, count) = (before, 60);
    for n in 0..count {
        let request = Request::get(&server.sandbox.page("leaver.php")).param("QUERY_STRING", &format!("n={n}"));
        let mut client = Client::connect(&server.address, ms(5000))?;
        client.send(&request.encode(1))?;
        let _ = client.answer();
        most = most.max(server.supervisor.fds().len());
    }
    ensure!(left(&server).len() == count, "{} programs were left", left(&server).len());
    ensure!(most <= before + 16, "{before} descriptors before, {most} meanwhile");
    server.await_workers(2, ms(5000))?;
    wait_until("as many descriptors as before", bar(ms(5000)), || server.supervisor.fds().len() <= before + OWN)
        .map_err(|e| format!("{e}: at first {at_first:?}, now {:?}", server.supervisor.fds()))?;
    let words: usize = server.log.count("final words ");
    ensure!(words == count, "the final words of {words} of {count} workers are in the log");
    left(&server).iter().for_each(|process| process.signal(Signal::SIGKILL));
    server.stop()
}

/// The same for zygotes: programs that preloading has started keep their streams.
#[test]
fn of_zygotes_whose_children_keep_them() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    sandbox.put("www/preload.php", "<?php proc_open(['sleep', '60'], [], $pipes);\n")?;
    let setup = Setup::new(1).ini(&format!("opcache.preload = {}", sandbox.page("preload.php").display()));
    let setup = setup.ini("opcache.preload_user = www-data");
    let server = Server::start_in(sandbox, &target, &setup)?;
    wait_until("what preloading starts", bar(ms(5000)), || left(&server).len() == 1)?;
    let before = server.supervisor.fds().len();
    for dead in 1..=5 {
        let zygote = server.zygotes().into_iter().find(|process| process.title().contains("generation"));
        zygote.ok_or("no zygote")?.signal(Signal::SIGKILL);
        wait_until("what preloading starts", bar(ms(10_000)), || left(&server).len() == dead + 1)?;
    }
    server.await_workers(1, ms(10_000))?;
    wait_until("as many descriptors as before", bar(ms(5000)), || server.supervisor.fds().len() <= before + OWN)?;
    left(&server).iter().for_each(|process| process.signal(Signal::SIGKILL));
    server.stop()
}

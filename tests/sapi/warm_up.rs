//! What a new worker does before its first request, so that this one is not slower than later ones.
#![forbid(unsafe_code)]

use std::path::Path;

use nix::sys::signal::Signal;
use testkit::clock::{ms, wait_until};
use testkit::extension;
use testkit::fastcgi::{Answer, Client, Request, ask_once};
use testkit::process::Process;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

/// An extension that writes a letter for each request that begins.
const COUNTS: &str = r#"
#include <fcntl.h>
#include <unistd.h>
#include "php.h"
PHP_RINIT_FUNCTION(counts) {
    int file = open("OUT/requests", O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (file >= 0 && write(file, "r", 1) == 1) close(file);
    return SUCCESS;
}
zend_module_entry counts_module_entry = { STANDARD_MODULE_HEADER, "counts", NULL, 0, 0, PHP_RINIT(counts), 0, 0, "1",
    STANDARD_MODULE_PROPERTIES };
ZEND_GET_MODULE(counts)
"#;

/// Workers end after two requests.
fn setup() -> Setup {
    Setup::new(1).pool("pm.max_requests = 2")
}

/// Waits until a worker has nothing more to do.
fn rest(worker: Process) -> Outcome {
    let mut last = worker.cpu();
    wait_until("a worker that rests", ms(10_000), || {
        std::thread::sleep(ms(50));
        std::mem::replace(&mut last, worker.cpu()) == worker.cpu()
    })?;
    Ok(())
}

fn hello(server: &Server) -> Outcome {
    ensure!(ask_once(&server.address, &server.hello(), ms(10_000))? == "hello", "a request");
    Ok(())
}

/// Ends the worker that has served `served` requests; returns the next one when it rests.
fn next_worker(server: &Server, served: usize) -> Outcome<Process> {
    let old = server.workers().into_iter().next().ok_or("no worker")?;
    (served..2).try_for_each(|_| hello(server))?;
    let new = || server.workers().into_iter().find(|worker| *worker != old);
    wait_until("the next worker", ms(10_000), || !old.lives() && new().is_some())?;
    let new = new().ok_or("no worker")?;
    rest(new)?;
    Ok(new)
}

/// A worker that is forked some time after the start has what a request needs in place before the first one comes.
#[test]
fn the_first_request_of_a_later_worker_needs_few_page_faults() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &setup())?;
    server.await_workers(1, ms(10_000))?;
    let of_first_request = |worker: Process| -> Outcome<u64> {
        let before = worker.page_faults();
        hello(&server)?;
        rest(worker)?;
        Ok(worker.page_faults() - before)
    };
    std::thread::sleep(ms(600));
    let first = server.workers().into_iter().next().ok_or("no worker")?;
    let cold = of_first_request(first)?;
    let warm = of_first_request(next_worker(&server, 1)?)?;
    ensure!(warm * 7 < cold, "{warm} page faults, {cold} in a worker of the start");
    server.stop()
}

/// What it takes for that, a worker returns if no request comes.
#[test]
fn the_memory_is_returned() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &setup())?;
    server.await_workers(1, ms(10_000))?;
    std::thread::sleep(ms(600));
    let worker = next_worker(&server, 0)?;
    let taken = worker.anonymous_kb();
    wait_until("less memory", ms(10_000), || worker.anonymous_kb() + 200 < taken)?;
    server.stop()
}

/// An extension that is not of PHP itself takes part in no more requests than clients have sent.
#[test]
fn other_extensions_see_no_request_before_the_first() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let out = sandbox.web_dir("www/out")?;
    let built = extension::build(&target, &sandbox, "counts", &COUNTS.replace("OUT", &out.display().to_string()))?;
    let server = Server::start_in(sandbox, &target, &setup().ini(&format!("extension = {}", built.display())))?;
    let requests = || std::fs::read_to_string(out.join("requests")).unwrap_or_default().len();
    server.await_workers(1, ms(10_000))?;
    std::thread::sleep(ms(600));
    let before = requests();
    next_worker(&server, before % 2)?;
    let served = requests();
    next_worker(&server, 0)?;
    ensure!(served <= before + 2 && requests() == served + 2, "{before}, {served}, {}", requests());
    server.stop()
}

fn files(directory: &Path) -> usize {
    std::fs::read_dir(directory).map_or(0, Iterator::count)
}

/// Sessions that every request begins are begun by requests of clients only.
#[test]
fn no_session_is_begun_before_the_first_request() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &setup().ini("session.auto_start = 1\nsession.gc_probability = 0"))?;
    let sessions = server.sandbox.file("sessions");
    server.await_workers(1, ms(10_000))?;
    std::thread::sleep(ms(600));
    let before = files(&sessions);
    next_worker(&server, before % 2)?;
    let served = files(&sessions);
    ensure!(served > before, "a request begins a session");
    next_worker(&server, 0)?;
    ensure!(files(&sessions) == served + 2, "{before}, {served}, {}", files(&sessions));
    server.stop()
}

/// `state.php`, with settings that are wrong: PHP's messages about them tell in which state PHP is before a request.
fn state(server: &Server) -> Request {
    let wrong = "date.timezone=nowhere\nsession.save_handler=none\nmbstring.internal_encoding=none\nprecision=12";
    Request::get(&server.sandbox.page("state.php")).param("PHP_VALUE", wrong)
}

/// What the page and PHP's messages say, and two counters that grow with each request.
fn told(answer: &Answer) -> Outcome<(String, [u64; 2])> {
    let body = answer.body();
    let counter = |name: &str| body.lines().find_map(|line| line.strip_prefix(name)).and_then(|n| n.parse().ok());
    let counters = [counter("hits: ").ok_or("no hits")?, counter("accepted: ").ok_or("no count")?];
    let rest: Vec<&str> =
        body.lines().filter(|line| !line.starts_with("hits") && !line.starts_with("accepted")).collect();
    Ok((format!("{}\n{}", String::from_utf8_lossy(&answer.stderr), rest.join("\n")), counters))
}

/// A new worker's first request, which waits when the worker begins.
fn first_of_cold(server: &Server) -> Outcome<Answer> {
    let mut before = server.in_hand(ms(200))?;
    let mut waits = Client::connect(&server.address, ms(10_000))?;
    waits.send(&state(server).encode(1))?;
    ensure!(before.answer()?.body() == "done", "the request before");
    waits.answer()
}

/// A new worker's first request, which comes when the worker rests.
fn first_of_warm(server: &Server) -> Outcome<Answer> {
    let mut before = server.in_hand(ms(200))?;
    let old = server.workers().into_iter().next().ok_or("no worker")?;
    ensure!(before.answer()?.body() == "done", "the request before");
    let new = || server.workers().into_iter().find(|worker| *worker != old);
    wait_until("the next worker", ms(10_000), || !old.lives() && new().is_some())?;
    let worker = new().ok_or("no worker")?;
    rest(worker)?;
    // Each request sets its time limit (`max_execution_time`) and a handler for the signal.
    let caught = worker.status("SigCgt").concat();
    let time_limit = 1 << (Signal::SIGPROF as u64 - 1);
    ensure!(u64::from_str_radix(&caught, 16)? & time_limit != 0, "the worker has not warmed up");
    Client::connect(&server.address, ms(10_000))?.ask(&state(server))
}

/// The first difference of two texts.
fn difference(left: &str, right: &str) -> Option<String> {
    let (mut left, mut right) = (left.lines(), right.lines());
    loop {
        match (left.next(), right.next()) {
            (None, None) => return None,
            (one, other) if one != other => return Some(format!("{one:?}, {other:?} after warming up")),
            _ => {}
        }
    }
}

/// A script finds PHP as if its request were the first, in all that a script can see of PHP's state.
#[test]
fn scripts_see_no_trace() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    for ini in ["", "auto_globals_jit = 0\nvariables_order = EGPCS\noutput_buffering = 4096\nregister_argc_argv = 1"] {
        let setup = Setup::new(1).pool("pm.max_requests = 1\nsecurity.fastcgi_php_value = on").ini(ini);
        let server = Server::start(&target, &setup)?;
        server.await_workers(1, ms(10_000))?;
        std::thread::sleep(ms(600));
        // opcache has both pages from then on.
        first_of_cold(&server)?;
        let mut cold = told(&first_of_cold(&server)?)?;
        for _ in 0..3 {
            let warm = told(&first_of_warm(&server)?)?;
            ensure!(warm.0.lines().count() > 300 && warm.0.contains("nowhere"), "{}", warm.0);
            if let Some(found) = difference(&cold.0, &warm.0) {
                return Err(format!("{ini:?}: {found}").into());
            }
            let next = told(&first_of_cold(&server)?)?;
            let [more, as_many] =
                [(&warm, &cold), (&next, &warm)].map(|(to, from)| [0, 1].map(|at| to.1[at] - from.1[at]));
            ensure!(more == as_many, "{more:?} more hits of opcache and connections, {as_many:?} without warming up");
            cold = next;
        }
        server.stop()?;
    }
    Ok(())
}

/// Where PHP cannot begin any request, workers are not forked one after another while no client asks for anything.
#[test]
fn workers_that_cannot_warm_up_wait() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1).ini("memory_limit = 64M\noutput_buffering = 1000000000"))?;
    server.await_workers(1, ms(10_000))?;
    std::thread::sleep(ms(600));
    // Nobody can be served, as with php-fpm. The worker ends.
    let _ = ask_once(&server.address, &server.hello(), ms(10_000));
    let forked = || server.log.count("started");
    wait_until("the second worker after that", ms(10_000), || forked() > 1)?;
    std::thread::sleep(ms(1500));
    // Debian's PHP ends the process at once, so the supervisor makes the pauses, which become longer.
    ensure!(forked() <= 20, "{} workers", forked());
    server.stop()
}

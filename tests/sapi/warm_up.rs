//! What a new worker does before its first request, so that this one is not slower than later ones.
#![forbid(unsafe_code)]

use std::path::Path;

use testkit::clock::{ms, wait_until};
use testkit::extension;
use testkit::fastcgi::ask_once;
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
    ensure!(warm * 2 < cold, "{warm} page faults, {cold} in a worker of the start");
    server.stop()
}

/// An extension that is not of PHP itself takes part in no more requests than clients have sent.
#[test]
fn other_extensions_see_no_request_before_the_first() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let out = sandbox.file("www/out");
    std::fs::create_dir_all(&out)?;
    std::fs::set_permissions(&out, std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
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

//! `access.log`: every placeholder compared with stock php-fpm, lines that are never cut or forged, and SIGUSR1.
#![forbid(unsafe_code)]

mod placeholders;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::Signal;
use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Request, ask_once};
use testkit::load::{Job, Plan};
use testkit::log::Log;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stream::Address;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

const REOPENED: &str = "access log file re-opened";

fn access(server: &Server) -> PathBuf {
    server.sandbox.file("access.log")
}

fn lines(server: &Server) -> Vec<String> {
    Log::new(&access(server)).text().lines().map(str::to_owned).collect()
}

/// A server that writes `access.log` in its sandbox in that format.
fn start(target: &Target, setup: Setup, format: &str) -> Outcome<Server> {
    let sandbox = testkit::sandbox::Sandbox::new()?;
    let setup = setup.pool(&format!("access.log = {}", sandbox.file("access.log").display()));
    Server::start_in(sandbox, target, &setup.pool(&format!("access.format = '{format}'")))
}

fn ask(server: &Server, request: &Request) -> Outcome {
    ask_once(&server.address, request, ms(10_000)).map(drop)
}

fn reopen(server: &Server) -> Outcome {
    let mark = server.log.mark();
    server.supervisor.signal(Signal::SIGUSR1);
    server.log.wait_for(mark, &["error log file re-opened", REOPENED], ms(10_000))
}

#[test]
fn lines_are_neither_cut_nor_forged() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = start(&target, Setup::new(1), "%m %r%Q%q \"%{HTTP_USER_AGENT}e\" %R %s")?;
    let long = format!("/hello.php/{}", "l".repeat(8192));
    ask(&server, &server.hello().param("SCRIPT_NAME", &long).param("QUERY_STRING", ""))?;
    let agent = "x\" 200\n- GET /admin \"\u{1b}[31m\\";
    ask(&server, &server.hello().param("HTTP_USER_AGENT", agent).param("QUERY_STRING", "a\r\nb"))?;
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
    let expected = [
        format!("GET {long} \"{agent}\" - 200"),
        r#"GET /hello.php?a\x0D\x0Ab "x\x22 200\x0A- GET /admin \x22\x1B[31m\x5C" - 200"#.to_owned(),
    ];
    ensure!(lines(&server) == expected, "{:#?}", lines(&server));
    server.stop()
}

/// The log is rotated 20 times while requests run. Requests that start after the line in the error log are in the new
/// file, no line is lost, and the workers stay.
#[test]
fn rotation_under_load() -> Outcome {
    const CLIENTS: usize = 8;
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = start(&target, Setup::new(2), "%q")?;
    let workers = server.workers();
    let begun: Arc<[AtomicUsize; CLIENTS]> = Arc::default();
    let load = Plan::clients(CLIENTS).start(|number| {
        let (address, page, begun) = (server.address.clone(), server.sandbox.page("hello.php"), Arc::clone(&begun));
        Box::new(move || {
            let turn = begun[number].fetch_add(1, Ordering::SeqCst);
            let request = Request::get(&page).param("QUERY_STRING", &format!("{number}.{turn}"));
            ask_once(&address, &request, ms(10_000)).map(drop)
        }) as Job
    });
    let mut told = Vec::new();
    for rotation in 0..20 {
        std::thread::sleep(ms(20));
        let old = server.sandbox.file(&format!("access.log.{rotation}"));
        fs::rename(access(&server), &old)?;
        reopen(&server)?;
        let limits: Vec<usize> = begun.iter().map(|turn| turn.load(Ordering::SeqCst)).collect();
        told.push((old, limits));
    }
    let tally = load.stop();
    tally.expect_no_failure()?;
    ensure!(server.workers() == workers, "workers have changed");
    let mut all = lines(&server);
    for (old, limits) in &told {
        for line in Log::new(old).text().lines() {
            let (number, turn) = line.split_once('.').ok_or("no number")?;
            let (number, turn): (usize, usize) = (number.parse()?, turn.parse()?);
            ensure!(turn < limits[number], "{line} began after the rotation and is in {}", old.display());
            all.push(line.to_owned());
        }
    }
    all.sort_unstable();
    let requests = all.len();
    all.dedup();
    ensure!(all.len() == requests && requests == tally.times.len(), "{requests} lines, {} requests", tally.times.len());
    server.stop()
}

#[test]
fn a_request_that_runs_ends_in_the_new_file() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = start(&target, Setup::new(1), "%q")?;
    let request = Request::get(&server.sandbox.page("work.php")).param("QUERY_STRING", "ms=1000");
    let address = server.address.clone();
    let long = std::thread::spawn(move || ask_once(&address, &request, ms(10_000)));
    std::thread::sleep(ms(300));
    let old = server.sandbox.file("access.log.1");
    for _ in 0..3 {
        fs::rename(access(&server), &old)?;
        reopen(&server)?;
    }
    ensure!(!long.is_finished(), "too slow a machine for this test");
    let body = long.join().map_err(|_| "the client panicked")??;
    ensure!(body == "done", "{body}");
    ensure!(lines(&server) == ["ms=1000"] && Log::new(&old).text().is_empty(), "{:?}", lines(&server));
    server.stop()
}

#[test]
fn a_reload_opens_by_name() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = start(&target, Setup::new(1), "%q")?;
    fs::remove_file(access(&server))?;
    server.reload()?;
    ask(&server, &server.hello().param("QUERY_STRING", "one"))?;
    fs::remove_file(access(&server))?;
    reopen(&server)?;
    ask(&server, &server.hello().param("QUERY_STRING", "two"))?;
    ensure!(lines(&server) == ["two"], "{:?}", lines(&server));
    server.stop()
}

#[test]
fn a_file_that_can_not_be_opened_leaves_the_former() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = start(&target, Setup::new(1), "%q")?;
    let (file, old) = (access(&server), server.sandbox.file("access.log.1"));
    fs::rename(&file, &old)?;
    fs::create_dir(&file)?;
    let mark = server.log.mark();
    server.supervisor.signal(Signal::SIGUSR1);
    let said = format!("ERROR: failed to open access log ({}): Is a directory (21)", file.display());
    server.log.wait_for(mark, &[&said, "ERROR: unable to re-opened access log file"], ms(10_000))?;
    ask(&server, &server.hello())?;
    ensure!(Log::new(&old).text() == "a=1&b=two\n", "{:?}", Log::new(&old).text());
    server.stop()
}

#[test]
fn two_pools_share_a_file() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = testkit::sandbox::Sandbox::new()?;
    let (file, second) = (sandbox.file("access.log"), sandbox.file("two.sock"));
    let log = format!("access.log = {}\naccess.format = '%n %q'", file.display());
    let user = testkit::target::web_user().map(|user| format!("user = {user}\n")).unwrap_or_default();
    let two =
        format!("[two]\n{user}listen = {}\nlisten.mode = 0666\npm = static\npm.max_children = 2", second.display());
    let setup = Setup::new(2).pool(&log).pool(&two).pool(&log);
    let server = Server::start_in(sandbox, &target, &setup)?;
    let query = "q".repeat(3000);
    let addresses = [server.address.clone(), Address::Unix(second)];
    let load = Plan::clients(4).requests(400).start(|number| {
        let (address, request) = (addresses[number % 2].clone(), server.hello().param("QUERY_STRING", &query));
        Box::new(move || ask_once(&address, &request, ms(10_000)).map(drop)) as Job
    });
    load.finish().expect_no_failure()?;
    let count = |pool: &str| lines(&server).iter().filter(|line| **line == format!("{pool} {query}")).count();
    ensure!(count("www") + count("two") == 400 && count("www") * count("two") > 0, "{} {}", count("www"), count("two"));
    reopen(&server)?;
    server.stop()
}

/// The descriptor itself, whatever it is: lines continue through SIGUSR1 and reloads.
#[test]
fn stderr() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let setup = Setup::new(1).pool("access.log = /proc/self/fd/2").pool("access.format = 'line %q'");
    let server = Server::start(&target, &setup)?;
    let told = |text: &str| {
        ask(&server, &server.hello().param("QUERY_STRING", text))?;
        wait_until(text, ms(5000), || server.stdio().contains(&format!("line {text}\n"))).map(drop)
    };
    told("start")?;
    reopen(&server)?;
    told("reopened")?;
    server.reload()?;
    told("reloaded")?;
    reopen(&server)?;
    told("again")?;
    ensure!(server.stdio().matches("line ").count() == 4, "{}", server.stdio());
    server.stop()
}

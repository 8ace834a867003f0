//! Logs without a reader: pipes whose reader has stopped, or does not exist yet. No process waits for it.
#![forbid(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::{Client, Request, ask_once};
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stream::Address;
use testkit::target::{Target, web_user};
use testkit::{Outcome, ensure, say, turn};

const PIPE: &str = "catch_workers_output = yes";
/// Three megabytes in lines of a hundred bytes.
const MUCH: &str = "<?php $out = fopen('php://stderr', 'w'); $line = str_repeat('x', 99) . \"\\n\";
    for ($n = 0; $n < 300; $n++) { fwrite($out, str_repeat($line, 100)); } echo 'all of it';";

#[test]
fn who_stops_reading_stalls_nobody() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::alone()?;
    let sandbox = Sandbox::new()?;
    sandbox.put("www/much.php", MUCH)?;
    let noisy = Address::Unix(sandbox.file("noisy.sock"));
    let server = Server::start_in(sandbox, &target, &with_noisy_pool(Setup::new(2), &noisy))?;
    let path = server.sandbox.file("fpm.log");
    fs::rename(&path, server.sandbox.file("before.log"))?;
    let mut reader = fifo(&path)?;
    let told = jam(&server, &noisy, &mut reader);
    // The log is a file again, whatever the result: the end of the server is looked for there.
    fs::rename(&path, server.sandbox.file("fifo"))?;
    server.supervisor.signal(Signal::SIGUSR1);
    wait_until("a file is the log again", ms(5000), || server.log.count("re-opened") > 0)?;
    say(&told?);
    server.stop()
}

/// Fills the log's pipe, and checks which processes wait.
fn jam(server: &Server, noisy: &Address, reader: &mut File) -> Outcome<String> {
    server.supervisor.signal(Signal::SIGUSR1);
    let mut log = String::new();
    wait_until("the pipe is the log", ms(5000), || read_on(reader, &mut log).contains("error log file re-opened"))?;
    // From here on the pipe is not read.
    let mut flood = Client::connect(noisy, ms(10_000))?;
    flood.send(&Request::get(&server.sandbox.page("much.php")).encode(1))?;
    let mut worst = ms(0);
    for _ in 0..20 {
        let asked = Instant::now();
        ask_once(&server.address, &Request::get(&server.sandbox.page("hello.php")), ms(10_000))?;
        worst = worst.max(asked.elapsed());
    }
    ensure!(flood.answer()?.body() == "all of it", "the noisy script did not end");
    ensure!(worst < bar(ms(250)), "another pool's request took {worst:?}");
    server.supervisor.signal(Signal::SIGUSR2);
    // One zygote serves both pools.
    wait_until("a reload", ms(10_000), || match server.zygotes()[..] {
        [only] => only.title().contains("(generation 2)") && server.workers().len() == 3,
        _ => false,
    })?;
    ask_once(&server.address, &Request::get(&server.sandbox.page("hello.php")), ms(10_000))?;
    // When the pipe is read again, the kept lines arrive, and a count of the dropped ones.
    const LOST: &str = " lines lost: the log was not read";
    wait_until("what was lost is told", ms(5000), || read_on(reader, &mut log).contains(LOST))?;
    let whole = |line: &str| line.starts_with('[') && (line.ends_with('"') || !line.contains(" said into "));
    let broken = log.lines().find(|line| !whole(line));
    ensure!(broken.is_none(), "a line is not whole: {broken:?}");
    let said = log.lines().filter(|line| line.contains(" said into ")).count();
    let number = log.split(LOST).next().and_then(|text| text.rsplit("WARNING: ").next());
    let lost: usize = number.ok_or("no number")?.parse()?;
    ensure!(said > 1000 && lost > 1000, "{said} lines were kept, {lost} lost");
    Ok(format!("unread log: {said} lines kept, {lost} counted; other pool {worst:?}"))
}

fn with_noisy_pool(setup: Setup, noisy: &Address) -> Setup {
    let Address::Unix(socket) = noisy else { return setup };
    let listen = format!("listen = {}", socket.display());
    let setup = setup.pool("[noisy]").pool("pm = static").pool("pm.max_children = 1").pool(&listen).pool(PIPE);
    match web_user() {
        Some(user) => setup.pool(&format!("user = {user}")).pool(&format!("group = {user}")),
        None => setup,
    }
}

#[test]
fn who_does_not_read_yet_is_not_waited_for() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let path = sandbox.file("access.fifo");
    nix::unistd::mkfifo(&path, Mode::S_IRWXU)?;
    let setup = Setup::new(1).pool(&format!("access.log = {}", path.display())).pool("access.format = %m %r");
    let server = Server::start_in(sandbox, &target, &setup)?;
    let ask = || ask_once(&server.address, &Request::get(&server.sandbox.page("hello.php")), ms(10_000));
    ask()?;
    server.supervisor.signal(Signal::SIGUSR1);
    wait_until("logs are reopened", ms(5000), || server.log.count("access log file re-opened") > 0)?;
    let (mut reader, mut log) = (open(&path)?, String::new());
    ask()?;
    wait_until("a line", ms(5000), || read_on(&mut reader, &mut log).contains("GET /hello.php\n"))?;
    drop(reader);
    ask()?;
    server.stop()
}

#[test]
fn a_slow_log_waits_for_its_reader() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    sandbox.put("www/slow.php", "<?php usleep(1300000);")?;
    let path = sandbox.file("slow.fifo");
    let (mut reader, mut log) = (fifo(&path)?, String::new());
    let setup = Setup::new(2).pool("request_slowlog_timeout = 1s").pool(&format!("slowlog = {}", path.display()));
    let mut server = Server::start_in(sandbox, &target, &setup)?;
    let slow = |server: &Server, count: usize| -> Outcome {
        fill(&path)?;
        ask_once(&server.address, &Request::get(&server.sandbox.page("slow.php")), ms(10_000))?;
        let said = || server.log.count("executing too slow") == count;
        wait_until("the slow request is told", ms(5000), said).map(drop)
    };
    slow(&server, 1)?;
    ask_once(&server.address, &Request::get(&server.sandbox.page("hello.php")), ms(10_000))?;
    wait_until("the entry", ms(5000), || read_on(&mut reader, &mut log).contains("usleep() "))?;
    // Lines that are unread at the end are counted in a message.
    slow(&server, 2)?;
    server.supervisor.signal(Signal::SIGTERM);
    server.await_end(ms(10_000))?;
    ensure!(server.log.count(" is not read: ") == 1, "{}", server.log.text());
    Ok(())
}

/// Fills a FIFO completely.
fn fill(path: &Path) -> Outcome {
    let mut writer = OpenOptions::new().write(true).custom_flags(nix::libc::O_NONBLOCK).open(path)?;
    for size in [4096, 1] {
        while writer.write(&vec![b'x'; size]).is_ok() {}
    }
    Ok(())
}

fn fifo(path: &PathBuf) -> Outcome<File> {
    nix::unistd::mkfifo(path, Mode::S_IRWXU)?;
    open(path)
}

/// For reading, without waiting.
fn open(path: &Path) -> Outcome<File> {
    Ok(OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path)?)
}

/// Appends the data that has arrived to `text`.
fn read_on<'a>(reader: &mut File, text: &'a mut String) -> &'a str {
    let mut some = [0; 64 * 1024];
    while let Ok(count @ 1..) = reader.read(&mut some) {
        text.push_str(&String::from_utf8_lossy(some.get(..count).unwrap_or_default()));
    }
    text
}

//! Signals to a worker during its creation, and equal signals from the supervisor and from others; the signal
//! settings that programs inherit from preloading.
#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;

use nix::sys::signal::Signal::{self, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGSTOP, SIGTERM, SIGUSR1, SIGUSR2};
use nix::sys::stat::Mode;
use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::{Client, Request, ask_once};
use testkit::process::Process;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::{Target, web_user};
use testkit::{Outcome, ensure, turn};

/// A mask of `/proc/PID/status`.
fn mask(text: Option<&String>) -> Outcome<u64> {
    Ok(u64::from_str_radix(text.ok_or("no mask")?, 16)?)
}

fn bit(signal: Signal) -> u64 {
    1 << (signal as i32 - 1)
}

/// From the fork until its handlers are installed, a worker blocks all signals: those that arrive stay pending.
#[test]
fn a_worker_that_is_being_made() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    // PHP reads its time zone just before the worker installs its handlers.
    let zone = sandbox.file("zone");
    nix::unistd::mkfifo(&zone, Mode::from_bits_truncate(0o644))?;
    let setup = Setup::new(1).pool(&format!("env[TZ] = :{}", zone.display()));
    let mut server = Server::spawn_in(sandbox, &target, &setup)?;
    // The other end can only be opened once the worker reads.
    let (mut open, mut writer) = (fs::OpenOptions::new(), None);
    open.write(true).custom_flags(nix::libc::O_NONBLOCK);
    wait_until("a worker reads its time zone", bar(ms(15_000)), || {
        writer = open.open(&zone).ok();
        writer.is_some()
    })
    .map_err(|e| format!("{e}: {}", server.log.text()))?;
    let worker = *server.workers().first().ok_or("no worker")?;
    let blocked = mask(worker.status("SigBlk").first())?;
    let names = [SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM];
    let open_to: Vec<_> = names.into_iter().filter(|signal| blocked & bit(*signal) == 0).collect();
    ensure!(open_to.is_empty(), "not blocked: {open_to:?}");
    for signal in [SIGHUP, SIGUSR1, SIGUSR2] {
        worker.signal(signal);
    }
    drop(writer);
    server.await_ready()?;
    let body = ask_once(&server.address, &Request::get(&server.sandbox.page("hello.php")), bar(ms(5000)))?;
    ensure!(body == "hello", "{body}");
    ensure!(server.workers() == [worker], "another worker: {}", server.log.text());
    ensure!(mask(worker.status("SigBlk").first())? == 0, "signals stay blocked");
    let zygote = *server.zygotes().first().ok_or("no zygote")?;
    let left = mask(zygote.status("SigBlk").first())?;
    ensure!(left == bit(Signal::SIGCHLD) | bit(SIGTERM) | bit(SIGQUIT), "the zygote blocks {left:x}");
    server.stop()
}

/// With a graceful SIGTERM, one from another process may be pending in the worker when the supervisor sends its own,
/// which the kernel then drops: it ends the worker nevertheless.
#[test]
fn a_time_limit_beside_a_strangers_sigterm() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    for orphan in [false, true] {
        let setup = Setup::new(1).global("on_sigterm = graceful").global("log_level = debug");
        let setup = setup.pool("request_terminate_timeout = 2s");
        let server = Server::start(&target, &setup)?;
        let worker = *server.workers().first().ok_or("no worker")?;
        let _client = server.in_hand(ms(60_000))?;
        worker.signal(SIGSTOP);
        worker.signal(SIGTERM);
        let mark = server.log.mark();
        if orphan {
            server.zygotes().iter().for_each(|zygote| zygote.signal(SIGKILL));
        }
        server.log.wait_for(mark, &["execution timed out"], bar(ms(8000)))?;
        worker.signal(SIGCONT);
        let end = format!("child {} exited ", worker.pid);
        server.log.wait_for(mark, &[&end], bar(ms(8000)))?;
        let by_term = format!("{end}on signal 15 (SIGTERM)");
        ensure!(server.log.since(mark).contains(&by_term), "orphan: {orphan}: {}", server.log.since(mark));
        server.stop()?;
    }
    Ok(())
}

/// With a graceful SIGTERM, `process_control_timeout` still ends a worker by SIGTERM, in a stop and in a reload, and
/// so does a stop that cannot wait.
#[test]
fn what_ends_a_worker_at_once() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    for signals in [&[SIGQUIT][..], &[SIGUSR2], &[SIGTERM, SIGTERM]] {
        let timeout = if signals.len() == 1 { "1s" } else { "0" };
        let setup = Setup::new(1).global("on_sigterm = graceful").global("log_level = debug");
        let mut server = Server::start(&target, &setup.global(&format!("process_control_timeout = {timeout}")))?;
        let worker = *server.workers().first().ok_or("no worker")?;
        let _client = server.in_hand(ms(60_000))?;
        let mark = server.log.mark();
        for (count, signal) in signals.iter().enumerate() {
            server.supervisor.signal(*signal);
            if *signal == SIGTERM {
                wait_until("it is heard", bar(ms(5000)), || server.log.count("received SIGTERM") > count)
                    .map_err(|e| format!("{e}: {}", server.log.text()))?;
            }
        }
        let end = format!("child {} exited on signal 15 (SIGTERM)", worker.pid);
        server.log.wait_for(mark, &[&end], bar(ms(6000))).map_err(|e| format!("{signals:?}: {e}"))?;
        if signals == [SIGUSR2] {
            server.stop()?;
        } else {
            ensure!(server.await_end(bar(ms(5000)))? == Some(0), "{signals:?}: {}", server.log.text());
        }
    }
    Ok(())
}

/// A worker that gets SIGTERM from another process during a request finishes the request.
#[test]
fn a_strangers_sigterm_asks() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1).global("on_sigterm = graceful"))?;
    for round in 0..3 {
        let worker = *server.workers().first().ok_or("no worker")?;
        let out = server.sandbox.file("out/signalled");
        let script =
            format!("<?php posix_kill(getmypid(), SIGTERM); usleep(1000); touch('{}'); echo 'all';", out.display());
        server.sandbox.put("www/itself.php", &script.replace("SIGTERM", "15"))?;
        let body = ask_once(&server.address, &Request::get(&server.sandbox.page("itself.php")), bar(ms(5000)))?;
        ensure!(body == "all", "{round}: {body}");
        let next = || server.workers().iter().any(|next| *next != worker) && !worker.lives();
        wait_until("the next worker", bar(ms(5000)), next)?;
        server.await_workers(1, bar(ms(5000)))?;
    }
    ensure!(server.log.count("exited on signal") == 0, "{}", server.log.text());
    server.stop()
}

/// Programs that preloading starts ignore only SIGPIPE, and have no signal blocked.
#[test]
fn what_preloading_starts() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let out = sandbox.file("out/status");
    let script =
        format!("<?php copy('/proc/self/status', '{0}.own'); exec('cat /proc/self/status > {0}');", out.display());
    sandbox.put("www/preload.php", &script)?;
    let setup = Setup::new(1).ini(&format!("opcache.preload = {}", sandbox.page("preload.php").display()));
    let server = Server::start_in(sandbox, &target, &setup.ini("opcache.preload_user = www-data"))?;
    let text = fs::read_to_string(out)?;
    let field = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned());
        mask(value.as_ref())
    };
    // The C library lets no process change signals above 31.
    ensure!(field("SigIgn:")? & (bit(Signal::SIGSYS) - 1) & !bit(Signal::SIGPIPE) == 0, "{text}");
    ensure!(field("SigBlk:")? == 0, "{text}");
    // These signals do not end the zygote itself.
    let zygote: Process = *server.zygotes().first().ok_or("no zygote")?;
    [SIGHUP, SIGINT, SIGUSR1, SIGUSR2].into_iter().for_each(|signal| zygote.signal(signal));
    let worker = *server.workers().first().ok_or("no worker")?;
    worker.signal(SIGKILL);
    wait_until("the next worker", bar(ms(5000)), || server.workers().iter().any(|next| *next != worker))?;
    ensure!(server.zygotes() == [zygote], "another zygote: {}", server.log.text());
    server.stop()
}

/// A worker that holds a kept connection is stopped for some seconds. Meanwhile a request comes on that connection, and the worker is
/// to leave: because its pool needs fewer, or by a reload. Once it continues, the request is served. php-fpm kills the worker at
/// the reload.
#[test]
fn a_stopped_worker_that_is_to_leave() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::shared()?;
    for reload in [false, true] {
        let (idle, user) = (if reload { "60s" } else { "1s" }, web_user().unwrap_or("nobody"));
        let conf = format!(
            "[global]\npid = {{{{DIR}}}}/fpm.pid\nerror_log = {{{{DIR}}}}/fpm.log\nlog_level = debug\n\
             [www]\nlisten = {{{{LISTEN}}}}\nuser = {user}\n\
             pm = ondemand\npm.max_children = 2\npm.process_idle_timeout = {idle}\n"
        );
        let server = Server::start(&target, &Setup::new(1).whole(&conf))?;
        let mut client = Client::connect(&server.address, bar(ms(15_000)))?;
        let request = server.hello().keep();
        // After some requests in a row the worker keeps the connection instead of passing it to the zygote.
        for _ in 0..10 {
            ensure!(client.ask(&request)?.body() == "hello", "a kept connection");
        }
        let worker = *server.workers().first().ok_or("no worker")?;
        worker.signal(SIGSTOP);
        wait_until("a stopped worker", bar(ms(5000)), || worker.state() == 'T')?;
        client.send(&request.encode(1))?;
        if reload {
            server.reload()?;
        }
        std::thread::sleep(ms(4500));
        worker.signal(SIGCONT);
        let body = client.answer().map_err(|e| format!("reload: {reload}: {e}: {}", server.log.tail(9)))?.body();
        ensure!(body == "hello", "{body}");
        server.stop()?;
    }
    Ok(())
}

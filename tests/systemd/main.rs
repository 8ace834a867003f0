//! systemd's side: what it hears at start, reload and end, the watchdog, sockets that it passes or keeps.
#![forbid(unsafe_code)]

mod manager;

use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use manager::{Manager, line};
use nix::sys::signal::Signal;
use nix::time::{ClockId, clock_gettime};
use testkit::around::Around;
use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::{Client, Request, ask_once};
use testkit::process::{Process, end_all};
use testkit::sandbox::{Sandbox, free_port};
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stage::{Stage, end_within};
use testkit::stream::Address;
use testkit::target::{Target, web_user};
use testkit::{Outcome, ensure, turn};

const LIMIT: Duration = Duration::from_secs(10);
const READY: &str = "STATUS=Ready to handle connections";

/// The environment that a manager gives a service.
fn served_by(manager: &Manager) -> Around {
    Around { environment: vec![("NOTIFY_SOCKET".into(), manager.address.clone())], ..Around::default() }
}

fn with_sockets(manager: &Manager, sockets: Vec<(String, OwnedFd)>) -> Around {
    Around { sockets, ..served_by(manager) }
}

fn at_path(sandbox: &Sandbox) -> Address {
    Address::Unix(sandbox.file("fpm.sock"))
}

fn hello(server: &Server) -> Request {
    Request::get(&server.sandbox.page("hello.php"))
}

fn says_hello(server: &Server, to: &Address) -> Outcome {
    let body = ask_once(to, &hello(server), LIMIT)?;
    ensure!(body == "hello", "{to:?}: {body:?}");
    Ok(())
}

fn monotonic() -> Outcome<u64> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    Ok(u64::try_from(now.tv_sec())? * 1_000_000 + u64::try_from(now.tv_nsec())? / 1000)
}

/// Start, a reload, one that is refused, one that fails behind its check, and the end.
#[test]
fn life() -> Outcome {
    let Some(target) = Target::find_ours("systemd::life") else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let mut manager = Manager::at_path(&sandbox)?;
    let server = Server::start_amid(served_by(&manager), at_path(&sandbox), sandbox, &target, &Setup::new(1))?;
    let pid = format!("MAINPID={}", server.supervisor.pid);
    let first = manager.next(LIMIT)?;
    ensure!(first == format!("READY=1\n{pid}\n{READY}"), "at the start: {first:?}");
    reload(&mut manager, &server, &pid)?;
    refused(&mut manager, &server)?;
    fails_late(&mut manager, &server)?;
    server.sandbox.put("php.ini", "")?;
    reload(&mut manager, &server, &pid)?;
    server.supervisor.signal(Signal::SIGQUIT);
    let last = manager.next(LIMIT)?;
    ensure!(last == "STOPPING=1\nSTATUS=Finishing ...", "at the end: {last:?}");
    wait_until("the end", LIMIT, || !server.supervisor.lives())?;
    let rest = manager.rest()?;
    ensure!(rest.is_empty() && manager.store.is_empty(), "behind the end: {rest:?}, stored {:?}", manager.stored());
    server.stop()
}

/// RELOADING as young as the wish, then READY; the same process.
fn reload(manager: &mut Manager, server: &Server, pid: &str) -> Outcome {
    let before = monotonic()?;
    server.reload()?;
    let began = manager.next(LIMIT)?;
    ensure!(began.starts_with("RELOADING=1\n"), "{began:?}");
    let at: u64 = line(&began, "MONOTONIC_USEC").ok_or("no MONOTONIC_USEC")?.parse()?;
    ensure!((before..=monotonic()?).contains(&at), "it began at {at}, asked for at {before}");
    let ended = manager.next(LIMIT)?;
    ensure!(ended == format!("READY=1\n{pid}\n{READY}"), "{ended:?}");
    Ok(())
}

/// The check finds a broken configuration: READY all the same, and the status names the place.
fn refused(manager: &mut Manager, server: &Server) -> Outcome {
    server.sandbox.put("fpm.conf", &format!("{}no.such.directive = 1\n", server.conf))?;
    server.supervisor.signal(Signal::SIGUSR2);
    manager.wait_for("RELOADING=1", LIMIT)?;
    let ended = manager.next(LIMIT)?;
    let status = line(&ended, "STATUS").unwrap_or_default();
    ensure!(ended.starts_with("READY=1\n") && status.starts_with("reload refused: "), "{ended:?}");
    ensure!(status.contains("no.such.directive") && status.contains("fpm.conf:"), "{status:?}");
    server.sandbox.put("fpm.conf", &server.conf)?;
    says_hello(server, &server.address)
}

/// PHP doesn't start in the new generation: the same, from the next image of the supervisor.
fn fails_late(manager: &mut Manager, server: &Server) -> Outcome {
    server.sandbox.put("php.ini", "opcache.preload = /no/such/preload.php\nzend_extension = opcache\n")?;
    server.supervisor.signal(Signal::SIGUSR2);
    manager.wait_for("RELOADING=1", LIMIT)?;
    let ended = manager.next(LIMIT)?;
    let status = line(&ended, "STATUS").unwrap_or_default();
    ensure!(ended.starts_with("READY=1\n") && status.starts_with("reload failed: "), "{ended:?}");
    says_hello(server, &server.address)
}

/// php-fpm's line every `systemd_interval`; after a refused reload it says so.
#[test]
fn status() -> Outcome {
    let Some(target) = Target::find_ours("systemd::status") else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let mut manager = Manager::at_path(&sandbox)?;
    let setup = Setup::new(2).global("systemd_interval = 1");
    let server = Server::start_amid(served_by(&manager), at_path(&sandbox), sandbox, &target, &setup)?;
    // It stands behind `ready`.
    wait_until("the line about the interval", LIMIT, || {
        server.log.count("systemd monitor interval set to 1000ms") == 1
    })?;
    manager.wait_for("READY=1", LIMIT)?;
    for _ in 0..3 {
        says_hello(&server, &server.address)?;
    }
    let first = next_status(&mut manager)?;
    let wanted = "Processes active: 0, idle: 2, Requests: 3, slow: 0, Traffic: ";
    let rate = first.strip_prefix(wanted).and_then(|rest| rest.strip_suffix("req/sec"));
    let rate: f64 = rate.ok_or_else(|| format!("{first:?} in place of {wanted}"))?.parse()?;
    ensure!(rate > 0.5 && rate <= 3.1, "{first:?}");
    let second = next_status(&mut manager)?;
    ensure!(second == format!("{wanted}0.00req/sec"), "{second:?}");
    server.sandbox.put("fpm.conf", &format!("{}no.such.directive = 1\n", server.conf))?;
    server.supervisor.signal(Signal::SIGUSR2);
    manager.wait_for("READY=1", LIMIT)?;
    let third = next_status(&mut manager)?;
    ensure!(third == format!("{wanted}0.00req/sec (the last reload was refused, see the log)"), "{third:?}");
    server.sandbox.put("fpm.conf", &server.conf.replace("systemd_interval = 1", "systemd_interval = 0"))?;
    server.reload()?;
    ensure!(server.log.count("not in effect yet") == 0, "{}", server.log.text());
    // It stands behind `ready`.
    wait_until("the line about no interval", LIMIT, || server.log.count("systemd monitor disabled") == 1)?;
    manager.wait_for(READY, LIMIT)?;
    std::thread::sleep(ms(1200));
    let rest = manager.rest()?;
    ensure!(rest.is_empty(), "with an interval of 0: {rest:?}");
    server.stop()
}

fn next_status(manager: &mut Manager) -> Outcome<String> {
    let text = manager.next(LIMIT)?;
    ensure!(text.lines().count() == 1, "{text:?}");
    Ok(line(&text, "STATUS").ok_or_else(|| format!("no status: {text:?}"))?.to_owned())
}

/// Fed at half of its time and through reloads, also where php-fpm's limit of two seconds isn't reached; scripts learn
/// nothing of all that, even with the supervisor's environment.
#[test]
fn watchdog() -> Outcome {
    let Some(target) = Target::find_ours("systemd::watchdog") else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let mut manager = Manager::abstract_one(&sandbox)?;
    fs::write(sandbox.page("environment.php"), "<?php echo implode(' ', array_keys(getenv()));")?;
    let mut around = served_by(&manager);
    around.environment.extend([("WATCHDOG_USEC", "1000000"), ("FDSTORE", "8")].map(|(n, v)| (n.into(), v.into())));
    let setup = Setup::new(1).pool("clear_env = no");
    let server = Server::start_amid(around, at_path(&sandbox), sandbox, &target, &setup)?;
    manager.wait_for("READY=1", LIMIT)?;
    manager.wait_for("WATCHDOG=1", LIMIT)?;
    let start = Instant::now();
    (0..4).try_for_each(|_| manager.wait_for("WATCHDOG=1", LIMIT).map(drop))?;
    let took = start.elapsed();
    ensure!(took > ms(1500) && took < bar(ms(3000)), "four times within {took:?}");
    for _ in 0..2 {
        server.reload()?;
        manager.wait_for("WATCHDOG=1", ms(1000))?;
    }
    let seen = ask_once(&server.address, &Request::get(&server.sandbox.page("environment.php")), LIMIT)?;
    ensure!(seen.split(' ').any(|name| name == "PATH"), "clear_env has no effect: {seen}");
    let leaked = ["NOTIFY", "WATCHDOG", "LISTEN_", "FDSTORE"].into_iter().find(|name| seen.contains(name));
    ensure!(leaked.is_none(), "the script sees {seen}");
    server.stop()
}

/// A daemon is another process than the one that systemd has started: READY names it, and the watchdog is its, also
/// behind a reload.
#[test]
fn daemon() -> Outcome {
    let name = "systemd::daemon";
    let Some(stage) = Target::find_ours(name).map(|target| Stage::new(target, 1)).transpose()? else { return Ok(()) };
    let _turn = turn::shared()?;
    let mut manager = Manager::at_path(&stage.sandbox)?;
    let program = stage.command(&["-D"]);
    let mut command = Command::new("sh");
    command.args(["-c", r#"WATCHDOG_PID=$$ exec "$@""#, "sh"]).arg(program.get_program()).args(program.get_args());
    command.envs(stage.target.environment()).env("NOTIFY_SOCKET", &manager.address).env("WATCHDOG_USEC", "400000");
    let ran = end_within(&mut command);
    let daemon =
        fs::read_to_string(stage.sandbox.file("fpm.pid")).ok().and_then(|pid| Process::find(pid.parse().ok()?));
    let result = daemon.ok_or_else(|| format!("no daemon: {ran:?}").into()).and_then(|daemon| {
        let named = format!("MAINPID={}", daemon.pid);
        for _ in 0..2 {
            let ready = manager.wait_for("READY=1", LIMIT)?;
            ensure!(ready.lines().any(|line| line == named), "{ready:?} in place of {named}");
            (0..3).try_for_each(|_| manager.wait_for("WATCHDOG=1", LIMIT).map(drop))?;
            daemon.signal(Signal::SIGUSR2);
        }
        Ok(())
    });
    let tree = daemon.map(|daemon| [vec![daemon], daemon.descendants()].concat()).unwrap_or_default();
    end_all(|| tree.clone())?;
    result
}

/// The watchdog of another process isn't ours; a manager that isn't there is said once, and nothing else happens.
#[test]
fn nobody_listens() -> Outcome {
    let Some(target) = Target::find_ours("systemd::nobody_listens") else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let manager = Manager::at_path(&sandbox)?;
    fs::remove_file(&manager.address)?;
    let mut around = served_by(&manager);
    around.environment.extend([("WATCHDOG_USEC", "200000"), ("WATCHDOG_PID", "1")].map(|(n, v)| (n.into(), v.into())));
    let server = Server::start_amid(around, at_path(&sandbox), sandbox, &target, &Setup::new(1))?;
    says_hello(&server, &server.address)?;
    server.sandbox.put("fpm.conf", &format!("{}no.such.directive = 1\n", server.conf))?;
    let mark = server.log.mark();
    server.supervisor.signal(Signal::SIGUSR2);
    server.log.wait_for(mark, &["reload refused"], LIMIT)?;
    ensure!(server.log.count("failed to notify systemd") == 1, "{}", server.log.text());
    server.stop()
}

/// Sockets of a .socket unit: a path and a port that pools name, though by other names, and one that none names. What
/// waited in their queues is answered; mode and path are systemd's, also through a reload and behind the end.
#[test]
fn passed_sockets() -> Outcome {
    let Some(target) = Target::find_ours("systemd::passed_sockets") else { return Ok(()) };
    let _turn = turn::shared()?;
    // Its directory outlives the server.
    let (place, sandbox) = (Sandbox::new()?, Sandbox::new()?);
    let mut manager = Manager::at_path(&sandbox)?;
    fs::create_dir(place.file("run"))?;
    symlink(place.file("run"), place.file("var-run"))?;
    let (path, stray) = (place.file("run/unit.sock"), place.file("run/stray.sock"));
    let (unix, nobody, tcp) = (UnixListener::bind(&path)?, UnixListener::bind(&stray)?, TcpListener::bind("[::1]:0")?);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o601))?;
    let by_port = Address::Tcp(tcp.local_addr()?);
    let addresses = [Address::Unix(path.clone()), by_port.clone()];
    let mut waiting: Vec<Client> = addresses.iter().map(|to| Client::connect(to, LIMIT)).collect::<Outcome<_>>()?;
    let request = Request::get(&sandbox.page("hello.php"));
    waiting.iter_mut().try_for_each(|client| client.send(&request.encode(1)))?;
    let by_link = place.file("var-run/unit.sock");
    let listen = format!("listen = {}, {}\nlisten.mode = 0666", by_link.display(), tcp.local_addr()?);
    let user = web_user().map(|user| format!("user = {user}\n")).unwrap_or_default();
    let pool = format!("[unit]\n{user}pm = static\npm.max_children = 1\n{listen}\n");
    let names = ["php-fpm.socket", "php-fpm.socket", "stray.socket"].map(str::to_owned);
    let sockets = names.into_iter().zip([unix.into(), tcp.into(), nobody.into()]).collect();
    let around = with_sockets(&manager, sockets);
    let server = Server::start_amid(around, at_path(&sandbox), sandbox, &target, &Setup::new(1).pool(&pool))?;
    for client in &mut waiting {
        ensure!(client.answer()?.body() == "hello", "who waited has no answer");
    }
    let closed = format!("closed \"{}\" from systemd (stray.socket): no pool listens there", stray.display());
    ensure!(server.log.count(&closed) == 1 && server.log.count("from systemd (") == 1, "{}", server.log.text());
    ensure!(Address::Unix(stray).connect(ms(500)).is_err(), "the stray socket is open");
    server.reload()?;
    addresses.iter().try_for_each(|to| says_hello(&server, to))?;
    let mode = || fs::metadata(&path).map(|data| data.mode() & 0o777);
    ensure!(mode()? == 0o601, "its mode is {:o}", mode()?);
    manager.rest()?;
    let stored = format!("listen={}", server.sandbox.file("fpm.sock").display());
    ensure!(manager.stored() == [stored], "stored: {:?}", manager.stored());
    no_longer_named(&server, &path, &by_port)?;
    server.stop()?;
    ensure!(path.exists(), "the path that systemd has made is gone");
    Ok(())
}

/// A reload that takes the pool away closes its sockets.
fn no_longer_named(server: &Server, path: &Path, by_port: &Address) -> Outcome {
    let (conf, _) = server.conf.split_once("[unit]").ok_or("no section")?;
    server.sandbox.put("fpm.conf", conf)?;
    server.reload()?;
    ensure!(server.log.count("from systemd: no pool listens there any more") == 2, "{}", server.log.text());
    // The former generation's zygote has them open until it leaves.
    let by_path = Address::Unix(path.to_owned());
    wait_until("the end of both", LIMIT, || [by_port, &by_path].iter().all(|to| to.connect(ms(500)).is_err()))?;
    ensure!(path.exists(), "the path is gone");
    Ok(())
}

/// `kill -9` of the supervisor; systemd starts it anew with the sockets that it has kept. Who waited is answered, and they
/// are as if it had opened them itself.
#[test]
fn stored_sockets() -> Outcome {
    let Some(target) = Target::find_ours("systemd::stored_sockets") else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let mut manager = Manager::abstract_one(&sandbox)?;
    let port = free_port()?;
    let (address, by_port) = (at_path(&sandbox), Address::Tcp(([127, 0, 0, 1], port).into()));
    let path = sandbox.file("fpm.sock");
    let setup = Setup::new(1).pool(&format!("listen = {}, 127.0.0.1:{port}", path.display()));
    let mut first = Server::start_amid(served_by(&manager), address.clone(), sandbox, &target, &setup)?;
    manager.rest()?;
    let mut names = [format!("listen={}", path.display()), format!("listen=127.0.0.1%3A{port}")];
    names.sort_unstable();
    ensure!(manager.stored() == names, "stored: {:?}", manager.stored());
    first.supervisor.signal(Signal::SIGKILL);
    first.await_end(LIMIT)?;
    let mut waiting = [Client::connect(&address, LIMIT)?, Client::connect(&by_port, LIMIT)?];
    waiting.iter_mut().try_for_each(|client| client.send(&hello(&first).encode(1)))?;
    let sockets = std::mem::take(&mut manager.store);
    let copies = sockets.iter().map(|(name, fd)| Ok((name.clone(), fd.try_clone()?)));
    let around = with_sockets(&manager, copies.collect::<Outcome<_>>()?);
    manager.store = sockets;
    let second = Server::start_amid(around, address.clone(), Sandbox::new()?, &target, &setup)?;
    for client in &mut waiting {
        ensure!(client.answer()?.body() == "hello", "who waited has no answer");
    }
    second.reload()?;
    manager.rest()?;
    ensure!(manager.store.len() == 2, "stored once more: {:?}", manager.stored());
    second.sandbox.put("fpm.conf", &second.conf.replace(&format!(", 127.0.0.1:{port}"), ""))?;
    second.reload()?;
    manager.rest()?;
    ensure!(manager.stored() == [format!("listen={}", path.display())], "no longer named: {:?}", manager.stored());
    second.stop()?;
    manager.rest()?;
    ensure!(manager.store.is_empty() && !path.exists(), "behind the end: {:?}, {}", manager.stored(), path.exists());
    Ok(())
}

/// What is passed to another process, and what is no listening socket, isn't used.
#[test]
fn others_descriptors() -> Outcome {
    let Some(target) = Target::find_ours("systemd::others_descriptors") else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let manager = Manager::at_path(&sandbox)?;
    let mut around = served_by(&manager);
    around.environment.extend([("LISTEN_PID", "1"), ("LISTEN_FDS", "7")].map(|(n, v)| (n.into(), v.into())));
    let server = Server::start_amid(around, at_path(&sandbox), sandbox, &target, &Setup::new(1))?;
    ensure!(server.log.count("LISTEN_FDS") + server.log.count("systemd (") == 0, "{}", server.log.text());
    server.stop()?;
    let sandbox = Sandbox::new()?;
    let manager = Manager::at_path(&sandbox)?;
    let datagrams = std::os::unix::net::UnixDatagram::bind(sandbox.file("datagrams"))?;
    let around = with_sockets(&manager, vec![("x".into(), datagrams.into())]);
    let server = Server::start_amid(around, at_path(&sandbox), sandbox, &target, &Setup::new(1))?;
    ensure!(server.log.count("from systemd (x): it is no listening stream socket") == 1, "{}", server.log.text());
    says_hello(&server, &server.address)?;
    server.stop()
}

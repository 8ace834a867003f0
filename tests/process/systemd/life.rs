//! Messages to systemd at start, reload and end.

use nix::sys::signal::Signal;
use testkit::clock::wait_until;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::{LIMIT, Manager, READY, at_path, line, monotonic, served_by};

/// Start, a reload, a reload that is refused, one that fails after its check, and the end.
#[test]
fn life() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
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
    ensure!(rest.is_empty() && manager.store.is_empty(), "after the end: {rest:?}, stored {:?}", manager.stored());
    server.stop()
}

/// A group that cannot start is named in the status, while the others serve.
#[test]
fn a_group_that_fails_is_named() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let mut manager = Manager::at_path(&sandbox)?;
    let server = Server::start_amid(served_by(&manager), at_path(&sandbox), sandbox, &target, &Setup::new(1))?;
    manager.wait_for("READY=1", LIMIT)?;
    let user: String = server
        .conf
        .lines()
        .filter(|l| l.starts_with("user =") || l.starts_with("group ="))
        .map(|l| format!("{l}\n"))
        .collect();
    let shop = format!(
        "[shop]\nlisten = {}\npm = static\npm.max_children = 1\n{user}process.php_define[opcache.preload] = /no/such.php\n",
        server.sandbox.file("shop.sock").display()
    );
    server.sandbox.put("fpm.conf", &format!("{}{shop}", server.conf))?;
    server.supervisor.signal(Signal::SIGUSR2);
    let ready = manager.wait_for("READY=1", LIMIT)?;
    let status = line(&ready, "STATUS").unwrap_or_default();
    let wanted = "Ready to handle connections; groups that could not change or start: 1 (shop), see the log";
    ensure!(status == wanted, "{ready:?}");
    server.says_hello(&server.address)?;
    server.sandbox.put("fpm.conf", &server.conf)?;
    server.supervisor.signal(Signal::SIGUSR2);
    let ready = manager.wait_for(READY, LIMIT)?;
    ensure!(line(&ready, "STATUS") == Some("Ready to handle connections"), "{ready:?}");
    server.stop()
}

/// RELOADING with the time of the request, then READY; the process stays the same.
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

/// The check finds a broken configuration: READY follows nevertheless, and the status names the line.
fn refused(manager: &mut Manager, server: &Server) -> Outcome {
    server.sandbox.put("fpm.conf", &format!("{}no.such.directive = 1\n", server.conf))?;
    server.supervisor.signal(Signal::SIGUSR2);
    manager.wait_for("RELOADING=1", LIMIT)?;
    let ended = manager.next(LIMIT)?;
    let status = line(&ended, "STATUS").unwrap_or_default();
    ensure!(ended.starts_with("READY=1\n") && status.starts_with("reload refused: "), "{ended:?}");
    ensure!(status.contains("no.such.directive") && status.contains("fpm.conf:"), "{status:?}");
    server.sandbox.put("fpm.conf", &server.conf)?;
    server.says_hello(&server.address)
}

/// PHP does not start in the new generation: the same result, from the next image of the supervisor.
fn fails_late(manager: &mut Manager, server: &Server) -> Outcome {
    server.sandbox.put("php.ini", "opcache.preload = /no/such/preload.php\nzend_extension = opcache\n")?;
    server.supervisor.signal(Signal::SIGUSR2);
    manager.wait_for("RELOADING=1", LIMIT)?;
    let ended = manager.next(LIMIT)?;
    let status = line(&ended, "STATUS").unwrap_or_default();
    ensure!(ended.starts_with("READY=1\n") && status.starts_with("reload failed: "), "{ended:?}");
    server.says_hello(&server.address)
}

//! What the monitor can do: read memory, and answer on its socket.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;

use testkit::clock::{bar, ms, wait_until};
use testkit::process::Process;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::{Target, as_root};
use testkit::{Outcome, ensure, http, turn};

use super::Monitored;

#[test]
fn rights() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let monitored = Monitored::start(&target, &Setup::new(1))?;
    wait_until("it shows the pool", bar(ms(3000)), || {
        monitored.samples().is_ok_and(|samples| samples.contains_key("phpfpm_workers_limit{pool=\"www\"}"))
    })?;
    let monitor = monitored.process()?;
    let numbers =
        |field: &str| monitor.status(field).iter().filter_map(|word| word.parse::<u32>().ok()).collect::<Vec<_>>();
    if as_root() {
        let (users, groups) = (numbers("Uid"), numbers("Gid"));
        let own = users.first().copied().unwrap_or(0);
        ensure!(
            own > 1000 && users == [own; 4] && groups == [own; 4] && numbers("Groups") == [own],
            "{users:?} {groups:?}"
        );
        let others = monitored.server.supervisor.tree().into_iter().filter(|other| *other != monitor);
        let same = others.filter(|other| other.status("Uid").first() == monitor.status("Uid").first()).count();
        ensure!(same == 0, "{same} other processes have its user");
    }
    for set in ["CapPrm", "CapEff", "CapInh", "CapAmb"] {
        ensure!(monitor.status(set) == ["0000000000000000"], "{set}: {:?}", monitor.status(set));
    }
    ensure!(numbers("NoNewPrivs") == [1] && numbers("Seccomp") == [2], "{:?}", monitor.status("Seccomp"));
    // Without root, nobody can look into a process that is closed to ptrace.
    if as_root() {
        no_files_and_no_writable_memory(monitor)?;
    }
    ensure!(monitor.limit("Max file size").starts_with('0'), "{}", monitor.limit("Max file size"));
    monitored.server.stop()
}

fn no_files_and_no_writable_memory(monitor: Process) -> Outcome {
    for (number, target) in monitor.fds() {
        let harmless =
            ["socket:", "anon_inode:[eventpoll]", "/dev/null", "pipe:"].iter().any(|kind| target.starts_with(kind));
        ensure!(harmless, "descriptor {number} is {target}");
    }
    let maps = monitor.lines("maps", "");
    let writable = maps.iter().filter(|line| {
        line.contains("cgi-fpm-") && line.split_whitespace().nth(1).is_some_and(|rights| rights.contains('w'))
    });
    ensure!(writable.count() == 0 && maps.iter().any(|line| line.contains("cgi-fpm-totals")), "{maps:#?}");
    Ok(())
}

/// Another name in `Host` is refused, unless it is allowed.
#[test]
fn names() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let monitored = Monitored::start(&target, &Setup::new(1).global("monitor.allowed_hosts = web1.example, web2"))?;
    let ask = |host: &str| -> Outcome<String> {
        let mut connection = std::net::TcpStream::connect(monitored.address)?;
        write!(connection, "GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        connection.read_to_string(&mut text)?;
        Ok(text)
    };
    for own in ["web1.example", "WEB2:9253", "127.0.0.1", "[::1]:9253", "localhost"] {
        ensure!(ask(own)?.starts_with("HTTP/1.1 200 "), "{own}: {}", ask(own)?);
    }
    let text = ask("evil.example:9253")?;
    ensure!(text.starts_with("HTTP/1.1 421 ") && !text.contains("phpfpm_"), "{text}");
    let reply = http::Client::new(monitored.address, ms(3000)).send("POST", "/metrics", "", b"x=1")?;
    ensure!(reply.status == 405, "{reply:?}");
    monitored.server.stop()
}

/// A unix socket has its mode and owner, any name will do, and it is removed at the end.
#[test]
fn unix_socket() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let path = sandbox.file("monitor.sock");
    let user = if as_root() { 65534 } else { nix::unistd::Uid::effective().as_raw() };
    let settings = format!("monitor.listen = {}\nmonitor.mode = 0600\nmonitor.owner = {user}", path.display());
    let setup = Setup::new(1).global(&settings);
    let server = Server::start_in(sandbox, &target, &setup)?;
    wait_until("it listens", bar(ms(3000)), || UnixStream::connect(&path).is_ok())?;
    let file = std::fs::metadata(&path)?;
    ensure!((file.permissions().mode() & 0o777, file.uid()) == (0o600, user), "{file:?}");
    let ask = || -> Outcome<String> {
        let mut connection = UnixStream::connect(&path)?;
        connection.write_all(b"GET /readyz HTTP/1.1\r\nHost: any\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        connection.read_to_string(&mut text)?;
        Ok(text)
    };
    let text = ask()?;
    ensure!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\nok\n"), "{text}");
    server.reload()?;
    ensure!(ask()?.starts_with("HTTP/1.1 200 "), "after a reload");
    let ran = testkit::stage::command_in(&target, &server.sandbox, &["health"]).output()?;
    ensure!(ran.status.success(), "{ran:?}");
    let mut server = server;
    server.supervisor.signal(nix::sys::signal::Signal::SIGTERM);
    server.await_end(bar(ms(5000)))?;
    ensure!(!path.exists(), "its path is still there");
    Ok(())
}

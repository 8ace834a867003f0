//! Sockets that systemd passes, stores, or means for another process.

use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::sys::signal::Signal;
use testkit::around::Around;
use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Client, Request, ask_once};
use testkit::inside::{listening_sockets, try_to_accept};
use testkit::sandbox::{Sandbox, free_port};
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stream::Address;
use testkit::target::{Target, web_user};
use testkit::{Outcome, ensure, turn};

use super::{LIMIT, Manager, at_path, served_by};

fn with_sockets(manager: &Manager, sockets: Vec<(String, OwnedFd)>) -> Around {
    Around { sockets, ..served_by(manager) }
}

/// What systemd gives a service that it starts again: copies of the stored sockets, which stay stored.
fn with_stored(manager: &Manager) -> Outcome<Around> {
    let copies = manager.store.iter().map(|(name, fd)| Ok((name.clone(), fd.try_clone()?)));
    Ok(with_sockets(manager, copies.collect::<Outcome<_>>()?))
}

/// Sockets of a .socket unit: a path and a port that pools name in another form, and one that no pool names. Clients
/// that waited in their queues are answered. Mode and path stay those of systemd, also through a reload and after the
/// end.
#[test]
fn passed_sockets() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    // Its directory outlives the server.
    let (place, sandbox) = (Sandbox::new()?, Sandbox::new()?);
    let mut manager = Manager::at_path(&sandbox)?;
    fs::create_dir(place.file("run"))?;
    symlink(place.file("run"), place.file("var-run"))?;
    let (path, stray) = (place.file("run/unit.sock"), place.file("run/stray.sock"));
    let (unix, unnamed, tcp) = (UnixListener::bind(&path)?, UnixListener::bind(&stray)?, TcpListener::bind("[::1]:0")?);
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
    let sockets = names.into_iter().zip([unix.into(), tcp.into(), unnamed.into()]).collect();
    let around = with_sockets(&manager, sockets);
    let server = Server::start_amid(around, at_path(&sandbox), sandbox, &target, &Setup::new(1).pool(&pool))?;
    for client in &mut waiting {
        ensure!(client.answer()?.body() == "hello", "who waited has no answer");
    }
    let closed = format!("closed \"{}\" from systemd (stray.socket): no pool listens there", stray.display());
    ensure!(server.log.count(&closed) == 1 && server.log.count("from systemd (") == 1, "{}", server.log.text());
    ensure!(Address::Unix(stray).connect(ms(500)).is_err(), "the stray socket is open");
    server.reload()?;
    addresses.iter().try_for_each(|to| server.says_hello(to))?;
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
    // The zygote of the former generation has them open until it leaves.
    let by_path = Address::Unix(path.to_owned());
    wait_until("the end of both", LIMIT, || [by_port, &by_path].iter().all(|to| to.connect(ms(500)).is_err()))?;
    ensure!(path.exists(), "the path is gone");
    Ok(())
}

/// `kill -9` of the supervisor; systemd starts it again with the stored sockets. Clients that waited are answered,
/// and the sockets behave as if the supervisor had opened them.
#[test]
fn stored_sockets() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
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
    waiting.iter_mut().try_for_each(|client| client.send(&first.hello().encode(1)))?;
    let second = Server::start_amid(with_stored(&manager)?, address.clone(), Sandbox::new()?, &target, &setup)?;
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
    ensure!(manager.store.is_empty() && !path.exists(), "after the end: {:?}, {}", manager.stored(), path.exists());
    Ok(())
}

/// The same, and meanwhile the configuration has given the pool another user: processes of the former user, which may have the stored
/// sockets open, accept no connection of the new one's.
#[test]
fn stored_sockets_of_another_user() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let mut manager = Manager::abstract_one(&sandbox)?;
    let port = free_port()?;
    let (address, by_port) = (at_path(&sandbox), Address::Tcp(([127, 0, 0, 1], port).into()));
    let listen = format!("listen = {{{{LISTEN}}}}, 127.0.0.1:{port}\nlisten.mode = 0666");
    let setup = |user: u32| {
        let global = "[global]\npid = {{DIR}}/fpm.pid\nerror_log = {{DIR}}/fpm.log\n";
        let pool = format!("[www]\nuser = {user}\ngroup = {user}\n{listen}\npm = static\npm.max_children = 2\n");
        Setup::new(1).whole(&format!("{global}{pool}"))
    };
    let mut server = Server::start_amid(served_by(&manager), address.clone(), sandbox, &target, &setup(2001))?;
    let mut ended = Vec::new();
    for (user, new) in [(2002, 2), (2002, 0), (2001, 2)] {
        manager.rest()?;
        ensure!(manager.store.len() == 2, "stored: {:?}", manager.store);
        let former = manager.store.iter().map(|(_, fd)| Ok(fd.try_clone()?)).collect::<Outcome<Vec<_>>>()?;
        server.supervisor.signal(Signal::SIGKILL);
        server.await_end(LIMIT)?;
        let sandbox = Sandbox::new()?;
        sandbox.put("www/who.php", "<?php echo posix_geteuid();\n")?;
        let next = Server::start_amid(with_stored(&manager)?, address.clone(), sandbox, &target, &setup(user))?;
        ended.push(std::mem::replace(&mut server, next));
        let told = server.log.count("belongs to another user: a new one takes its place");
        ensure!(told == new, "{told} new sockets in place of {new}: {}", server.log.text());
        let request = Request::get(&server.sandbox.page("who.php"));
        for _ in 0..20 {
            for to in [&address, &by_port] {
                if new > 0 {
                    ensure!(try_to_accept(&former) == 0, "{user}: the former user accepts at {to:?}");
                }
                let who = ask_once(to, &request, LIMIT)?;
                ensure!(who == user.to_string(), "{user}: {who} at {to:?}");
            }
        }
        let listening = listening_sockets(server.supervisor)?.len();
        ensure!(listening == 2, "{user}: {listening} listening sockets");
    }
    server.stop()
}

/// A socket for another process, or a descriptor that is not a listening socket, is not used.
#[test]
fn others_descriptors() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
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
    server.says_hello(&server.address)?;
    server.stop()
}

//! Listening sockets of pools: addresses of all kinds, access to unix sockets, and how a reload changes them.
#![forbid(unsafe_code)]

mod access;
mod allowed_clients;
mod backlog;
mod refused;

use std::net::Ipv6Addr;
use std::time::Duration;

use testkit::fastcgi::Request;
use testkit::sandbox::{Sandbox, free_port};
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stage::Stage;
use testkit::stream::Address;
use testkit::target::{Target, web_user};
use testkit::{Outcome, ensure, turn};

const LIMIT: Duration = Duration::from_secs(5);

/// A further pool.
fn section(name: &str, lines: &str) -> String {
    let user = web_user().map(|user| format!("user = {user}\n")).unwrap_or_default();
    format!("[{name}]\n{user}pm = static\npm.max_children = 1\n{lines}")
}

fn v4(last: u8, port: u16) -> Address {
    Address::Tcp(([127, 0, 0, last], port).into())
}

fn v6(port: u16) -> Address {
    Address::Tcp((Ipv6Addr::LOCALHOST, port).into())
}

#[test]
fn addresses_of_all_kinds() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let (four, six, host, any) = (free_port()?, free_port()?, free_port()?, free_port()?);
    let setup = Setup::new(1)
        .pool(&section("four", &format!("listen = 127.0.0.1:{four}")))
        .pool(&section("six", &format!("listen = [::1]:{six}")))
        .pool(&section("host", &format!("listen = localhost:{host}")))
        .pool(&section("any", &format!("listen = {any}")));
    let server = Server::start(&target, &setup)?;
    let all = [server.address.clone(), v4(1, four), v6(six), v4(1, any), v6(any)];
    all.iter().try_for_each(|address| server.says_hello(address))?;
    server.says_hello(&v4(1, host)).or_else(|_| server.says_hello(&v6(host)))?;
    server.stop()
}

#[test]
fn several_addresses_of_a_pool() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let (four, six, path) = (free_port()?, free_port()?, sandbox.file("second.sock"));
    let lines = format!("listen = 127.0.0.1:{four}, [::1]:{six}, {}", path.display());
    let server = Server::start_in(sandbox, &target, &Setup::new(1).pool(&section("many", &lines)))?;
    let all = [v4(1, four), v6(six), Address::Unix(path.clone())];
    for _ in 0..5 {
        all.iter().try_for_each(|address| server.says_hello(address))?;
    }
    server.stop()?;
    ensure!(!path.exists(), "its socket still exists");
    Ok(())
}

/// All addresses of both families, each by its own name, in either order; a reload keeps both.
#[test]
fn all_addresses_of_both_families() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let (one, other) = (free_port()?, free_port()?);
    let setup = Setup::new(1).pool(&section("four_first", &format!("listen = 0.0.0.0:{one}, [::]:{one}")));
    let setup = setup.pool(&section("six_first", &format!("listen = [::]:{other}, 0.0.0.0:{other}")));
    let server = Server::start(&target, &setup)?;
    let all = [v4(1, one), v6(one), v4(1, other), v6(other)];
    all.iter().try_for_each(|address| server.says_hello(address))?;
    server.reload()?;
    all.iter().try_for_each(|address| server.says_hello(address))?;
    server.stop()
}

/// Reloads with this line instead of the pool's.
fn reload_with(server: &Server, line: &str) -> Outcome {
    server.sandbox.put("fpm.conf", &format!("{}\n{line}\n", server.conf))?;
    server.reload()
}

/// Two pools cannot share an address under two names; php-fpm would let them share the socket.
#[test]
fn one_address_by_two_names() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let stage = Stage::new(target, 1)?;
    let port = free_port()?;
    let pools = ["127.0.0.1", "localhost"].map(|host| section(host, &format!("listen = {host}:{port}")));
    stage.sandbox.put("fpm.conf", &format!("{}\n{}\n{}", stage.conf, pools[0], pools[1]))?;
    let line = format!("[pool localhost] 'localhost:{port}' is an address that is listened on already");
    stage.run(&["-F"])?.expect(78, &[&line])?;
    Ok(())
}

/// The same address under another name keeps its socket in a reload.
#[test]
fn another_name_keeps_the_socket() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let port = free_port()?;
    let pool = section("p", &format!("listen = localhost:{port}"));
    let server = Server::start(&target, &Setup::new(1).pool(&pool))?;
    let mut kept = std::net::TcpStream::connect(("127.0.0.1", port))?;
    reload_with(&server, &format!("listen = 127.0.0.1:{port}"))?;
    server.says_hello(&v4(1, port))?;
    std::io::Write::write_all(&mut kept, &Request::get(&server.sandbox.page("hello.php")).encode(1))?;
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut kept, &mut answer)?;
    ensure!(String::from_utf8_lossy(&answer).contains("hello"), "a connection from before got nothing");
    server.stop()
}

/// The pool listens on the first address of a name, and a warning lists the others.
#[test]
fn names_with_several_addresses() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let hosts =
        "127.0.0.1 localhost\n127.0.0.5 both.test\n127.0.0.6 both.test\n192.0.2.7 away.test\n127.0.0.7 away.test\n";
    if !testkit::netns::inside(&[], hosts)? {
        return Ok(());
    }
    let _turn = turn::shared()?;
    let (both, away) = (free_port()?, free_port()?);
    let setup = Setup::new(1)
        .pool(&section("both", &format!("listen = both.test:{both}")))
        .pool(&section("away", &format!("listen = away.test:{away}")));
    let server = Server::start(&target, &setup)?;
    let log = server.log.text() + &server.stdio();
    ensure!(log.contains("WARNING: Found multiple addresses for both.test, 127.0.0.6 ignored"), "{log}");
    // The resolver decides the order of addresses; the address of this machine is found in either order.
    server.says_hello(&v4(5, both))?;
    server.says_hello(&v4(7, away))?;
    server.stop()
}

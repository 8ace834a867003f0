//! `listen.allowed_clients`.

use std::net::{IpAddr, SocketAddr};

use testkit::clock::ms;
use testkit::fastcgi::Request;
use testkit::sandbox::free_port;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::{LIMIT, section};

/// Sends a request from an address of this machine. None: the connection was refused.
fn ask_from(server: &Server, from: IpAddr, to: SocketAddr) -> Outcome<Option<String>> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, socket};
    use std::io::{Read as _, Write as _};
    use std::os::fd::AsRawFd as _;
    let family = if from.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let client = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    bind(client.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(from, 0)))?;
    connect(client.as_raw_fd(), &SockaddrStorage::from(to))?;
    let mut client = std::net::TcpStream::from(client);
    client.set_read_timeout(Some(LIMIT))?;
    // Both may fail if the peer has closed the connection: that is a valid result, too.
    let _ = client.write_all(&Request::get(&server.sandbox.page("hello.php")).encode(1));
    let mut answer = Vec::new();
    match client.read_to_end(&mut answer) {
        Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return Err(format!("{from} hears nothing").into()),
        Ok(_) | Err(_) => {}
    }
    Ok((!answer.is_empty()).then(|| String::from_utf8_lossy(&answer).into_owned()))
}

/// Lists with blanks, networks, mapped addresses; addresses that differ in the last byte only; one line per minute.
#[test]
fn allowed_clients() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    if !testkit::netns::inside(&["fd00:c61::1/64", "fd00:c61::2/64", "fd00:c62::1/64"], "127.0.0.1 localhost\n")? {
        return Ok(());
    }
    let _turn = turn::shared()?;
    let list = if target.is_ours() {
        "127.0.0.2, ::ffff:127.0.0.4,127.0.1.0/24 , fd00:c61::1,fd00:c62::/32"
    } else {
        "127.0.0.2,fd00:c61::1"
    };
    let port = free_port()?;
    let lines = format!("listen = {port}\nlisten.allowed_clients = {list}\ncatch_workers_output = yes");
    let server = Server::start(&target, &Setup::new(1).pool(&section("p", &lines)))?;
    let let_in = |from: IpAddr| -> Outcome<bool> {
        let to = if from.is_ipv4() { [127, 0, 0, 1].into() } else { "fd00:c61::1".parse()? };
        let answer = ask_from(&server, from, SocketAddr::new(to, port))?;
        ensure!(answer.as_ref().is_none_or(|answer| answer.contains("hello")), "{answer:?}");
        Ok(answer.is_some())
    };
    let mut cases = vec![("127.0.0.2", true), ("127.0.0.3", false), ("fd00:c61::1", true)];
    if target.is_ours() {
        // php-fpm compares 12 of 16 bytes.
        cases.extend([("fd00:c61::2", false), ("fd00:c62::1", true), ("127.0.0.4", true), ("127.0.1.9", true)]);
        cases.extend([("127.0.2.9", false), ("127.0.0.1", false), ("::1", false)]);
    }
    for _ in 0..3 {
        for (from, wanted) in &cases {
            ensure!(let_in(from.parse()?)? == *wanted, "{from}: {}", !wanted);
        }
    }
    let refused = cases.iter().filter(|(_, wanted)| !wanted).count() * 3;
    let lines = || server.log.count("Connection disallowed: IP address");
    let wanted = if target.is_ours() { 1 } else { refused };
    testkit::clock::wait_until("the lines", LIMIT, || lines() >= wanted)?;
    std::thread::sleep(ms(200));
    ensure!(lines() == wanted, "{} lines: {}", lines(), server.log.text());
    ensure!(server.log.count("Connection disallowed: IP address '127.0.0.3'") > 0, "{}", server.log.text());
    server.stop()
}

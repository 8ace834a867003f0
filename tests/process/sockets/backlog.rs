//! `listen.backlog`.

use std::path::Path;

use nix::sys::signal::Signal;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::{reload_with, section};

/// The number of connections that wait in the backlog of a unix and a TCP socket; a reload changes it.
#[test]
fn backlog() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let path = sandbox.file("p.sock");
    let pool = section("p", &format!("listen = {}\nlisten.backlog = 3", path.display()));
    let server = Server::start_in(sandbox, &target, &Setup::new(1).pool(&pool))?;
    let first = room(&server, &path)?;
    // One more than the value: the kernel counts from zero.
    ensure!(first == 4, "{first} found room");
    if server.zygotes().is_empty() {
        return server.stop();
    }
    reload_with(&server, "listen.backlog = 8")?;
    let second = room(&server, &path)?;
    ensure!(second == 9, "{second} found room after the reload");
    server.stop()
}

fn room(server: &Server, path: &Path) -> Outcome<usize> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
    use std::os::fd::AsRawFd as _;
    let workers = server.workers();
    workers.iter().for_each(|worker| worker.signal(Signal::SIGSTOP));
    let address = UnixAddr::new(path)?;
    let mut waiting = Vec::new();
    while waiting.len() < 100 {
        let client = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_NONBLOCK, None)?;
        if connect(client.as_raw_fd(), &address).is_err() {
            break;
        }
        waiting.push(client);
    }
    workers.iter().for_each(|worker| worker.signal(Signal::SIGCONT));
    Ok(waiting.len())
}

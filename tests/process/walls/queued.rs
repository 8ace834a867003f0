//! Descriptors that a client sends in a connection that no worker accepts: the process that closes the listening socket as the last
//! one closes them as well.

use std::fs;
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::socket::{setsockopt, sockopt};
use testkit::clock::{bar, ms, wait_until};
use testkit::inside::{lingering, listening_sockets, send};
use testkit::sandbox::Sandbox;
use testkit::seccomp::Refused;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stream::Address;
use testkit::target::{Target, as_root};
use testkit::{Outcome, ensure, turn};

use super::{ALICE, BOB, GLOBAL, Neighbours, section};

/// The option of a socket that takes no descriptors (Linux 6.16).
const SO_PASSRIGHTS: i32 = 83;

fn conf(alice: &str) -> String {
    format!("{GLOBAL}log_level = debug\nprocess_control_timeout = 1s\n{alice}{}", section(BOB, 2, ""))
}

/// Alice has stopped her processes, so that a connection to her socket stays in the queue, with a descriptor whose close takes 20 s.
/// Where the kernel can, it has refused the descriptor.
fn queue_one(target: &Target, refused: &[Refused]) -> Outcome<(Neighbours, TcpStream)> {
    let setup = Setup::new(1).whole(&conf(&section(ALICE, 2, ""))).refused(refused);
    queue_at(Sandbox::new()?, target, &setup)
}

fn queue_at(sandbox: Sandbox, target: &Target, setup: &Setup) -> Outcome<(Neighbours, TcpStream)> {
    let bobs = Address::Unix(sandbox.file("bob.sock"));
    let pools = Neighbours { server: Server::start_at(bobs, sandbox, target, setup)? };
    for process in pools.all_of(ALICE)? {
        process.signal(Signal::SIGSTOP);
    }
    let client = UnixStream::connect(pools.server.sandbox.file("alice.sock"))?.into();
    let (socket, reader) = lingering()?;
    let sent = send(&client, b"x", &[socket.as_raw_fd()]);
    ensure!(matches!(sent, Ok(()) | Err(Errno::EPERM)), "{sent:?}");
    if sent.is_err() {
        // Closed here, it is not to linger.
        setsockopt(&socket, sockopt::Linger, &libc::linger { l_onoff: 0, l_linger: 0 })?;
    }
    Ok((pools, reader))
}

/// System calls that the server is refused: none; that by which the kernel would refuse descriptors.
fn kernels() -> [Vec<Refused>; 2] {
    [Vec::new(), vec![Refused::call(libc::SYS_setsockopt).third(SO_PASSRIGHTS)]]
}

#[test]
fn they_delay_no_reload_that_closes_the_socket() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    for refused in kernels() {
        let (pools, _reader) = queue_one(&target, &refused)?;
        let (server, alices) = (&pools.server, pools.all_of(ALICE)?);
        server.sandbox.configure(&conf(""))?;
        let mark = server.log.mark();
        server.supervisor.signal(Signal::SIGUSR2);
        // They drain from then on, so no others take their place. The supervisor is the last one that has the socket.
        server.log.wait_for(mark, &["fpm is running"], ms(20_000))?;
        alices.iter().for_each(|process| process.signal(Signal::SIGKILL));
        let mut closed = None;
        while closed.is_none_or(|closed: Instant| closed.elapsed() < ms(500)) {
            let heard = server.hears(ms(60_000))?;
            ensure!(heard < bar(ms(500)), "the supervisor heard SIGUSR1 after {heard:?}: {}", server.log.tail(8));
            let told = server.log.since(mark).contains("closed listening socket");
            closed = closed.or_else(|| told.then(Instant::now));
            std::thread::sleep(ms(20));
        }
        ensure!(pools.ask(BOB, "hello.php")? == "hello", "bob");
        pools.server.stop()?;
    }
    Ok(())
}

#[test]
fn they_do_not_delay_the_end() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    for refused in kernels() {
        let (mut pools, _reader) = queue_one(&target, &refused)?;
        let begun = Instant::now();
        pools.server.supervisor.signal(Signal::SIGTERM);
        pools.server.await_end(ms(60_000))?;
        let took = begun.elapsed();
        ensure!(took < bar(ms(8000)), "the end took {took:?}");
    }
    Ok(())
}

/// A server of an ordinary user, whose limit on processes is used up: what a child would close waits until there can be one.
#[test]
fn they_delay_nothing_if_no_process_can_be_made() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    // Another setting of PHP, so that alice has a zygote of her own although the pools have the same user.
    let lines = "process.php_define[user_ini.cache_ttl] = 301";
    let conf = |alice: &str| conf(alice).replace("process_control_timeout = 1s", "process_control_timeout = 60s");
    let [_, old_kernel] = kernels();
    let id = |option: &str| format!("--{option}={}", BOB.1);
    let as_user = ["setpriv", &id("reuid"), &id("regid"), "--clear-groups"].map(str::to_owned);
    let as_user = if as_root() { as_user.to_vec() } else { Vec::new() };
    let mut setup = Setup::new(1).whole(&conf(&section(ALICE, 2, lines))).refused(&old_kernel);
    if as_root() {
        for entry in fs::read_dir(sandbox.path())? {
            std::os::unix::fs::chown(entry?.path(), Some(BOB.1), None)?;
        }
        std::os::unix::fs::chown(sandbox.path(), Some(BOB.1), None)?;
        setup = setup.under(&as_user.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let (pools, _reader) = queue_at(sandbox, &target, &setup)?;
    let (server, alices) = (&pools.server, pools.all_of(ALICE)?);
    server.sandbox.configure(&conf(""))?;
    server.supervisor.signal(Signal::SIGUSR2);
    server.await_generation("bob", 2, ms(20_000))?;
    let limit = |soft: &str| -> Outcome {
        let limits = [format!("--pid={}", server.supervisor.pid), format!("--nproc={soft}:")];
        let words: Vec<String> = as_user.iter().cloned().chain(["prlimit".to_owned()]).chain(limits).collect();
        ensure!(Command::new(&words[0]).args(&words[1..]).status()?.success(), "prlimit");
        Ok(())
    };
    limit("0")?;
    let mark = server.log.mark();
    alices.iter().for_each(|process| process.signal(Signal::SIGKILL));
    let closed = "closed listening socket";
    server.log.wait_for(mark, &[closed], ms(60_000))?;
    let heard = server.hears(ms(60_000))?;
    ensure!(heard < bar(ms(500)), "the supervisor heard SIGUSR1 after {heard:?}: {}", server.log.tail(8));
    ensure!(pools.ask(BOB, "hello.php")? == "hello", "bob");
    let listening = || listening_sockets(server.supervisor).map(|sockets| sockets.len());
    ensure!(listening()? == 2, "the socket is not kept");
    server.log.wait_for(mark, &["cannot make a process that closes"], ms(20_000))?;
    limit("1000")?;
    wait_until("the close of the socket", ms(10_000), || listening().is_ok_and(|count| count == 1))?;
    let told = server.log.since(mark).matches("cannot make a process that closes").count();
    ensure!(told == 1, "{told} lines: {}", server.log.tail(20));
    pools.server.stop()
}

//! A reload gives a pool another user: it gets new listening sockets, so that processes of the former user, which have the old ones
//! open, accept no connection of the new user's.

use std::error::Error;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::{Request, ask_once};
use testkit::inside::{listening_sockets, try_to_accept};
use testkit::load::{Load, Plan};
use testkit::sandbox::{Sandbox, free_port};
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stream::Address;
use testkit::target::Target;
use testkit::{Outcome, ensure, say, turn};

use super::user_change::keep_one_busy;
use super::{ALICE, BOB, GLOBAL, section};

/// A server with the one pool, alice's at first.
struct Pool {
    server: Server,
}

fn setup(uid: u32, lines: &str) -> Setup {
    let section = section((ALICE.0, uid), 2, lines).replace("{{DIR}}/alice.sock", "{{LISTEN}}");
    Setup::new(1).whole(&format!("{GLOBAL}{section}"))
}

impl Pool {
    fn start(target: &Target, sandbox: Sandbox, address: Address) -> Outcome<Self> {
        sandbox.put("www/who.php", "<?php echo posix_geteuid();\n")?;
        Ok(Self { server: Server::start_at(address, sandbox, target, &setup(ALICE.1, ""))? })
    }

    fn configure(&self, uid: u32, lines: &str) -> Outcome {
        let Server { sandbox, address, .. } = &self.server;
        sandbox.put("fpm.conf", &setup(uid, lines).conf(sandbox.path(), address))
    }

    fn who(&self) -> Outcome<String> {
        let request = Request::get(&self.server.sandbox.page("who.php"));
        ask_once(&self.server.address, &request, ms(5000))
    }

    /// The listening sockets of all workers and zygotes. A process that alice leaves may keep them without end.
    fn listening(&self) -> Outcome<Vec<OwnedFd>> {
        let mut all = Vec::new();
        for process in self.server.supervisor.descendants() {
            match listening_sockets(process) {
                Ok(sockets) => all.extend(sockets),
                // A process of the former generation may end meanwhile.
                Err(error) if has_ended(&*error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }
}

/// Whether that is the error of a system call that names a process which has ended (ESRCH).
fn has_ended(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) == Some(Errno::ESRCH as i32)
}

fn local_port() -> Outcome<Address> {
    Ok(Address::Tcp(([127, 0, 0, 1], free_port()?).into()))
}

/// Runs the test with a pool at a path, then with one at a port, and ends their servers.
fn with_both_kinds(test: impl Fn(&Pool) -> Outcome) -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    for at_port in [false, true] {
        let sandbox = Sandbox::new()?;
        let address = if at_port { local_port()? } else { Address::Unix(sandbox.file("alice.sock")) };
        let pool = Pool::start(&target, sandbox, address)?;
        test(&pool)?;
        let begun = Instant::now();
        pool.server.stop()?;
        ensure!(begun.elapsed() < bar(ms(10_000)), "the end took {:?}", begun.elapsed());
    }
    Ok(())
}

#[test]
fn the_former_user_accepts_nothing() -> Outcome {
    with_both_kinds(|pool| {
        let (former, _long) = (pool.listening()?, keep_one_busy(&pool.server)?);
        ensure!(!former.is_empty(), "no listening socket found");
        pool.configure(BOB.1, "")?;
        pool.server.reload()?;
        let stop = AtomicBool::new(false);
        let (accepted, answers) = std::thread::scope(|scope| -> Outcome<_> {
            let thief = scope.spawn(|| {
                let mut accepted = 0;
                while !stop.load(Ordering::Relaxed) {
                    accepted += try_to_accept(&former);
                }
                accepted
            });
            let answers: Vec<_> = (0..200).map(|_| pool.who().unwrap_or_else(|e| e.to_string())).collect();
            stop.store(true, Ordering::Relaxed);
            Ok((thief.join().map_err(|_| "the thread has panicked")?, answers))
        })?;
        ensure!(accepted == 0, "{:?}: the former user got {accepted} connections", pool.server.address);
        let others: Vec<_> = answers.iter().filter(|answer| **answer != BOB.1.to_string()).collect();
        ensure!(others.is_empty(), "{:?}: {others:?}; {}", pool.server.address, pool.server.log.tail(5));
        Ok(())
    })
}

/// The same address may be written in another way. Nothing listens at the former socket then, although its holders still have it.
#[test]
fn an_address_with_another_name_is_the_same() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let pool = Pool::start(&target, sandbox, local_port()?)?;
    let former = pool.listening()?;
    let listens = || former.iter().any(|fd| getsockopt(fd, sockopt::AcceptConn) == Ok(true));
    ensure!(listens(), "no listening socket found");
    pool.configure(BOB.1, "")?;
    let file = pool.server.sandbox.file("fpm.conf");
    let text = fs::read_to_string(&file)?;
    let other = text.replace("127.0.0.1:", "127.1:");
    ensure!(other != text, "no address in {text}");
    pool.server.sandbox.put("fpm.conf", &other)?;
    pool.server.reload()?;
    wait_until("the end of the former socket", ms(5000), || !listens())?;
    ensure!(try_to_accept(&former) == 0, "it accepts");
    let who = pool.who()?;
    ensure!(who == BOB.1.to_string(), "{who}");
    pool.server.stop()
}

/// Changes of the user under load: each request is served.
#[test]
fn no_request_is_lost() -> Outcome {
    with_both_kinds(|pool| {
        let load: Load = Plan::clients(4).start(|_| {
            let request = Request::get(&pool.server.sandbox.page("hello.php"));
            testkit::load::asker(&pool.server.address, &request, "hello", ms(5000))
        });
        for uid in [BOB.1, ALICE.1, ALICE.1, BOB.1] {
            pool.configure(uid, "")?;
            pool.server.reload()?;
            let who = pool.who()?;
            ensure!(who == uid.to_string(), "{who} in place of {uid}: {}", pool.server.log.tail(8));
        }
        let tally = load.stop();
        say(&tally.summary());
        tally.expect_no_failure()?;
        only_its_socket(pool)
    })
}

/// No file of a socket is left but the pool's, and the supervisor has only its socket.
fn only_its_socket(pool: &Pool) -> Outcome {
    let names: Vec<_> =
        fs::read_dir(pool.server.sandbox.path())?.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
    let sockets: Vec<_> = names.iter().filter(|name| name.to_string_lossy().contains(".sock")).collect();
    let expected = usize::from(matches!(pool.server.address, Address::Unix(_)));
    ensure!(sockets.len() == expected, "{sockets:?}");
    let listening = listening_sockets(pool.server.supervisor)?.len();
    ensure!(listening == 1, "{listening} listening sockets");
    Ok(())
}

/// The new user's group cannot start: the former user's socket serves on, and no other is left.
#[test]
fn a_group_that_cannot_start_changes_no_socket() -> Outcome {
    with_both_kinds(|pool| {
        pool.configure(BOB.1, "access.log = {{DIR}}/fpm.pid/none")?;
        let mark = pool.server.log.mark();
        pool.server.supervisor.signal(Signal::SIGUSR2);
        pool.server.log.wait_for(mark, &["reload failed"], ms(20_000))?;
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(500) {
            ensure!(pool.who()? == ALICE.1.to_string(), "alice's pool");
        }
        only_its_socket(pool)?;
        pool.configure(BOB.1, "")?;
        pool.server.reload()?;
        ensure!(pool.who()? == BOB.1.to_string(), "bob's pool");
        Ok(())
    })
}

/// The former user's socket, its directory a user's or open to all.
#[test]
fn in_every_directory() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    for (owner, mode) in [(ALICE.1, 0o755), (BOB.1, 0o755), (0, 0o1777), (0, 0o777)] {
        use std::os::unix::fs::PermissionsExt as _;
        let sandbox = Sandbox::new()?;
        let dir = sandbox.file("run");
        fs::create_dir(&dir)?;
        fs::set_permissions(&dir, fs::Permissions::from_mode(mode))?;
        nix::unistd::chown(&dir, Some(owner.into()), None)?;
        let address = Address::Unix(dir.join("php.sock"));
        let mut pool = Pool::start(&target, sandbox, address)?;
        let former = pool.listening()?;
        for uid in [BOB.1, ALICE.1] {
            pool.configure(uid, &format!("listen.owner = {uid}"))?;
            pool.server.reload()?;
            ensure!(try_to_accept(&former) == 0, "{owner} {mode:o}: it accepts");
            let who = pool.who().map_err(|e| format!("{owner} {mode:o}: {e}: {}", pool.server.log.tail(8)))?;
            ensure!(who == uid.to_string(), "{owner} {mode:o}: {who}");
        }
        ensure!(fs::read_dir(&dir)?.count() == 1, "{owner} {mode:o}: files are left");
        pool.server.supervisor.signal(Signal::SIGTERM);
        pool.server.await_end(ms(15_000))?;
        ensure!(fs::read_dir(&dir)?.count() == 0, "{owner} {mode:o}: the socket is left");
    }
    Ok(())
}

/// A process of the former user takes `SO_REUSEPORT` from its socket without end, so that no other one could be bound beside it.
#[test]
fn the_former_user_cannot_keep_a_port() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let pool = Pool::start(&target, Sandbox::new()?, local_port()?)?;
    for uid in [BOB.1, ALICE.1] {
        let former = pool.listening()?;
        let socket = former.first().ok_or("no listening socket found")?;
        pool.configure(uid, "")?;
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| -> Outcome {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let _ = setsockopt(socket, sockopt::ReusePort, &false);
                    }
                });
            }
            let done = pool.server.reload();
            stop.store(true, Ordering::Relaxed);
            done
        })?;
        let who = pool.who()?;
        ensure!(who == uid.to_string(), "{who} in place of {uid}: {}", pool.server.log.tail(8));
    }
    pool.server.stop()
}

/// If the new socket cannot be bound all the same, the group keeps what it had, and the log says what to do.
#[test]
fn a_port_that_is_kept_is_reported() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let pool = Pool::start(&target, Sandbox::new()?, local_port()?)?;
    let former = pool.listening()?;
    let socket = former.first().ok_or("no listening socket found")?;
    // Sockets of different users cannot share a port.
    let give = |uid: u32| nix::unistd::fchown(socket, Some(uid.into()), None);
    give(ALICE.1)?;
    pool.configure(BOB.1, "")?;
    let mark = pool.server.log.mark();
    pool.server.supervisor.signal(Signal::SIGUSR2);
    pool.server.log.wait_for(mark, &["reload failed"], ms(20_000))?;
    let told = pool.server.log.since(mark);
    ensure!(told.contains("beside the socket of its former user") && told.contains("`ss -tlnp`"), "{told}");
    ensure!(pool.who()? == ALICE.1.to_string(), "alice's pool");
    give(0)?;
    pool.server.reload()?;
    ensure!(pool.who()? == BOB.1.to_string(), "bob's pool");
    pool.server.stop()
}

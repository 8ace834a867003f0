//! Owner, mode, access list and removal of sockets: root changes no file except its own socket.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use testkit::clock::ms;
use testkit::sandbox::Sandbox;
use testkit::seccomp::Refused;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stream::Address;
use testkit::{Outcome, ensure, turn};

use super::{
    ALICE, BOB, GLOBAL, all_or_nothing, dir_of, end, find, give, hello, marks, roots_dir, section, stage, start,
    starts_without_bob, swap,
};

/// The section of a pool whose socket lies in a directory of its user's.
pub(super) fn in_own_dir(pool: (&str, u32), lines: &str) -> String {
    let (name, _) = pool;
    let section = section(pool, 1, lines);
    section.replace(&format!("/{name}.sock"), &format!("/{name}/s/php.sock")).replace("0666", "0600")
}

/// Directories of alice's and bob's, and an unrelated service of root's.
pub(super) fn neighbourhood() -> Outcome<(Sandbox, PathBuf, UnixListener)> {
    let sandbox = Sandbox::new()?;
    for (name, uid) in [ALICE, BOB] {
        dir_of(&sandbox, name, uid)?;
        dir_of(&sandbox, &format!("{name}/s"), uid)?;
    }
    let service = roots_dir(&sandbox, "service", 0o755)?.join("php.sock");
    let listener = UnixListener::bind(&service)?;
    fs::set_permissions(&service, fs::Permissions::from_mode(0o600))?;
    Ok((sandbox, service, listener))
}

/// Bob's directory becomes a link to alice's, and to that of a service of root's. Reloads do not change the socket of
/// either, with an access list or without; neither the end nor a reload that no longer names bob's socket removes it.
#[test]
fn a_link_gives_nobody_elses_socket_away() -> Outcome {
    let Some(target) = find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let (sandbox, service, _listener) = neighbourhood()?;
    let conf =
        format!("{GLOBAL}{}{}", in_own_dir(ALICE, "listen.owner = 2001"), in_own_dir(BOB, "listen.owner = 2002"));
    let alices = sandbox.file("alice/s/php.sock");
    let place = Address::Unix(alices.clone());
    let mut server = Server::start_at(place, sandbox, &target, &Setup::new(1).whole(&conf))?;
    let before = [marks(&alices)?, marks(&service)?];
    let unchanged = |server: &Server, what: &str| -> Outcome {
        let now = [marks(&alices)?, marks(&service)?];
        ensure!(now == before, "{what}: {now:?} in place of {before:?}; {}", server.log.tail(8));
        hello(server, &alices)
    };
    for (place, victim) in [("alice", "alice/s"), ("root", "service")] {
        let link = server.sandbox.file("bob/s");
        swap(&link, &server.sandbox.file(victim), BOB.1)?;
        for lines in ["", "listen.acl_users = daemon", "listen.mode = 0666"] {
            server.sandbox.configure(&format!("{conf}\n{lines}\n"))?;
            let mark = server.log.mark();
            server.reload()?;
            unchanged(&server, &format!("{place}, {lines:?}"))?;
            let told = server.log.since(mark);
            ensure!(told.contains("[pool bob] another socket has taken the place of"), "{told}");
        }
        fs::remove_file(&link)?;
        fs::rename(link.with_extension("away"), &link)?;
        server.reload()?;
        hello(&server, &link.join("php.sock"))?;
    }
    swap(&server.sandbox.file("bob/s"), &server.sandbox.file("service"), BOB.1)?;
    server.sandbox.configure(&format!("{GLOBAL}{}", in_own_dir(ALICE, "listen.owner = 2001")))?;
    server.reload()?;
    unchanged(&server, "bob's pool has gone")?;
    end(&mut server)?;
    ensure!(marks(&service)? == before[1] && !alices.exists(), "at the end");
    Ok(())
}

/// The same link, made before the end, for each of the signals.
#[test]
fn the_end_removes_nobody_elses_socket() -> Outcome {
    let Some(target) = find() else { return Ok(()) };
    let _turn = turn::shared()?;
    for signal in [Signal::SIGTERM, Signal::SIGQUIT] {
        let (sandbox, service, _listener) = neighbourhood()?;
        let before = marks(&service)?;
        let conf = format!("{GLOBAL}{}{}", section(ALICE, 1, ""), in_own_dir(BOB, ""));
        let mut server = start(&target, sandbox, &conf)?;
        swap(&server.sandbox.file("bob/s"), &server.sandbox.file("service"), BOB.1)?;
        server.supervisor.signal(signal);
        server.await_end(ms(15_000))?;
        ensure!(marks(&service)? == before, "{signal}: {}", marks(&service)?);
        let own = server.sandbox.file("bob/s.away/php.sock");
        ensure!(own.symlink_metadata().is_ok(), "the socket at its new path was removed");
        ensure!(server.log.count("another file has taken the place of the socket") == 1, "{}", server.log.text());
    }
    Ok(())
}

/// At a start the link has no effect either: no dead socket of root's is removed there, and none is created.
#[test]
fn a_start_makes_and_removes_nothing_behind_a_link() -> Outcome {
    let Some(target) = find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let (sandbox, service, listener) = neighbourhood()?;
    drop(listener);
    swap(&sandbox.file("bob/s"), &sandbox.file("service"), BOB.1)?;
    let before = marks(&service)?;
    let conf = format!("{GLOBAL}{}{}", section(ALICE, 1, ""), in_own_dir(BOB, ""));
    let stage = stage(target, sandbox, &all_or_nothing(&conf))?;
    let line = format!("address '{}'", stage.sandbox.file("bob/s/php.sock").display());
    stage.run(&["-F"])?.expect(78, &[&line, "FPM initialization failed"])?;
    ensure!(marks(&service)? == before, "{}", marks(&service)?);
    fs::remove_file(&service)?;
    stage.run(&["-F"])?.expect(78, &[&line, "Permission denied (13)"])?;
    ensure!(fs::read_dir(stage.sandbox.file("service"))?.next().is_none(), "something was made there");
    let server = starts_without_bob(&stage.target, stage.sandbox, &conf, "Permission denied (13)")?;
    ensure!(fs::read_dir(server.sandbox.file("service"))?.next().is_none(), "something was made there");
    server.stop()
}

/// A dead socket in a user's directory is replaced, and a removed one is created again. Owner, group and mode are
/// those of the configuration, also in a directory of another user.
#[test]
fn sockets_in_a_users_directory_are_as_configured() -> Outcome {
    let Some(target) = find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let (sandbox, _, _listener) = neighbourhood()?;
    let path = sandbox.file("bob/s/php.sock");
    drop(UnixListener::bind(&path)?);
    give(&path, BOB.1)?;
    let conf = format!("{GLOBAL}{}{}", section(ALICE, 1, ""), in_own_dir(BOB, "listen.group = 33"));
    let mut server = start(&target, sandbox, &conf)?;
    let seen = |path: &Path| -> Outcome<(u32, u32, u32)> {
        let m = fs::symlink_metadata(path)?;
        Ok((m.uid(), m.gid(), m.mode() & 0o7777))
    };
    ensure!(seen(&path)? == (0, 33, 0o600), "{:?}", seen(&path)?);
    hello(&server, &path)?;
    server.sandbox.configure(&format!("{conf}\nlisten.owner = 1\nlisten.mode = 0640\n"))?;
    server.reload()?;
    ensure!(seen(&path)? == (1, 33, 0o640), "{:?}", seen(&path)?);
    fs::remove_file(&path)?;
    server.reload()?;
    hello(&server, &path)?;
    ensure!(server.log.count("was removed; a new one is made") == 1, "{}", server.log.text());
    end(&mut server)?;
    ensure!(path.symlink_metadata().is_err(), "it stays");
    Ok(())
}

/// Bob may not connect to a socket of root's in his directory. It is replaced if no process serves it, and otherwise it stays.
#[test]
fn a_socket_that_is_served_stays() -> Outcome {
    let Some(target) = find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let (sandbox, _, _listener) = neighbourhood()?;
    let path = sandbox.file("bob/s/php.sock");
    let live = UnixListener::bind(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    let before = marks(&path)?;
    let conf = format!("{GLOBAL}{}{}", section(ALICE, 1, ""), in_own_dir(BOB, ""));
    let server = starts_without_bob(&target, sandbox, &conf, "already listen")?;
    ensure!(marks(&path)? == before, "{} in place of {before}", marks(&path)?);
    drop(live);
    server.reload()?;
    hello(&server, &path)?;
    server.stop()
}

/// In a directory that every user may write to, such as /tmp, sockets work as elsewhere.
#[test]
fn sockets_in_a_sticky_directory() -> Outcome {
    let Some(target) = find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let tmp = roots_dir(&sandbox, "tmp", 0o1777)?;
    let conf =
        format!("{GLOBAL}{}", section(ALICE, 1, "listen.owner = 2001").replace("/alice.sock", "/tmp/alice.sock"));
    let path = tmp.join("alice.sock");
    let mut server = Server::start_at(Address::Unix(path.clone()), sandbox, &target, &Setup::new(1).whole(&conf))?;
    for mode in [0o600, 0o660] {
        server.sandbox.configure(&format!("{conf}\nlisten.mode = {mode:04o}\n"))?;
        server.reload()?;
        let now = fs::symlink_metadata(&path)?;
        ensure!((now.uid(), now.mode() & 0o777) == (2001, mode), "{} {:o}", now.uid(), now.mode());
        hello(&server, &path)?;
    }
    end(&mut server)?;
    ensure!(path.symlink_metadata().is_err(), "it stays");
    Ok(())
}

/// If the kernel cannot identify our file, its owner and mode stay those that it was created with, or the start is
/// refused.
#[test]
fn without_sock_diag_owners_are_changed_in_roots_directories_only() -> Outcome {
    let Some(target) = find() else {
        return Ok(());
    };
    let _turn = turn::shared()?;
    let blind = [Refused::call(libc::SYS_socket).third(libc::NETLINK_SOCK_DIAG)];
    let (sandbox, _, _listener) = neighbourhood()?;
    let path = sandbox.file("bob/s/php.sock");
    // Users without an entry have no group of their own.
    let bob = in_own_dir(BOB, "listen.owner = 2002\nlisten.group = nogroup");
    let conf = format!("{GLOBAL}{}{bob}", section(ALICE, 1, "listen.owner = 2001"));
    let setup = Setup::new(1).whole(&conf).refused(&blind);
    let mut server = Server::start_at(Address::Unix(sandbox.file("alice.sock")), sandbox, &target, &setup)?;
    let owners = [&server.sandbox.file("alice.sock"), &path].map(|path| fs::symlink_metadata(path).map(|m| m.uid()));
    ensure!(matches!(owners, [Ok(2001), Ok(2002)]), "{owners:?}");
    hello(&server, &path)?;
    server.sandbox.configure(&format!("{conf}\nlisten.owner = 2001\n"))?;
    let mark = server.log.mark();
    server.reload()?;
    let told = server.log.since(mark);
    ensure!(
        told.contains("[pool bob] cannot change the owner or mode of the socket") && told.contains("sock_diag"),
        "{told}"
    );
    ensure!(fs::symlink_metadata(&path)?.uid() == 2002, "its owner has changed");
    end(&mut server)?;
    ensure!(path.symlink_metadata().is_err(), "it stays");
    Ok(())
}

/// A file that is not a socket stays, also in a user's directory.
#[test]
fn what_is_no_socket_stays_in_a_users_directory() -> Outcome {
    let Some(target) = find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let (sandbox, service, _listener) = neighbourhood()?;
    let path = sandbox.file("bob/s/php.sock");
    swap(&path, &service, BOB.1)?;
    let before = marks(&service)?;
    let conf = format!("{GLOBAL}{}{}", section(ALICE, 1, ""), in_own_dir(BOB, ""));
    let unchanged = || -> Outcome {
        let is_socket = fs::symlink_metadata(&service)?.file_type().is_socket();
        ensure!(marks(&service)? == before && is_socket, "it was changed");
        ensure!(fs::symlink_metadata(&path)?.is_symlink(), "the link has gone");
        Ok(())
    };
    let stage = stage(target, sandbox, &all_or_nothing(&conf))?;
    stage.run(&["-F"])?.expect(78, &["php.sock", "FPM initialization failed"])?;
    unchanged()?;
    let server = starts_without_bob(&stage.target, stage.sandbox, &conf, "php.sock")?;
    unchanged()?;
    server.stop()
}

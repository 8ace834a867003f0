//! A user takes something away during a reload and gives it back: later reloads work as before.

use std::fs::{self, File, Permissions};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};

use nix::sys::signal::Signal;
use testkit::clock::{ms, wait_until};
use testkit::load::Plan;
use testkit::log::Mark;
use testkit::server::Server;
use testkit::stream::Address;
use testkit::{Outcome, ensure, turn};

use super::sockets::{in_own_dir, neighbourhood};
use super::{ALICE, BOB, GLOBAL, all_or_nothing, dir_of, end, find, hello, marks, roots_dir, section, start, swap};

/// A reload that fails.
fn failed_reload(server: &Server) -> Outcome<String> {
    let mark = server.log.mark();
    server.supervisor.signal(Signal::SIGUSR2);
    await_failure(server, mark)
}

/// A reload that fails because of a change after its check has succeeded.
fn failed_by(server: &Server, change: impl FnOnce() -> Outcome) -> Outcome<String> {
    let (mark, gate, file) = (server.log.mark(), server.sandbox.file("gate"), server.sandbox.file("fpm.conf"));
    let conf = fs::read_to_string(&file)?;
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU)?;
    fs::write(&file, format!("{conf}\ninclude = {}\n", gate.display()))?;
    // It succeeds while the FIFO is being read, and holds that up.
    let open = || {
        let mut options = fs::OpenOptions::new();
        let options = options.write(true).custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits());
        let mut found = None;
        wait_until("a reader of the configuration", ms(20_000), || {
            found = options.open(&gate).ok();
            found.is_some()
        })?;
        Outcome::Ok(found)
    };
    server.supervisor.signal(Signal::SIGUSR2);
    drop(open()?);
    server.log.wait_for(mark, &["reloading: execvp"], ms(20_000))?;
    let next = open()?;
    let changed = change();
    drop(next);
    changed?;
    let told = await_failure(server, mark)?;
    fs::write(&file, conf)?;
    fs::remove_file(&gate)?;
    Ok(told)
}

fn await_failure(server: &Server, mark: Mark) -> Outcome<String> {
    // Either all groups keep what they had, or the other one has the new generation.
    let ends = |told: &str| told.contains("ERROR: reload failed: ") || told.contains("ready to handle connections");
    let over = |told: &str| told.contains("reload failed: ") && told.contains("fpm is running") && ends(told);
    wait_until("the reload's failure", ms(20_000), || over(&server.log.since(mark)))?;
    Ok(server.log.since(mark))
}

/// The log has these lines since then, and no socket was created.
fn expect_kept(server: &Server, mark: Mark, lines: &[&str]) -> Outcome {
    let told = server.log.since(mark);
    ensure!(lines.iter().all(|line| told.contains(line)) && !told.contains("was gone"), "{told}");
    ensure!(!told.contains("ERROR"), "{told}");
    Ok(())
}

/// During a reload bob's directory of sockets is missing, inaccessible, or a link to a directory that he may not
/// enter. When it is back, or meanwhile, reloads succeed with the same socket; clients that reach it by another path
/// notice nothing.
#[test]
fn a_directory_that_was_away_for_a_reload() -> Outcome {
    let Some(target) = find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let (sandbox, ..) = neighbourhood()?;
    let closed = roots_dir(&sandbox, "closed", 0o700)?;
    let conf = format!("{GLOBAL}{}{}", section(ALICE, 1, ""), in_own_dir(BOB, "listen.mode = 0666"));
    let mut server = start(&target, sandbox, &conf)?;
    let [directory, away] = ["bob/s", "bob/s.away"].map(|name| server.sandbox.file(name));
    let socket = directory.join("php.sock");
    let before = marks(&socket)?;
    let held = File::open(&directory)?;
    let way = format!("/proc/{}/fd/{}/php.sock", std::process::id(), held.as_raw_fd());
    let client = || super::super::hello(&Address::Unix(way.clone().into()), &server.sandbox);
    let load = Plan::clients(2).pause(ms(5)).start(|_| Box::new(client()));

    for _ in 0..2 {
        fs::rename(&directory, &away)?;
        let told = failed_reload(&server)?;
        ensure!(told.contains("was removed; a new one is made") && told.contains("No such file"), "{told}");
        fs::rename(&away, &directory)?;
        let mark = server.log.mark();
        server.reload()?;
        expect_kept(&server, mark, &["using inherited socket fd=", &format!(", \"{}\"", socket.display())])?;
    }

    let warning = format!("[pool bob] cannot examine the socket '{}': Permission denied (13)", socket.display());
    for link in [false, true] {
        if link {
            swap(&directory, &closed, BOB.1)?;
        } else {
            fs::set_permissions(&directory, Permissions::from_mode(0o000))?;
        }
        let mark = server.log.mark();
        server.reload()?;
        expect_kept(&server, mark, &[&warning])?;
        if link {
            fs::remove_file(&directory)?;
            fs::rename(&away, &directory)?;
        } else {
            fs::set_permissions(&directory, Permissions::from_mode(0o755))?;
        }
        let mark = server.log.mark();
        server.reload()?;
        expect_kept(&server, mark, &[])?;
    }
    load.stop().expect_no_failure()?;
    ensure!(marks(&socket)? == before, "{} in place of {before}", marks(&socket)?);
    hello(&server, &socket)?;
    end(&mut server)?;
    ensure!(socket.symlink_metadata().is_err(), "it stays");
    Ok(())
}

/// A reload of all or none (`process.start_failure = stop`) that fails because a directory of logs or of sockets is missing leaves
/// no socket of its own. The next reload succeeds, and existing sockets stay the same.
#[test]
fn a_reload_that_failed_leaves_no_socket() -> Outcome {
    let Some(target) = find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let (sandbox, ..) = neighbourhood()?;
    dir_of(&sandbox, "bob/logs", BOB.1)?;
    let (alice, bob) = (section(ALICE, 1, ""), in_own_dir(BOB, "access.log = {{DIR}}/bob/logs/a.log"));
    let mut server = start(&target, sandbox, &format!("{GLOBAL}{alice}{bob}"))?;
    let [socket, gone, new] = ["bob/s/php.sock", "alice.sock", "carol.sock"].map(|name| server.sandbox.file(name));
    let [logs, sockets, away] = ["bob/logs", "bob/s", "bob/away"].map(|name| server.sandbox.file(name));
    let before = marks(&socket)?;
    let all = format!("{GLOBAL}{alice}{}{bob}", section(("carol", 2003), 1, ""));
    server.sandbox.configure(&all_or_nothing(&all))?;
    fs::remove_file(&gone)?;
    for directory in [logs, sockets] {
        let told = failed_by(&server, || Ok(fs::rename(&directory, &away)?))?;
        ensure!(told.contains("ERROR: reload failed: ") && told.contains("No such file or directory (2)"), "{told}");
        ensure!(!new.exists() && !gone.exists(), "a socket stays: {told}");
        fs::rename(&away, &directory)?;
        hello(&server, &socket)?;
    }
    ensure!(server.log.count("alice.sock' was removed; a new one is made") == 2, "{}", server.log.text());
    server.reload()?;
    for path in [&socket, &gone, &new] {
        hello(&server, path)?;
    }
    ensure!(marks(&socket)? == before, "{} in place of {before}", marks(&socket)?);
    end(&mut server)?;
    ensure!([&socket, &gone, &new].iter().all(|path| path.symlink_metadata().is_err()), "one stays");
    Ok(())
}

/// The same with the default: bob's group keeps its generation, and its new socket is not left. The other groups get theirs.
#[test]
fn a_group_whose_reload_failed_leaves_no_socket() -> Outcome {
    let Some(target) = find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let (sandbox, ..) = neighbourhood()?;
    dir_of(&sandbox, "bob/t", BOB.1)?;
    let bob = in_own_dir(BOB, "");
    let mut server = start(&target, sandbox, &format!("{GLOBAL}{}{bob}", section(ALICE, 1, "")))?;
    let [socket, next, gone, new] =
        ["bob/s/php.sock", "bob/next.sock", "bob/t/php.sock", "carol.sock"].map(|name| server.sandbox.file(name));
    let [missing, away] = ["bob/t", "bob/away"].map(|name| server.sandbox.file(name));
    let before = marks(&socket)?;
    let more = "listen = {{DIR}}/bob/s/php.sock, {{DIR}}/bob/next.sock, {{DIR}}/bob/t/php.sock";
    let carol = section(("carol", 2003), 1, "");
    server.sandbox.configure(&format!("{GLOBAL}{}{carol}{bob}{more}\n", section(ALICE, 1, "")))?;
    let told = failed_by(&server, || Ok(fs::rename(&missing, &away)?))?;
    let line = "ERROR: [group bob] reload failed: ";
    let told = told.lines().find(|line_of| line_of.contains(line)).ok_or_else(|| format!("no {line}: {told}"))?;
    ensure!(told.contains("No such file or directory (2); its generation 1 serves on"), "{told}");
    ensure!(!next.exists() && !away.join("php.sock").exists(), "a socket stays: {told}");
    ensure!(server.zygote_of("bob")?.title() == "php-fpm: zygote bob (generation 1)", "{:?}", server.zygotes_of("bob"));
    for path in [&socket, &new, &server.sandbox.file("alice.sock")] {
        hello(&server, path)?;
    }
    ensure!(marks(&socket)? == before, "{} in place of {before}", marks(&socket)?);
    fs::rename(&away, &missing)?;
    server.reload()?;
    for path in [&socket, &next, &gone] {
        hello(&server, path)?;
    }
    end(&mut server)?;
    ensure!([&socket, &next, &gone, &new].iter().all(|path| path.symlink_metadata().is_err()), "one stays");
    Ok(())
}

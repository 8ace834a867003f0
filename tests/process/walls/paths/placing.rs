//! A reload has given a pool another user, and the directory of its socket hangs before the file of the new socket has its name.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::{Request, ask_once};
use testkit::server::Server;
use testkit::stream::Address;
use testkit::{Outcome, ensure, turn};

use super::hanging::{Hung, bob_with_mount};
use super::{ALICE, BOB, GLOBAL, find, hello_of, section, start, swap};

/// Bob's pool is at a socket in a directory of his. Alice's has nothing to do with that.
fn conf(uid: u32) -> String {
    let bob = section((BOB.0, uid), 1, "").replace("/bob.sock", "/bob/s/php.sock");
    format!("{GLOBAL}{}{bob}", section(ALICE, 1, ""))
}

fn has_temporary(dir: &Path) -> bool {
    let mut entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.any(|entry| entry.file_name().to_string_lossy().starts_with(".cgi-fpm-"))
}

/// After a reload that gives bob's pool the uid 2003; the new socket still has its temporary name.
fn halfway() -> Outcome<Option<Hung<Server>>> {
    let Some(target) = find() else { return Ok(None) };
    let Some((sandbox, silent)) = bob_with_mount(&["bob/s"])? else { return Ok(None) };
    sandbox.put("www/who.php", "<?php echo posix_geteuid();\n")?;
    let hung = Hung { silent, server: start(&target, sandbox, &conf(BOB.1))? };
    let server = &hung.server;
    let dir = server.sandbox.file("bob/s");
    server.sandbox.configure(&conf(2003))?;
    let mark = server.log.mark();
    server.supervisor.signal(Signal::SIGUSR2);
    wait_until("the new socket", ms(20_000), || has_temporary(&dir))?;
    swap(&dir, &server.sandbox.file("bob/mount/deep"), BOB.1)?;
    server.log.wait_for(mark, &["ready to handle connections"], ms(20_000))?;
    ensure!(has_temporary(&dir.with_extension("away")), "the directory was replaced too late");
    Ok(Some(hung))
}

/// Signals are answered at once while the directory hangs, and when the supervisor gives up.
#[test]
fn a_socket_without_its_name_delays_no_signal() -> Outcome {
    let _turn = turn::shared()?;
    let Some(hung) = halfway()? else { return Ok(()) };
    let server = &hung.server;
    while server.log.count("could not take the path") == 0 {
        let heard = server.hears(ms(60_000))?;
        ensure!(heard < bar(ms(100)), "SIGUSR1 was heard after {heard:?}: {}", server.log.tail(8));
        hello_of(server, ALICE)?;
        std::thread::sleep(ms(20));
    }
    Ok(())
}

/// The next reload waits a little for the change of names, but no longer than that. If it comes first, its supervisor goes on with it.
#[test]
fn a_reload_loses_no_socket() -> Outcome {
    let _turn = turn::shared()?;
    let Some(hung) = halfway()? else { return Ok(()) };
    let server = &hung.server;
    let mark = server.log.mark();
    server.supervisor.signal(Signal::SIGUSR2);
    server.log.wait_for(mark, &["Reloading in progress"], ms(20_000))?;
    // The child that renames the file has no more to do with that.
    let dir = server.sandbox.file("bob/s");
    fs::remove_file(&dir)?;
    fs::rename(dir.with_extension("away"), &dir)?;
    server.log.wait_for(mark, &["ready to handle connections"], bar(ms(20_000)))?;
    let (who, socket) = (Request::get(&server.sandbox.page("who.php")), dir.join("php.sock"));
    let uid = ask_once(&Address::Unix(socket), &who, ms(5000))?;
    ensure!(uid == "2003", "{uid}: {}", server.log.tail(12));
    ensure!(!has_temporary(&dir), "a file is left");
    Ok(())
}

//! Files and directories on a user's FUSE mount: the program behind it may answer the open and then not the write, so none is opened.

use std::fs;
use std::time::Instant;

use nix::sys::signal::Signal;
use testkit::clock::{bar, ms};
use testkit::fastcgi::{Request, ask_once};
use testkit::sandbox::Sandbox;
use testkit::stage::Stage;
use testkit::stream::Address;
use testkit::{Outcome, ensure, turn};

use super::hanging::{Hung, Silent};
use super::{
    ALICE, BOB, GLOBAL, all_or_nothing, dir_of, dirs_of_bobs, find, give, hello_of, section, stage, start,
    starts_without_bob,
};

/// Files of bob's: one in his directory, one in a directory of root's.
const FILES: [&str; 2] = ["bob/logs/a.log", "roots/a.log"];

impl Hung<Stage> {
    /// Starts the server of that configuration: bob's group waits for what is on a mount of his.
    fn starts_without_bob(self, conf: &str) -> Outcome {
        let (begun, reason) = (Instant::now(), "it is on a FUSE mount of user 2002");
        let server = starts_without_bob(&self.server.target, self.server.sandbox, conf, reason)?;
        let mut hung = Hung { silent: self.silent, server };
        ensure!(begun.elapsed() < bar(ms(5000)), "it took {:?}", begun.elapsed());
        hung.server.supervisor.signal(Signal::SIGTERM);
        hung.server.await_end(bar(ms(5000))).map(drop)
    }
}

/// Mounts on `FILES`.
fn on_files(sandbox: &Sandbox) -> Outcome<Option<Vec<Silent>>> {
    for file in FILES {
        fs::write(sandbox.file(file), "")?;
        give(&sandbox.file(file), BOB.1)?;
    }
    Silent::mount_all(sandbox, &FILES)
}

/// A file that is itself such a mount is not opened either, wherever it lies: the program may answer the open, and
/// then not the write.
#[test]
fn nothing_is_opened_on_a_file_that_is_a_users_fuse_mount() -> Outcome {
    let Some(target) = find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = dirs_of_bobs()?;
    let Some(silent) = on_files(&sandbox)? else { return Ok(()) };
    let hung = Hung { silent, server: stage(target, sandbox, "")? };
    let stage = &hung.server;
    for place in FILES {
        for (global, pool, reason) in [
            ("", "access.log = {{DIR}}/PLACE", "it is on a FUSE mount of user 2002"),
            ("", "slowlog = {{DIR}}/PLACE\nrequest_slowlog_timeout = 1s", "it is on a FUSE mount of user 2002"),
            ("", "listen = {{DIR}}/PLACE", "it is on a FUSE mount of user 2002"),
            ("error_log = {{DIR}}/PLACE", "", "it is on a FUSE mount of user 2002"),
            ("pid = {{DIR}}/PLACE", "", "Device or resource busy"),
        ] {
            let conf = format!("{GLOBAL}{global}\n{}{}", section(ALICE, 1, ""), section(BOB, 1, pool));
            let conf = conf.replace("PLACE", place);
            // Otherwise the other group starts without this one.
            stage.sandbox.configure(&all_or_nothing(&conf))?;
            let begun = Instant::now();
            stage.run(&["-F"])?.expect(78, &[reason]).map_err(|e| format!("{global}{pool} {place}: {e}"))?;
            ensure!(begun.elapsed() < bar(ms(5000)), "{global}{pool} {place}: {:?}", begun.elapsed());
        }
    }
    let lines = "listen = {{DIR}}/bob/logs/a.log";
    hung.starts_without_bob(&format!("{GLOBAL}{}{}", section(ALICE, 1, ""), section(BOB, 1, lines)))
}

/// The same at run time: at SIGUSR1, at an entry of a slow log, and at the end.
#[test]
fn a_running_server_opens_no_file_that_is_a_users_fuse_mount() -> Outcome {
    let Some(target) = find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = dirs_of_bobs()?;
    let lines = "access.log = {{DIR}}/bob/logs/a.log\nslowlog = {{DIR}}/roots/a.log\nrequest_slowlog_timeout = 1s";
    let conf = format!("{GLOBAL}{}{}", section(ALICE, 1, ""), section(BOB, 1, lines));
    let server = start(&target, sandbox, &conf)?;
    let Some(silent) = on_files(&server.sandbox)? else { return server.stop() };
    let mut hung = Hung { silent, server };
    let server = &mut hung.server;
    let (mark, begun) = (server.log.mark(), Instant::now());
    server.supervisor.signal(Signal::SIGUSR1);
    let refused = "a.log): it is on a FUSE mount of user 2002";
    server.log.wait_for(mark, &[refused, "unable to re-opened access log file"], ms(5000))?;
    let slow = Request::get(&server.sandbox.page("work.php")).param("QUERY_STRING", "ms=1600");
    ask_once(&Address::Unix(server.sandbox.file("bob.sock")), &slow, ms(8000))?;
    server.log.wait_for(mark, &["unable to open slowlog", refused], ms(5000))?;
    hello_of(server, ALICE)?;
    ensure!(begun.elapsed() < bar(ms(8000)), "it took {:?}", begun.elapsed());
    server.supervisor.signal(Signal::SIGTERM);
    server.await_end(bar(ms(5000)))?;
    Ok(())
}

/// No file on the mount itself is opened.
#[test]
fn nothing_is_opened_on_a_users_fuse_mount() -> Outcome {
    let Some(target) = find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    for place in ["bob", "bob/mount", "mount"] {
        dir_of(&sandbox, place, BOB.1)?;
    }
    let Some(silent) = Silent::mount_all(&sandbox, &["bob/mount", "mount"])? else { return Ok(()) };
    let conf = |lines: &str| format!("{GLOBAL}{}{}", section(ALICE, 1, ""), section(BOB, 1, lines));
    let hung = Hung { silent, server: stage(target, sandbox, &conf(""))? };
    let stage = &hung.server;
    for (line, reason) in [
        ("access.log = {{DIR}}/bob/mount/access.log", "it is on a FUSE mount of user 2002"),
        ("access.log = {{DIR}}/mount/access.log", "it is on a FUSE mount of user 2002"),
        ("listen = {{DIR}}/bob/mount/php.sock", "it is on a FUSE mount of user 2002"),
        ("chdir = {{DIR}}/bob/mount/deep", "does not exist or is not a directory"),
    ] {
        // Otherwise the other group starts without this one.
        stage.sandbox.configure(&all_or_nothing(&conf(line)))?;
        let begun = Instant::now();
        stage.run(&["-F"])?.expect(78, &[reason])?;
        ensure!(begun.elapsed() < bar(ms(5000)), "{line}: {:?}", begun.elapsed());
    }
    hung.starts_without_bob(&conf("listen = {{DIR}}/bob/mount/php.sock"))
}

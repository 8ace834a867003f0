//! Logs in directories of users: whose they are, and which files are none.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::{Request, ask_once};
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::{Outcome, ensure, turn};

use super::{
    ALICE, BOB, GLOBAL, address, all_or_nothing, bobs_logs, dir_of, find, give, hello_of, marks, roots_dir, section,
    stage, start,
};

/// The files in bob's directory that a configuration can name: lines of `[global]`, lines of his pool, and the file's
/// name.
pub(super) const KINDS: [(&str, &str, &str); 4] = [
    ("error_log = {{DIR}}/bob/logs/a.log", "", "failed to open error_log"),
    ("", "access.log = {{DIR}}/bob/logs/a.log", "failed to open access log"),
    ("", "slowlog = {{DIR}}/bob/logs/a.log\nrequest_slowlog_timeout = 1s", "Unable to create or open slowlog"),
    ("pid = {{DIR}}/bob/logs/a.log", "", "Unable to create the PID file"),
];

pub(super) fn conf((global, pool, _): (&str, &str, &str)) -> String {
    format!("{GLOBAL}{global}\n{}{}", section(ALICE, 1, ""), section(BOB, 1, pool))
}

/// A request to bob's pool that takes long enough for an entry in the slow log.
pub(super) fn ask_slowly(server: &Server) -> Outcome {
    let slow = Request::get(&server.sandbox.page("work.php")).param("QUERY_STRING", "ms=1600");
    ask_once(&address(server, BOB), &slow, ms(8000)).map(drop)
}

/// A FIFO of a user's, or in a user's directory, is no log: a process that reads it can hold the kernel's lock of it, and the
/// supervisor would wait for the lock when it writes or closes. It is refused at the start, and at an entry of the slow log.
#[test]
fn a_fifo_of_a_users_is_no_log() -> Outcome {
    let Some(target) = find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let refused = "it is a FIFO of a user";
    for kind in KINDS.into_iter().filter(|(_, _, line)| !line.contains("PID file")) {
        let sandbox = bobs_logs()?;
        let fifo = sandbox.file("bob/logs/a.log");
        nix::unistd::mkfifo(&fifo, Mode::S_IRWXU)?;
        give(&fifo, BOB.1)?;
        let stage = stage(target.clone(), sandbox, &all_or_nothing(&conf(kind)))?;
        stage.run(&["-F"])?.expect(78, &[kind.2, refused]).map_err(|e| format!("{kind:?}: {e}"))?;
    }
    let sandbox = bobs_logs()?;
    let roots = roots_dir(&sandbox, "roots", 0o755)?.join("slow.log");
    let pool = "slowlog = {{DIR}}/roots/slow.log\nrequest_slowlog_timeout = 1s";
    let server = start(&target, sandbox, &conf(("", pool, "")))?;
    for (owner, allowed) in [(BOB.1, false), (0, true)] {
        let _ = fs::remove_file(&roots);
        nix::unistd::mkfifo(&roots, Mode::S_IRWXU)?;
        give(&roots, owner)?;
        let mark = server.log.mark();
        ask_slowly(&server)?;
        server.log.wait_for(mark, &["executing too slow"], ms(5000))?;
        std::thread::sleep(ms(300));
        let told = server.log.since(mark);
        ensure!(told.contains(refused) != allowed, "{owner}: {told}");
    }
    // Root's FIFO has no reader: neither an entry for it nor opening it delays any process.
    for _ in 0..2 {
        let begun = Instant::now();
        ask_slowly(&server)?;
        ensure!(begun.elapsed() < bar(ms(2100)), "a slow request took {:?}", begun.elapsed());
        let heard = server.hears(ms(5000))?;
        ensure!(heard < bar(ms(100)), "SIGUSR1 was heard after {heard:?}");
        let begun = Instant::now();
        hello_of(&server, BOB)?;
        hello_of(&server, ALICE)?;
        ensure!(begun.elapsed() < bar(ms(500)), "two requests took {:?}", begun.elapsed());
        let begun = Instant::now();
        server.reload()?;
        ensure!(begun.elapsed() < bar(ms(5000)), "a reload took {:?}", begun.elapsed());
    }
    server.stop()
}

/// Bob moves a file of root's, which lies in his directory, to the path of a log, and the path of a former log of root's as well. Root
/// writes no log into it, and bob's workers get no descriptor of it.
#[test]
fn a_file_of_roots_that_was_moved_is_no_log() -> Outcome {
    let Some(target) = find() else { return Ok(()) };
    let _turn = turn::shared()?;
    for (global, pool, said) in KINDS.into_iter().filter(|(_, _, said)| !said.contains("PID")) {
        let sandbox = bobs_logs()?;
        let [log, moved] = ["bob/logs/a.log", "bob/logs/roots"].map(|name| sandbox.file(name));
        fs::write(&moved, "root's\n")?;
        fs::set_permissions(&moved, fs::Permissions::from_mode(0o640))?;
        fs::rename(&moved, &log)?;
        let before = marks(&log)?;
        if !global.is_empty() {
            let stage = stage(target.clone(), sandbox, &conf((global, pool, said)))?;
            stage.run(&["-F"])?.expect(78, &[said, "Permission denied (13)"])?;
            ensure!(marks(&log)? == before, "{said}: {}", marks(&log)?);
            continue;
        }
        let aside = sandbox.file("bob/logs/a.log.root");
        let server = start(&target, sandbox, &conf((global, pool, said)))?;
        ask_slowly(&server)?;
        wait_until("a line in the log", ms(5000), || fs::metadata(&log).is_ok_and(|m| m.len() > 0))?;
        ensure!(fs::metadata(&log)?.uid() == BOB.1, "the log is {}", marks(&log)?);
        ensure!(marks(&aside)? == before, "{said}: {} in place of {before}", marks(&aside)?);
        let has = |fd: &String| fd.contains("a.log.root");
        for process in server.supervisor.descendants() {
            ensure!(!process.fds().values().any(has), "{}: {:?}", process.title(), process.fds());
        }
        let told = "belonged to root, in a directory of a user";
        ensure!(server.log.count(told) > 0, "{}", server.log.text());
        server.stop()?;
    }
    Ok(())
}

/// Logs in a user's directory belong to that user; a log that root once made there gets another name.
#[test]
fn logs_in_a_users_directory_work() -> Outcome {
    let Some(target) = find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = bobs_logs()?;
    let logs = sandbox.file("bob/logs");
    fs::write(logs.join("old.log"), "old\n")?;
    fs::set_permissions(logs.join("old.log"), fs::Permissions::from_mode(0o600))?;
    let pool = "access.log = {{DIR}}/bob/logs/old.log\nslowlog = {{DIR}}/bob/logs/slow\nrequest_slowlog_timeout = 5s";
    let carol = "[carol]\nuser = 2002\ngroup = 2002\nlisten = {{DIR}}/carol.sock\nlisten.mode = 0666\npm = static\n\
                 pm.max_children = 1\naccess.log = {{DIR}}/bob/logs/new.log\n";
    let server = start(&target, sandbox, &format!("{}{carol}", conf(("", pool, ""))))?;
    hello_of(&server, BOB)?;
    hello_of(&server, ("carol", 0))?;
    let [old, new] = ["old.log", "new.log"].map(|name| logs.join(name));
    let owners = [fs::metadata(&old)?.uid(), fs::metadata(&new)?.uid()];
    ensure!(owners == [BOB.1, BOB.1], "{owners:?}");
    ensure!(fs::read_to_string(logs.join("old.log.root"))? == "old\n", "the former log");
    for (path, count) in [(&old, 1), (&new, 1)] {
        let text = fs::read_to_string(path)?;
        ensure!(text.lines().count() == count && text.contains("/hello.php"), "{}: {text}", path.display());
    }
    let mark = server.log.mark();
    fs::rename(&old, logs.join("older.log"))?;
    server.supervisor.signal(Signal::SIGUSR1);
    server.log.wait_for(mark, &["access log file re-opened"], ms(5000))?;
    hello_of(&server, BOB)?;
    ensure!(fs::metadata(&old)?.uid() == BOB.1 && fs::read_to_string(&old)?.contains("/hello.php"), "the new one");
    server.reload()?;
    server.stop()
}

/// A directory of root's inside a user's directory is written to as before, and a warning says that the user could
/// replace it.
#[test]
fn a_directory_of_roots_in_a_users_is_warned_of() -> Outcome {
    let Some(target) = find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    dir_of(&sandbox, "bob", BOB.1)?;
    roots_dir(&sandbox, "bob/logs", 0o755)?;
    let log = sandbox.file("bob/logs/access.log");
    let server = start(&target, sandbox, &conf(("", "access.log = {{DIR}}/bob/logs/access.log", "")))?;
    hello_of(&server, BOB)?;
    ensure!(fs::metadata(&log)?.uid() == 0 && fs::read_to_string(&log)?.contains("/hello.php"), "no line in it");
    let said = format!("WARNING: [pool bob] the path '{}' leads through a directory of user 2002", log.display());
    ensure!(server.log.count(&said) == 1, "{}", server.log.text());
    server.stop()
}

/// In a directory that every user may write to, such as /tmp, files of root and of the pool's user are accepted, and
/// files of other users are not.
#[test]
fn strangers_files_in_a_sticky_directory_are_refused() -> Outcome {
    let Some(target) = find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let tmp = roots_dir(&sandbox, "tmp", 0o1777)?;
    let pool = "access.log = {{DIR}}/tmp/access.log\nslowlog = {{DIR}}/tmp/slow.log\nrequest_slowlog_timeout = 5s";
    let conf = conf(("pid = {{DIR}}/tmp/pid", pool, ""));
    fs::write(tmp.join("access.log"), "")?;
    give(&tmp.join("access.log"), BOB.1)?;
    let server = start(&target, sandbox, &conf)?;
    hello_of(&server, BOB)?;
    server.reload()?;
    let owners = ["access.log", "slow.log", "pid"].map(|name| fs::metadata(tmp.join(name)).map(|m| m.uid()));
    ensure!(matches!(owners, [Ok(BOBS), Ok(0), Ok(0)]), "{owners:?}");
    give(&tmp.join("access.log"), ALICE.1)?;
    let mark = server.log.mark();
    server.supervisor.signal(Signal::SIGUSR1);
    server.log.wait_for(mark, &["it belongs to user 2001 and not to root"], ms(5000))?;
    server.stop()
}

const BOBS: u32 = BOB.1;

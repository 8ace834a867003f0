//! Logs and the pid file: root neither appends to nor creates a file through a user's symbolic or hard link.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use testkit::clock::{bar, ms};
use testkit::fastcgi::{Request, ask_once};
use testkit::log::Log;
use testkit::sandbox::Sandbox;
use testkit::stage::{command_in, run_to_end};
use testkit::stream::Address;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::{
    ALICE, BOB, GLOBAL, all_or_nothing, dir_of, end, find, give, hello_of, marks, roots_dir, section, stage, start,
    starts_without_bob, swap,
};

/// The files in bob's directory that a configuration can name: lines of `[global]`, lines of his pool, and the file's
/// name.
const KINDS: [(&str, &str, &str); 4] = [
    ("error_log = {{DIR}}/bob/logs/a.log", "", "failed to open error_log"),
    ("", "access.log = {{DIR}}/bob/logs/a.log", "failed to open access log"),
    ("", "slowlog = {{DIR}}/bob/logs/a.log\nrequest_slowlog_timeout = 1s", "Unable to create or open slowlog"),
    ("pid = {{DIR}}/bob/logs/a.log", "", "Unable to create the PID file"),
];

fn conf((global, pool, _): (&str, &str, &str)) -> String {
    format!("{GLOBAL}{global}\n{}{}", section(ALICE, 1, ""), section(BOB, 1, pool))
}

fn bobs_logs() -> Outcome<Sandbox> {
    let sandbox = Sandbox::new()?;
    dir_of(&sandbox, "bob", BOB.1)?;
    dir_of(&sandbox, "bob/logs", BOB.1)?;
    Ok(sandbox)
}

/// A symbolic link instead of a log or of its directory, or a hard link to a file of root's: each is refused at the
/// start, and the file is unchanged. The pid file replaces the file of its name, and no other.
#[test]
fn a_start_follows_no_link_of_a_users() -> Outcome {
    let Some(target) = find() else { return Ok(()) };
    let _turn = turn::shared()?;
    for kind in KINDS {
        for way in ["link", "directory", "name"] {
            refused_at_start(target.clone(), kind, way).map_err(|e| format!("{kind:?} by a {way}: {e}"))?;
        }
    }
    Ok(())
}

fn refused_at_start(target: Target, kind: (&str, &str, &str), way: &str) -> Outcome {
    let sandbox = bobs_logs()?;
    let victim = roots_dir(&sandbox, "roots", 0o755)?.join("a.log");
    fs::write(&victim, "root's\n")?;
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o600))?;
    let log = sandbox.file("bob/logs/a.log");
    match way {
        "link" => swap(&log, &victim, BOB.1)?,
        "directory" => swap(&sandbox.file("bob/logs"), &sandbox.file("roots"), BOB.1)?,
        _ => fs::hard_link(&victim, &log)?,
    }
    let before = marks(&victim)?;
    let stage = stage(target, sandbox, &all_or_nothing(&conf(kind)))?;
    if kind.2.contains("PID") && way != "directory" {
        // The link with that name is replaced.
        let mut child = stage.command(&["-F"]).spawn()?;
        let written = testkit::clock::wait_until("the pid file", ms(10_000), || {
            fs::symlink_metadata(&log).is_ok_and(|m| m.is_file() && m.uid() == 0 && m.len() > 0 && m.nlink() == 1)
        });
        let pid = i32::try_from(child.id())?;
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGTERM)?;
        child.wait()?;
        written?;
    } else {
        stage.run(&["-F"])?.expect(78, &[kind.2, "FPM initialization failed"])?;
        if way == "directory" {
            fs::remove_file(&victim)?;
            stage.run(&["-F"])?.expect(78, &[kind.2, "Permission denied (13)"])?;
            ensure!(!victim.exists(), "it was made");
            return Ok(());
        }
    }
    let unchanged = || -> Outcome {
        let content = fs::read_to_string(&victim)?;
        ensure!(
            content == "root's\n" && (way == "name" || marks(&victim)? == before),
            "{content:?} {}",
            marks(&victim)?
        );
        Ok(())
    };
    unchanged()?;
    if !kind.1.is_empty() {
        // The same where the other groups start without this one.
        let server = starts_without_bob(&stage.target, stage.sandbox, &conf(kind), kind.2)?;
        unchanged()?;
        server.stop()?;
    }
    Ok(())
}

/// The same with a link that appears at run time: at SIGUSR1, at an entry of the slow log, at a reload and at the
/// end.
#[test]
fn a_running_server_follows_no_link_of_a_users() -> Outcome {
    let Some(target) = find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = bobs_logs()?;
    let victims = roots_dir(&sandbox, "roots", 0o755)?;
    for name in ["access.log", "slow.log", "error.log", "pid"] {
        fs::write(victims.join(name), "root's\n")?;
    }
    let global = "error_log = {{DIR}}/bob/logs/error.log\npid = {{DIR}}/bob/logs/pid";
    let pool =
        "access.log = {{DIR}}/bob/logs/access.log\nslowlog = {{DIR}}/bob/logs/slow.log\nrequest_slowlog_timeout = 1s";
    let conf = conf((global, pool, ""));
    let conf = conf.replace("error_log = {{DIR}}/fpm.log\n", "");
    // The place where the tests look for a server's log.
    std::os::unix::fs::symlink("bob/logs/error.log", sandbox.file("fpm.log"))?;
    let mut server = start(&target, sandbox, &conf)?;
    let logs = server.sandbox.file("bob/logs");
    for name in ["error.log", "pid"] {
        ensure!(fs::metadata(logs.join(name))?.uid() == 0, "{name} isn't root's");
    }
    hello_of(&server, BOB)?;
    ensure!(fs::read_to_string(logs.join("access.log"))?.contains("hello.php"), "no line in the access log");
    swap(&logs, &victims, BOB.1)?;
    let log = Log::new(&server.sandbox.file("bob/logs.away/error.log"));
    let mark = log.mark();
    server.supervisor.signal(Signal::SIGUSR1);
    log.wait_for(mark, &["failed to open error_log", "failed to open access log", "unable to re-opened"], ms(10_000))?;
    let slow = Request::get(&server.sandbox.page("work.php")).param("QUERY_STRING", "ms=1600");
    ask_once(&Address::Unix(server.sandbox.file("bob.sock")), &slow, ms(8000))?;
    log.wait_for(mark, &["unable to open slowlog"], ms(10_000))?;
    server.supervisor.signal(Signal::SIGUSR2);
    log.wait_for(mark, &["reload refused"], ms(20_000))?;
    hello_of(&server, ALICE)?;
    server.supervisor.signal(Signal::SIGTERM);
    server.await_end(ms(15_000))?;
    for name in ["access.log", "slow.log", "error.log", "pid"] {
        let content = fs::read_to_string(victims.join(name)).map_err(|e| format!("{name}: {e}"))?;
        ensure!(content == "root's\n", "{name}: {content:?}");
    }
    Ok(())
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
    let slow = Request::get(&server.sandbox.page("work.php")).param("QUERY_STRING", "ms=1600");
    for (owner, allowed) in [(BOB.1, false), (0, true)] {
        let _ = fs::remove_file(&roots);
        nix::unistd::mkfifo(&roots, Mode::S_IRWXU)?;
        give(&roots, owner)?;
        let mark = server.log.mark();
        ask_once(&Address::Unix(server.sandbox.file("bob.sock")), &slow, ms(8000))?;
        server.log.wait_for(mark, &["executing too slow"], ms(5000))?;
        std::thread::sleep(ms(300));
        let told = server.log.since(mark);
        ensure!(told.contains(refused) != allowed, "{owner}: {told}");
    }
    // Root's FIFO has no reader: neither an entry for it nor opening it delays any process.
    for _ in 0..2 {
        let begun = Instant::now();
        ask_once(&Address::Unix(server.sandbox.file("bob.sock")), &slow, ms(8000))?;
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
        let slow = Request::get(&server.sandbox.page("work.php")).param("QUERY_STRING", "ms=1600");
        ask_once(&Address::Unix(server.sandbox.file("bob.sock")), &slow, ms(8000))?;
        testkit::clock::wait_until("a line in the log", ms(5000), || fs::metadata(&log).is_ok_and(|m| m.len() > 0))?;
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

/// Debian's /run/php belongs to www-data. The pid file in it belongs to root nevertheless, and is removed at the end;
/// a reload creates it again.
#[test]
fn the_pid_file_in_a_users_directory_is_roots() -> Outcome {
    let Some(target) = find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = bobs_logs()?;
    let pid = sandbox.file("bob/logs/a.log");
    let mut server = start(&target, sandbox, &conf(KINDS[3]))?;
    for _ in 0..2 {
        let m = fs::metadata(&pid)?;
        ensure!((m.uid(), m.gid(), m.mode() & 0o7777) == (0, 0, 0o644), "{} {} {:o}", m.uid(), m.gid(), m.mode());
        ensure!(fs::read_to_string(&pid)? == server.supervisor.pid.to_string(), "its content");
        fs::remove_file(&pid)?;
        server.reload()?;
    }
    // Files that are not ours stay.
    fs::write(&pid, "1")?;
    give(&pid, BOB.1)?;
    server.reload()?;
    ensure!(fs::read_to_string(&pid)? == server.supervisor.pid.to_string(), "it was not created again");
    end(&mut server)?;
    ensure!(!pid.exists(), "it stays");
    Ok(())
}

/// Bob puts another pid file in the place of root's, which names another server of root's. Root's commands do not signal that one.
#[test]
fn a_users_pid_file_names_no_process_of_roots() -> Outcome {
    let Some(target) = find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let other = start(&target, Sandbox::new()?, &conf(("", "", "")))?;
    let server = start(&target, bobs_logs()?, &conf(KINDS[3]))?;
    let pid = server.sandbox.file("bob/logs/a.log");
    let stop = || run_to_end(&mut command_in(&target, &server.sandbox, &["stop"])).map(drop);
    fs::remove_file(&pid)?;
    fs::write(&pid, other.supervisor.pid.to_string())?;
    give(&pid, BOB.1)?;
    stop()?;
    hello_of(&other, ALICE)?;
    hello_of(&server, ALICE)?;
    fs::remove_file(&pid)?;
    fs::write(&pid, server.supervisor.pid.to_string())?;
    stop()?;
    ensure!(!server.supervisor.lives(), "the command stops nothing");
    other.stop()
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

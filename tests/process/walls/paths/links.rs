//! Root neither appends to nor creates a log or pid file through a user's symbolic or hard link.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use nix::sys::signal::Signal;
use testkit::clock::{ms, wait_until};
use testkit::log::Log;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::logs::{KINDS, ask_slowly, conf};
use super::{
    ALICE, BOB, all_or_nothing, bobs_logs, find, hello_of, marks, roots_dir, stage, start, starts_without_bob, swap,
};

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
        let written = wait_until("the pid file", ms(10_000), || {
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
    ask_slowly(&server)?;
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

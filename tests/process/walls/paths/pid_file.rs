//! The pid file in a user's directory: it is root's, and names no other process of root's.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use testkit::sandbox::Sandbox;
use testkit::stage::{command_in, run_to_end};
use testkit::{Outcome, ensure, turn};

use super::logs::{KINDS, conf};
use super::{ALICE, BOB, bobs_logs, end, find, give, hello_of, start};

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

//! A directory or log of one pool that is missing concerns its group only.

use std::fs;

use testkit::clock::{bar, ms, wait_until};
use testkit::sandbox::Sandbox;
use testkit::stage::{command_in, run_to_end};
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::{Groups, conf};

/// Lines of a pool, and the reason why its group cannot start, until the directory `later` exists.
const MISSING: [(&str, &str); 5] = [
    ("access.log = {{DIR}}/later/access.log", "failed to open access log ("),
    ("slowlog = {{DIR}}/later/slow.log\nrequest_slowlog_timeout = 5s", "Unable to create or open slowlog("),
    ("chdir = {{DIR}}/later", "[pool b] the chdir path '"),
    ("prefix = {{DIR}}/later", "[pool b] the prefix '"),
    ("chroot = {{DIR}}/later", "[pool b] the chroot path '"),
];

/// Those that this user can have: `chroot` is for root.
fn cases() -> impl Iterator<Item = (&'static str, &'static str)> {
    let root = nix::unistd::geteuid().is_root();
    MISSING.into_iter().filter(move |(lines, _)| root || !lines.starts_with("chroot"))
}

/// At a start, the others serve. `-t` still names file, line and pool. The group serves as soon as the directory exists.
#[test]
fn at_a_start_the_others_start() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    for (lines, reason) in cases() {
        let mut groups = Groups::spawn(&target, "", &[("a", ""), ("b", lines), ("c", "")])?;
        groups.server.await_ready()?;
        groups.serves("a")?;
        groups.serves("c")?;
        let line = format!("ERROR: [group b] could not be started: {reason}");
        ensure!(groups.server.log.count(&line) == 1, "{line}: {}", groups.server.log.tail(9));
        let directive = lines.split_once(' ').map_or(lines, |(name, _)| name);
        let hint = format!("hint: {directive} is set here");
        groups.run(&["-t"])?.expect(78, &[reason, "fpm.conf:", &hint])?;
        if !lines.starts_with("chroot") {
            fs::create_dir(groups.file("later"))?;
            let serves = || groups.server.log.count("[group b] generation 1 serves") == 1;
            wait_until("the group", bar(ms(20_000)), serves)?;
            groups.serves("b")?;
        }
        groups.server.stop()?;
    }
    Ok(())
}

/// At a reload it keeps its generation and configuration, and the others get the new one.
#[test]
fn at_a_reload_it_keeps_what_it_had() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let groups = Groups::start(&target, &[("a", ""), ("b", ""), ("c", "")])?;
    let mut generation = 1;
    for (lines, reason) in cases() {
        generation += 1;
        groups.write("", &[("a", ""), ("b", lines), ("c", "")])?;
        groups.run(&["reload"])?.expect(1, &["1 of 3 groups", "[b] ", reason])?;
        for name in ["a", "c"] {
            groups.await_generation(name, generation)?;
            groups.serves(name)?;
        }
        groups.await_generation("b", 1)?;
        groups.serves("b")?;
    }
    groups.write("", &[("a", ""), ("b", ""), ("c", "")])?;
    groups.run(&["reload"])?.expect(0, &[" done\n"])?;
    groups.await_generation("b", generation + 1)?;
    groups.server.stop()
}

/// `process.start_failure = stop` and a single group: as php-fpm.
#[test]
fn all_or_nothing() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    for (lines, reason) in cases() {
        for (global, list) in
            [("process.start_failure = stop", vec![("a", ""), ("b", lines)]), ("", vec![("b", lines)])]
        {
            let sandbox = Sandbox::new()?;
            sandbox.configure(&conf(global, &list))?;
            sandbox.put("php.ini", "")?;
            let lines = [reason, "failed to post process the configuration", "FPM initialization failed"];
            run_to_end(&mut command_in(&target, &sandbox, &["-F"]))?.expect(78, &lines)?;
        }
    }
    let groups = Groups::start(&target, &[("a", ""), ("b", "")])?;
    let (lines, reason) = MISSING[0];
    groups.write("process.start_failure = stop", &[("a", ""), ("b", lines)])?;
    groups.run(&["reload"])?.expect(1, &["reload refused", reason])?;
    groups.await_generation("a", 1)?;
    groups.server.stop()
}

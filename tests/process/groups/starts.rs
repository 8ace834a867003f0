//! A group that can't start keeps none of the others from starting, reloading or serving.

use std::fs;

use nix::sys::signal::Signal;
use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::{Request, ask_once};
use testkit::load::{Plan, asker};
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::Groups;

const NO_DIRECTORY: &str = "listen = {{DIR}}/later/b.sock\nlisten.mode = 0666";
const NO_PRELOAD: &str = "process.php_define[opcache.preload] = /there/is/none.php";
const NO_USER: &str = "listen = {{DIR}}/b.sock\nlisten.owner = no-such-user";

/// At the first start, the others serve. It is tried again and serves as soon as it can.
#[test]
fn at_the_first_start_the_others_start() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    for lines in [NO_DIRECTORY, NO_PRELOAD, NO_USER] {
        let mut groups = Groups::spawn(&target, "", &[("a", ""), ("b", lines), ("c", "")])?;
        groups.server.await_ready()?;
        groups.serves("a")?;
        groups.serves("c")?;
        let line = "ERROR: [group b] could not be started: ";
        ensure!(groups.server.log.count(line) == 1, "{}", groups.server.log.tail(9));
        if lines == NO_DIRECTORY {
            fs::create_dir(groups.file("later"))?;
            wait_until("the group", bar(ms(20_000)), || groups.server.log.count("[group b] generation 1 serves") == 1)?;
            groups.serves("later/b")?;
        } else {
            groups.write("", &[("a", ""), ("b", ""), ("c", "")])?;
            groups.server.reload()?;
            groups.serves("b")?;
        }
        groups.server.stop()?;
    }
    Ok(())
}

/// If none can start, the server doesn't either; with `process.start_failure = stop`, one is enough.
#[test]
fn all_or_nothing() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let cases = [
        ("", vec![("a", NO_PRELOAD), ("b", NO_PRELOAD)], 70),
        ("", vec![("b", NO_DIRECTORY)], 78),
        ("process.start_failure = stop", vec![("a", ""), ("b", NO_PRELOAD)], 70),
        ("process.start_failure = stop", vec![("a", ""), ("b", NO_DIRECTORY)], 78),
    ];
    for (global, list, status) in cases {
        let mut groups = Groups::spawn(&target, global, &list)?;
        let ended = groups.server.await_end(ms(10_000))?;
        ensure!(ended == Some(status), "{list:?}: {ended:?}: {}", groups.server.log.tail(5));
        ensure!(groups.server.log.count("FPM initialization failed") == 1, "{}", groups.server.log.tail(5));
    }
    let groups = Groups::start(&target, &[("a", ""), ("b", "")])?;
    groups.write("process.start_failure = stop", &[("a", ""), ("b", NO_PRELOAD)])?;
    let serve_on = "could not change group a (generation 1 serves on), group b (generation 1 serves on)\n";
    let cause = "[a] process.start_failure = stop, and group b could not start\n";
    groups.run(&["reload"])?.expect(1, &["reload failed: ", serve_on, cause])?;
    groups.await_generation("a", 1)?;
    groups.serves("b")?;
    groups.server.stop()
}

/// At a reload it keeps its generation, its configuration and its socket, and all others get the new one.
#[test]
fn at_a_reload_it_keeps_what_it_had() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::alone()?;
    let groups = Groups::start(&target, &[("a", ""), ("b", ""), ("c", "")])?;
    let load = Plan::clients(2)
        .pause(ms(2))
        .start(|_| asker(&groups.socket("b"), &groups.server.hello(), "hello", ms(15_000)));
    let mut generation = 1;
    for lines in [NO_DIRECTORY, NO_PRELOAD, NO_USER] {
        generation += 1;
        groups.write("", &[("a", ""), ("b", lines), ("c", "")])?;
        let failed = ["failed", "1 of 3 groups", "[b] "];
        groups.run(&["reload"])?.expect(1, &failed)?;
        for name in ["a", "c"] {
            groups.await_generation(name, generation)?;
            groups.serves(name)?;
        }
        groups.await_generation("b", 1)?;
        groups.serves("b")?;
        let kept = groups.server.log.count("ERROR: [group b] reload failed: ");
        ensure!(kept + 1 == generation, "{}", groups.server.log.tail(9));
        ensure!(groups.server.log.count("; its generation 1 serves on") == kept, "{}", groups.server.log.tail(9));
        ensure!(!groups.file("later/b.sock").exists(), "the new socket stays");
    }
    // Its dead processes are replaced with the former configuration.
    groups.server.zygotes_of("b").first().ok_or("no zygote")?.signal(Signal::SIGKILL);
    wait_until("the next zygote", bar(ms(5000)), || groups.server.log.count("[group b] zygote") > 0)?;
    groups.await_generation("b", 1)?;
    groups.serves("b")?;
    groups.write("", &[("a", ""), ("b", ""), ("c", "")])?;
    groups.run(&["reload"])?.expect(0, &[" done\n"])?;
    groups.await_generation("b", generation + 1)?;
    load.stop().expect_no_failure()?;
    groups.server.stop()
}

/// A group whose pools would go to other groups keeps its configuration if one of those cannot start, and all reports say so.
#[test]
fn a_group_that_cannot_be_divided_is_reported() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    const SHARED: &str = "process.group = shared\npm.status_path = /status";
    const OWN: &str = "pm.status_path = /status";
    let failing = format!("{OWN}\n{NO_USER}");
    let groups = Groups::start(&target, &[("a", SHARED), ("b", SHARED)])?;
    let outdated = |group: &str, value: u32| -> Outcome {
        let page = ask_once(&groups.socket("a"), &Request::of_pool("/status", "openmetrics"), ms(5_000))?;
        let line = format!("phpfpm_group_outdated{{group=\"{group}\"}} {value}");
        ensure!(page.lines().any(|one| one == line), "{line:?} isn't in {page}");
        Ok(())
    };
    outdated("shared", 0)?;
    groups.write("", &[("a", OWN), ("b", &failing)])?;
    let kept = "group a (generation 1 of group shared serves on), group b (generation 1 of group shared serves on)\n";
    groups.run(&["reload"])?.expect(1, &[kept])?;
    let log = &groups.server.log;
    ensure!(log.count("[group a] reload failed: ") == 1, "{}", log.tail(9));
    ensure!(log.count("; generation 1 of group shared serves on") == 2, "{}", log.tail(9));
    let why = "it changes together with group b, which could not start\n";
    groups.run(&["status"])?.expect(0, &["\nshared ", "    keeps its configuration of ", why])?;
    outdated("shared", 1)?;
    // The next reload of what has changed tries it again.
    groups.write("", &[("a", OWN), ("b", OWN)])?;
    groups.run(&["reload", "--changed"])?.expect(0, &[" done\n"])?;
    let status = groups.run(&["status"])?.expect(0, &["\na ", "\nb "])?;
    ensure!(!status.text.contains("keeps its configuration"), "{}", status.text);
    outdated("a", 0)?;
    groups.server.stop()
}

/// A mistake in the file refuses the whole reload.
#[test]
fn a_broken_file_refuses_everything() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let groups = Groups::start(&target, &[("a", ""), ("b", "")])?;
    groups.write("", &[("a", ""), ("b", "no.such = 1")])?;
    groups.run(&["reload"])?.expect(1, &["reload refused"])?;
    groups.await_generation("a", 1)?;
    groups.await_generation("b", 1)?;
    groups.server.stop()
}

/// Pools are removed and added, and one moves to another group: each is served all the time.
#[test]
fn groups_come_and_go_and_pools_move() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::alone()?;
    let groups = Groups::start(&target, &[("a", ""), ("b", "")])?;
    let load = Plan::clients(2)
        .pause(ms(2))
        .start(|_| asker(&groups.socket("a"), &groups.server.hello(), "hello", ms(15_000)));
    groups.write("", &[("a", ""), ("c", "")])?;
    groups.server.reload()?;
    groups.serves("c")?;
    ensure!(groups.socket("b").connect(ms(1000)).is_err() && !groups.file("b.sock").exists(), "b is still there");
    wait_until("the end of b", bar(ms(5000)), || groups.server.zygotes_of("b").is_empty())?;
    groups.write("", &[("c", "process.group = a"), ("a", "")])?;
    groups.server.reload()?;
    groups.serves("c")?;
    wait_until("one zygote", bar(ms(5000)), || groups.server.zygotes().len() == 1)?;
    // The address of one goes to another.
    groups.write(
        "",
        &[("c", "listen = {{DIR}}/a.sock\nlisten.mode = 0666"), ("a", "listen = {{DIR}}/c.sock\nlisten.mode = 0666")],
    )?;
    groups.server.reload()?;
    groups.serves("a")?;
    groups.serves("c")?;
    load.stop().expect_no_failure()?;
    groups.server.stop()
}

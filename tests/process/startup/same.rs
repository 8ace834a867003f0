//! Supervisor and workers, compared with stock php-fpm's.

use nix::sys::signal::Signal;
use testkit::clock::{bar, ms, wait_until};
use testkit::log::Log;
use testkit::target::{Door, Target};
use testkit::{Outcome, ensure, turn};

use super::facts::{self, Facts};
use super::started::{Started, Way, have_tools};

/// The environment that a script sees, which is the worker's, and the locale.
const VARIABLES: &str =
    "<?php $all = getenv(); foreach (array_keys($_SERVER) as $name) { unset($all[$name]); } ksort($all);
    foreach ($all as $name => $value) { echo \"$name=$value\\n\"; } echo setlocale(LC_ALL, 0);";

/// Facts of the supervisor, and of a worker that has served a request.
fn told(target: &Target, way: Way, terminal: bool, pool: &str) -> Outcome<[Facts; 2]> {
    let started = Started::new(target, way, terminal, pool)?;
    let sandbox = started.stage.sandbox.path().display().to_string();
    started.stage.sandbox.put("www/variables.php", VARIABLES)?;
    let variables = started.ask("variables.php")?;
    let worker = started.worker()?;
    ensure!(
        facts::hears_requests(started.master) == target.is_ours(),
        "requests of commands are heard, or php-fpm hears them"
    );
    let [master, mut of_worker] = [started.master, worker].map(|one| facts::of(one, started.master, &sandbox));
    of_worker.push(("variables".to_owned(), variables));
    // Including the descriptors between them.
    for process in started.tree() {
        let (terminal, session) = (process.terminal(), process.session());
        let of_master = (started.master.terminal(), started.master.session());
        ensure!((terminal, session) == of_master, "{} is in session {session}", process.title());
        let open = process.fds().into_iter().find(|(fd, to)| to.starts_with("/dev/pts/") && *fd <= 2);
        ensure!(open.is_none() || process == started.master, "{} has {open:?}", process.title());
    }
    started.stop()?;
    Ok([master, of_worker])
}

/// Intended differences, listed in docs/differences.md.
fn may_differ(target: &Target, who: &str, way: Way, fact: &str) -> bool {
    match fact {
        // Debian's own php-fpm also reloads at SIGHUP.
        "heard" => who == "master" && target.door == Door::Stock,
        // It reads its signals from a descriptor, and has the descriptors of all pools.
        "SigBlk" | "Max open files" => who == "master",
        // In the foreground they stay those of the caller: logs may go there.
        "fd 1" | "fd 2" => who == "master" && way != Way::Daemon,
        // Descriptors that the caller has left open are closed.
        "inherits the caller's fd 7" => true,
        _ => false,
    }
}

fn compare(target: &Target, way: Way, terminal: bool, pool: &str) -> Outcome {
    let ours = told(target, way, terminal, pool)?;
    let theirs = told(&target.partner(), way, terminal, pool)?;
    let mut wrong = Vec::new();
    for (who, (ours, theirs)) in ["master", "worker"].iter().zip(ours.iter().zip(&theirs)) {
        ensure!(ours.len() == theirs.len() && ours.len() > 30, "{} facts and {}", ours.len(), theirs.len());
        for ((name, ours), (_, theirs)) in ours.iter().zip(theirs) {
            if ours != theirs && !may_differ(target, who, way, name) {
                wrong.push(format!("{who}'s {name}: ours {ours:?}, stock {theirs:?}"));
            }
        }
    }
    ensure!(wrong.is_empty(), "{way:?}, on a terminal: {terminal}\n{}", wrong.join("\n"));
    Ok(())
}

fn all(way: Way) -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    have_tools()?;
    let _turn = turn::shared()?;
    for terminal in [false, true] {
        compare(&target, way, terminal, "catch_workers_output = yes\nclear_env = no")?;
    }
    compare(&target, way, false, "process.dumpable = yes\nenv[OWN] = $CGI_FPM_SECRET\nchdir = /usr")
}

#[test]
fn daemon() -> Outcome {
    all(Way::Daemon)
}

#[test]
fn in_a_script() -> Outcome {
    all(Way::Script)
}

#[test]
fn leader() -> Outcome {
    all(Way::Leader)
}

#[test]
fn job() -> Outcome {
    all(Way::Job)
}

/// Output of a daemon outside of its log, such as a panic, is in the log, also after the log was reopened and after a
/// reload.
#[test]
fn stderr_of_a_daemon() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    have_tools()?;
    let _turn = turn::shared()?;
    let started = Started::new(&target, Way::Daemon, false, "")?;
    let [log, old] = ["fpm.log", "fpm.log.1"].map(|name| started.stage.sandbox.file(name));
    let leads = || started.master.fds().get(&2).is_some_and(|to| *to == log.display().to_string());
    ensure!(leads(), "at the start: {:?}", started.master.fds().get(&2));
    std::fs::rename(&log, &old)?;
    started.master.signal(Signal::SIGUSR1);
    wait_until("it leads to the new log", bar(ms(3000)), leads)?;
    let keeps = started.master.fds().into_iter().find(|(_, to)| *to == old.display().to_string());
    ensure!(keeps.is_none(), "the old log is kept open: {keeps:?}");
    if !target.is_ours() {
        // php-fpm's next image is another daemon.
        return started.stop();
    }
    started.master.signal(Signal::SIGUSR2);
    Log::new(&log).wait_for(Log::new(&log).mark(), &["ready to handle connections"], bar(ms(10_000)))?;
    ensure!(leads(), "after a reload: {:?}", started.master.fds().get(&2));
    started.stop()
}

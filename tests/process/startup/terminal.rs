//! Keys of a terminal, and signals to the process group of the script that started the server.

use nix::sys::signal::Signal;
use testkit::clock::{bar, ms, wait_until};
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::started::{Started, Way, have_tools};

const CTRL_C: &[u8] = b"\x03";
const CTRL_Z: &[u8] = b"\x1a";

/// A script that is ended by a signal to its whole group loses no request, and the service continues.
#[test]
fn a_script_that_ends_takes_nothing_with_it() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    have_tools()?;
    let _turn = turn::shared()?;
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let mut started = Started::new(&target, Way::Script, false, "")?;
        let tree = started.tree();
        let in_flight = started.begin()?;
        started.signal_callers_group(signal)?;
        wait_until("the script's end", bar(ms(3000)), || started.shell_has_ended())?;
        let answer = in_flight.join().map_err(|_| "the client panicked")?;
        ensure!(answer.as_ref().is_ok_and(|body| body == "done"), "{signal}: the request in flight: {answer:?}");
        ensure!(started.ask("hello.php")? == "hello", "{signal} ends the service");
        let gone = tree.iter().find(|one| !one.lives());
        ensure!(gone.is_none(), "{signal} has ended {gone:?}");
        started.stop()?;
    }
    Ok(())
}

/// Ctrl-C reaches the foreground job of a shell and the leader of the terminal's session, but not a server that a
/// script has started.
#[test]
fn ctrl_c() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    have_tools()?;
    let _turn = turn::shared()?;
    for way in [Way::Job, Way::Leader] {
        let mut started = Started::new(&target, way, true, "")?;
        let tree = started.tree();
        started.press(CTRL_C)?;
        let ended = wait_until("its end", bar(ms(5000)), || tree.iter().all(|one| !one.lives()));
        ended.map_err(|error| format!("{way:?}: {error}; {}", started.shown()))?;
        ensure!(!started.stage.sandbox.file("fpm.pid").exists(), "{way:?}: the pid file stays");
    }
    let mut started = Started::new(&target, Way::Script, true, "")?;
    started.press(CTRL_C)?;
    wait_until("the script's end", bar(ms(5000)), || started.shell_has_ended())?;
    ensure!(started.ask("hello.php")? == "hello", "a script's server has ended");
    started.stop()
}

/// With `on_sigterm = graceful` no request is lost, although workers also get the signal.
#[test]
fn ctrl_c_is_graceful_where_sigterm_is() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    have_tools()?;
    let _turn = turn::shared()?;
    let mut started = Started::new(&target, Way::Job, true, "[global]\non_sigterm = graceful")?;
    let tree = started.tree();
    let in_flight = started.begin()?;
    started.press(CTRL_C)?;
    let answer = in_flight.join().map_err(|_| "the client panicked")?;
    // The signal may wake the script.
    let whole = answer.as_ref().is_ok_and(|body| body == "done" || body == "cut short");
    ensure!(whole, "the request in flight: {answer:?}");
    wait_until("its end", bar(ms(5000)), || tree.iter().all(|one| !one.lives()))?;
    Ok(())
}

/// Ctrl-Z stops all processes of a job, so that the shell returns; `fg` continues it.
#[test]
fn ctrl_z() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    have_tools()?;
    let _turn = turn::shared()?;
    let mut started = Started::new(&target, Way::Job, true, "")?;
    let tree = started.tree();
    started.press(CTRL_Z)?;
    let stopped = wait_until("all have stopped", bar(ms(3000)), || tree.iter().all(|one| one.state() == 'T'));
    stopped.map_err(|error| format!("{error}: {:?}", tree.iter().map(|one| one.state()).collect::<String>()))?;
    wait_until("the shell says so", bar(ms(3000)), || started.shown().contains("has stopped 14"))?;
    started.press(b"\n")?;
    wait_until("all go on", bar(ms(3000)), || tree.iter().all(|one| one.state() != 'T'))?;
    ensure!(started.ask("hello.php")? == "hello", "it doesn't serve");
    started.press(CTRL_C)?;
    wait_until("its end", bar(ms(5000)), || tree.iter().all(|one| !one.lives()))?;
    Ok(())
}

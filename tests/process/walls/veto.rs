//! A user keeps the next zygote of the own group from starting, at a reload: kills it, or stops it. The other groups get the new
//! configuration at once, and the group of that user serves on with what it had.

use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::Signal;
use testkit::clock::{bar, ms, wait_until};
use testkit::process::Process;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::{ALICE, BOB, Neighbours};

fn is_next(zygote: Process) -> bool {
    zygote.title().ends_with("(generation 2)")
}

#[test]
fn a_user_keeps_the_own_group_from_starting() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    for signal in [Signal::SIGKILL, Signal::SIGSTOP] {
        let pools = Neighbours::start(&target, "")?;
        let (before, log) = (pools.zygote(ALICE)?, &pools.server.log);
        let (mark, done) = (log.mark(), AtomicBool::new(false));
        std::thread::scope(|scope| -> Outcome {
            let attack = scope.spawn(|| {
                let (mut count, mut last) = (0, None);
                while !done.load(Ordering::Relaxed) {
                    // It may still have the title of its program, or of a zygote that was forked.
                    for child in pools.server.supervisor.children() {
                        let uid = child.status("Uid").first().cloned();
                        if uid == Some(ALICE.1.to_string()) && child != before && last != Some(child) {
                            child.signal(signal);
                            (count, last) = (count + 1, Some(child));
                        }
                    }
                }
                count
            });
            pools.server.supervisor.signal(Signal::SIGUSR2);
            let bobs = || pools.server.zygotes_of("bob").into_iter().any(is_next);
            let outcome = wait_until("bob's next generation", bar(ms(5000)), bobs)
                .and_then(|_| log.wait_for(mark, &["ready to handle connections"], bar(ms(20_000))));
            let served = [ALICE, BOB].map(|pool| pools.ask(pool, "hello.php"));
            done.store(true, Ordering::Relaxed);
            let count = attack.join().map_err(|_| "the attack has panicked")?;
            outcome?;
            for body in served {
                ensure!(body? == "hello", "a pool does not serve");
            }
            ensure!(count > 0, "no zygote was met");
            Ok(())
        })
        .map_err(|e| format!("{signal}: {e}: {}", log.since(mark)))?;
        ensure!(before.lives(), "{signal}: alice's former zygote has ended");
        log.wait_for(mark, &["[group alice]"], bar(ms(1000)))?;
        // The next reload is not impaired.
        pools.server.reload()?;
        wait_until("alice's next zygote", bar(ms(5000)), || {
            pools.server.zygotes_of("alice").into_iter().any(|zygote| zygote.title().ends_with("(generation 3)"))
        })?;
        pools.server.stop()?;
    }
    Ok(())
}

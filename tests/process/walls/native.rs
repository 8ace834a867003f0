//! Native code of alice's in her zygote, an extension that her pool loads, against the supervisor and bob. What it costs bob is
//! measured as in `pressure`; the supervisor's descriptors and memory stay bounded.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use nix::sys::signal::Signal;
use testkit::clock::ms;
use testkit::sandbox::Sandbox;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::Neighbours;
use super::pressure::{ALICE, Attack, judge_all, pools};
use crate::hostile;

/// `hostile.c` says what each does. None of them only computes: how users share the CPU is the kernel's decision.
const ATTACKS: [(&str, Attack); 10] = [
    ("a zygote that sends garbage", |pools, stop| by_zygote(pools, stop, "garbage")),
    ("a zygote that sends messages that are too long", |pools, stop| by_zygote(pools, stop, "oversized")),
    ("a zygote that sends too many messages", |pools, stop| by_zygote(pools, stop, "flood")),
    ("a zygote that passes descriptors", |pools, stop| by_zygote(pools, stop, "descriptors")),
    ("a zygote that closes its channel", |pools, stop| by_zygote(pools, stop, "close")),
    ("a zygote that closes all that it has", |pools, stop| by_zygote(pools, stop, "close-all")),
    ("a zygote that exits", |pools, stop| by_zygote(pools, stop, "exit")),
    ("a zygote that waits for ever", |pools, stop| by_zygote(pools, stop, "hang")),
    ("a zygote that stops itself", |pools, stop| by_zygote(pools, stop, "stop")),
    ("a zygote that forks without end", |pools, stop| by_zygote(pools, stop, "bomb")),
];

/// Each zygote of alice's does that, one at least.
fn by_zygote(pools: &Neighbours, stop: &AtomicBool, what: &str) -> Outcome {
    let (mut last, begun) = (None, Instant::now());
    while !stop.load(Ordering::Relaxed) || (last.is_none() && begun.elapsed() < ms(10_000)) {
        // It has the handler when it has workers.
        for zygote in pools.server.zygotes_of("alice") {
            let is_next = Some(zygote) != last && !zygote.children().is_empty();
            if is_next && hostile::act(&pools.server.sandbox, zygote, what).is_ok() {
                last = Some(zygote);
            }
        }
        std::thread::sleep(ms(5));
    }
    let last = last.ok_or("no zygote has done it")?;
    // The tests of `unresponsive` show how one that does nothing any more ends.
    if ["hang", "stop"].contains(&what) {
        last.signal(Signal::SIGKILL);
    }
    Ok(())
}

/// For each attack there is a server: zygotes that die soon are started after growing pauses.
#[test]
fn attacks_by_native_code_cost_others_nothing() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let turn = turn::alone()?;
    for attack in ATTACKS {
        let sandbox = Sandbox::new()?;
        let library = hostile::build(&target, &sandbox)?;
        let pools = pools(&target, sandbox, &format!("process.php_define[extension] = {}", library.display()))?;
        let first = pools.zygote(ALICE)?;
        judge_all(&turn, &pools, &[attack])?;
        let survives = ["too many messages", "passes descriptors", "forks"].iter().any(|what| attack.0.contains(what));
        ensure!(first.lives() == survives, "{}: {}", attack.0, pools.server.log.tail(20));
        pools.server.stop()?;
    }
    Ok(())
}

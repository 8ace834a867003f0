//! Messages that a zygote can send to the supervisor.

use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::{ALICE, BOB, Neighbours, lines_within};
use testkit::clock::ms;

/// An invalid message ends the zygote that sends it, and no other.
#[test]
fn nonsense_ends_the_zygote_that_says_it() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let pools = Neighbours::start(&target, "")?;
    let (zygote, bob) = (pools.zygote(ALICE)?, pools.all_of(BOB)?);
    pools.say_as(zygote, &"[".repeat(4000))?;
    pools.expect_only_alice_changed(zygote, &bob)?;
    pools.await_told(ALICE)?;
    let lines = lines_within(&pools.server, ms(500));
    ensure!(lines == 0, "{lines} lines more: {}", pools.server.log.tail(5));
    pools.server.stop()
}

//! Zygotes that report what is not true, or nothing.

use super::*;
use crate::plan::fleet::members::Zygote;

#[test]
fn a_report_that_is_not_true_is_refused() {
    let key = GenerationId(1).zygote().worker(0, 0);
    let mut stage = Stage::started(2);
    let refused = |pid, violation| vec![Action::Refuse { key, pid, violation }];
    let fork = |claim| Event::Forked { key, pid: 8, claim };
    assert_eq!(stage.decide(fork(Claim::Proved(1))), refused(8, Violation::NotAskedFor));
    assert_eq!(stage.decide(fork(Claim::Gone)), refused(8, Violation::NotAskedFor));
    assert_eq!(stage.decide(fork(Claim::False)), refused(8, Violation::NotItsChild));
    let end = |pid, runs| Event::EndReported { key, pid, exit: Exit::Code(0), runs };
    assert_eq!(stage.decide(end(100, true)), refused(100, Violation::StillRuns));
    assert_eq!(stage.decide(end(99, true)), [], "another worker has had that slot before");
    assert_eq!(stage.decide(end(100, false)), [Action::Collect(key, Exit::Code(0))]);
    assert_eq!(stage.decide(exited(key, Exit::Code(0))), [Action::Fork(key)]);
    assert_eq!(stage.decide(fork(Claim::False)), refused(8, Violation::NotItsChild));
    let started = stage.fleet.handle(stage.now, fork(Claim::Proved(5)), NOBODY_BUSY);
    assert_eq!(started, [Action::Started { key, pid: 8, replaces: true }]);
    assert_eq!(stage.fleet.worker(key).map(|w| (w.pid, w.born)), Some((Some(8), Some(5))));
}

#[test]
fn a_silent_zygote_is_given_up_unless_it_was_told_to_leave() {
    let key = GenerationId(1).zygote();
    let mut stage = Stage::started(2);
    assert_eq!(stage.decide(Event::ZygoteSilent(key)), [Action::GiveUpOn(key)]);
    let _ = stage.fleet.stop(stage.now, Goal::Finish, Duration::ZERO);
    for slot in 0..2 {
        let _ = stage.decide(exited(key.worker(0, slot), Exit::Code(0)));
    }
    assert_eq!(stage.fleet.zygote(key), Some(Zygote::Dismissed(stage.now)));
    assert_eq!(stage.decide(Event::ZygoteSilent(key)), []);
}

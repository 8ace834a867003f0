//! The decisions of a reload (SIGUSR2 or a request): when the new program is checked, and what the result of the check leads to. The supervisor
//! carries them out.
//!
//! ```text
//!            SIGUSR2               fleet is ready          the check succeeds
//! idle ─────────────────▶ wanted ─────────────────▶ check ────────────────────▶ execute the new program
//!                           ▲                      │    │
//!                           └──────────────────────┘    └─▶ refused: the check fails or takes too long
//!                            a file has changed since
//! ```
//!
//! The execution waits for work at the paths of sockets, which would be lost with this image, for `PATHS_LIMIT` at most.
//!
//! While one reload is under way, one more can be wanted; it has the scopes of all requests that come until it begins.

use std::time::Duration;

use crate::log::Message;
use crate::log::messages::reload as messages;
use crate::plan::fleet::Scope;
use crate::sys::clock::Moment;
use crate::sys::process::Exit;

/// A check that takes longer is killed, and the reload refused.
pub(crate) const CHECK_LIMIT: Duration = Duration::from_secs(30);

/// How long the execution waits for work at the paths of sockets. In a directory that hangs it can take longer.
pub(crate) const PATHS_LIMIT: Duration = Duration::from_secs(2);

/// Whether a fleet can begin a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// It can.
    Ready,
    /// A generation starts, or a stop is under way.
    Busy,
}

/// Something to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Count a request for a reload, for the process that has asked.
    Count,
    /// Tell systemd that a reload is under way.
    Announce,
    /// Log that the reload begins, announce it and start the check.
    Begin,
    /// Kill the check, which has taken too long, and log that.
    KillCheck,
    /// Execute the new program, if the work that it waits for is over by now.
    Execute,
}

/// The consequence of the end of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Execute the new program.
    Execute,
    /// The program or the configuration has changed during the check: it is repeated.
    CheckAgain,
    /// The reload is refused.
    Refuse(Exit),
}

/// How far a reload has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reload {
    /// A reload with this scope was asked for and has not begun.
    wanted: Option<Scope>,
    /// The scope of the one that is being checked.
    scope: Scope,
    check: Check,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Check {
    #[default]
    None,
    /// It runs and has to end by then.
    Until(Moment),
    /// It was killed and has not been reaped yet.
    Killed,
    /// It has succeeded. The execution waits for other work until then at most.
    Passed(Moment),
}

impl Reload {
    /// A reload is asked for. That is ignored unless the fleet is to serve.
    pub(crate) fn ask(&mut self, serving: bool, scope: Scope) -> Vec<Step> {
        if !serving {
            return Vec::new();
        }
        self.want(scope);
        // The check that runs does for this request, too.
        if self.check == Check::None { vec![Step::Count] } else { vec![Step::Count, Step::Announce] }
    }

    fn want(&mut self, scope: Scope) {
        self.wanted = Some(match self.wanted.take() {
            Some(wanted) => wanted.and(scope),
            None => scope,
        });
    }

    /// What the reload that is being checked renews.
    #[must_use]
    pub(crate) fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Time has passed, or the fleet has changed.
    pub(crate) fn advance(&mut self, now: Moment, fleet: Readiness) -> Option<Step> {
        match self.check {
            Check::Until(end) if end <= now => {
                self.check = Check::Killed;
                return Some(Step::KillCheck);
            }
            Check::Until(_) | Check::Killed => return None,
            Check::Passed(_) => return Some(Step::Execute),
            Check::None if self.wanted.is_none() => return None,
            Check::None => {}
        }
        match fleet {
            Readiness::Ready => {
                let scope = self.wanted.take().unwrap_or_default();
                *self = Self { wanted: None, scope, check: Check::Until(now + CHECK_LIMIT) };
                Some(Step::Begin)
            }
            Readiness::Busy => None,
        }
    }

    /// The check could not be started: the reload is refused.
    pub(crate) fn check_failed_to_start(&mut self) {
        self.check = Check::None;
    }

    /// The check has ended. `unchanged`: the files that it has looked at are the same still.
    pub(crate) fn check_ended(&mut self, exit: Exit, unchanged: bool) -> Outcome {
        self.check = Check::None;
        match exit {
            Exit::Code(0) if unchanged => Outcome::Execute,
            Exit::Code(0) => {
                self.want(self.scope.clone());
                Outcome::CheckAgain
            }
            _ => Outcome::Refuse(exit),
        }
    }

    /// Work at paths goes on that the new program would not finish: whether its execution is put off. It may be called again and again.
    pub(crate) fn wait_for_paths(&mut self, now: Moment) -> bool {
        let until = match self.check {
            Check::Passed(until) => until,
            _ => now + PATHS_LIMIT,
        };
        self.check = Check::Passed(until);
        now < until
    }

    /// Whether the new program may be executed now. An order that is half sent would be lost with this image, so the reload begins
    /// again when all are sent. `serving`: the fleet is to serve. The new program reads the files as they are then, so it answers
    /// the requests that came during the check, too.
    pub(crate) fn may_execute(&mut self, orders_wait: bool, serving: bool) -> bool {
        self.check = Check::None;
        if !serving {
            self.wanted = None;
        } else if orders_wait {
            self.want(self.scope.clone());
        } else if let Some(wanted) = self.wanted.take() {
            self.scope = std::mem::take(&mut self.scope).and(wanted);
        }
        serving && !orders_wait
    }

    /// When `advance` is needed.
    #[must_use]
    pub(crate) fn deadline(&self) -> Option<Moment> {
        if let Check::Until(end) | Check::Passed(end) = self.check { Some(end) } else { None }
    }
}

/// The line about a check that has failed.
#[must_use]
pub(crate) fn refusal(exit: Exit) -> Message {
    messages::check_failed(match exit {
        Exit::Code(code) => format!("exited with code {code}"),
        Exit::Signal(number, _) => format!("died on signal {number}"),
        Exit::Unknown => "was lost".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Moment = Moment::at_millis(1_000);

    fn begun() -> Reload {
        let mut reload = Reload::default();
        assert_eq!(reload.ask(true, Scope::All), [Step::Count]);
        assert_eq!(reload.advance(START, Readiness::Ready), Some(Step::Begin));
        reload
    }

    #[test]
    fn a_check_that_succeeds_leads_to_the_new_program() {
        let mut reload = begun();
        assert_eq!(reload.advance(START, Readiness::Ready), None, "one check at a time");
        assert_eq!(reload.check_ended(Exit::Code(0), true), Outcome::Execute);
        assert!(reload.may_execute(false, true));
        assert_eq!((reload.advance(START, Readiness::Ready), reload.deadline()), (None, None));
    }

    #[test]
    fn a_check_that_fails_refuses_the_reload() {
        for exit in [Exit::Code(78), Exit::Signal(11, false), Exit::Unknown] {
            let mut reload = begun();
            assert_eq!(reload.check_ended(exit, true), Outcome::Refuse(exit));
            assert_eq!(reload.advance(START, Readiness::Ready), None);
            assert!(refusal(exit).text().starts_with("reload refused: "));
        }
    }

    #[test]
    fn files_that_change_during_the_check_are_checked_again() {
        let mut reload = begun();
        assert_eq!(reload.check_ended(Exit::Code(0), false), Outcome::CheckAgain);
        assert_eq!(reload.advance(START, Readiness::Ready), Some(Step::Begin));
    }

    #[test]
    fn a_check_that_takes_too_long_is_killed_once() {
        let mut reload = begun();
        let end = START + CHECK_LIMIT;
        assert_eq!(reload.deadline(), Some(end));
        assert_eq!(reload.advance(Moment::at_millis(30_999), Readiness::Ready), None);
        assert_eq!(reload.advance(end, Readiness::Ready), Some(Step::KillCheck));
        assert_eq!((reload.advance(end, Readiness::Ready), reload.deadline()), (None, None));
        assert_eq!(reload.check_ended(Exit::Signal(9, false), true), Outcome::Refuse(Exit::Signal(9, false)));
    }

    #[test]
    fn a_request_during_a_check_is_announced_and_leads_to_one_more_reload() {
        let mut reload = begun();
        assert_eq!(reload.ask(true, Scope::All), [Step::Count, Step::Announce]);
        assert_eq!(reload.ask(true, Scope::All), [Step::Count, Step::Announce]);
        assert_eq!(reload.check_ended(Exit::Code(78), true), Outcome::Refuse(Exit::Code(78)));
        assert_eq!(reload.advance(START, Readiness::Ready), Some(Step::Begin));
        assert_eq!(reload.check_ended(Exit::Code(78), true), Outcome::Refuse(Exit::Code(78)));
        assert_eq!(reload.advance(START, Readiness::Ready), None);
    }

    #[test]
    fn it_waits_for_the_fleet() {
        let mut reload = Reload::default();
        assert!(reload.ask(false, Scope::All).is_empty(), "not during a stop");
        let _ = reload.ask(true, Scope::All);
        assert_eq!(reload.advance(START, Readiness::Busy), None);
        assert_eq!(reload.advance(START, Readiness::Ready), Some(Step::Begin));
    }

    #[test]
    fn orders_that_wait_put_the_execution_off_and_a_stop_ends_it() {
        let mut reload = begun();
        let _ = reload.check_ended(Exit::Code(0), true);
        assert!(!reload.may_execute(true, true));
        assert_eq!(reload.advance(START, Readiness::Ready), Some(Step::Begin));
        let _ = reload.check_ended(Exit::Code(0), true);
        assert!(!reload.may_execute(false, false));
        assert_eq!(reload.advance(START, Readiness::Ready), None);
    }

    #[test]
    fn work_at_paths_puts_the_execution_off_for_a_time() {
        let mut reload = begun();
        let _ = reload.check_ended(Exit::Code(0), true);
        assert!(reload.wait_for_paths(START));
        // No second check begins; what is asked for meanwhile is answered by the execution.
        assert_eq!(reload.ask(true, Scope::All), [Step::Count, Step::Announce]);
        let end = START + PATHS_LIMIT;
        assert_eq!(reload.deadline(), Some(end));
        for (at, waits) in [(Moment::at_millis(1_500), true), (end, false)] {
            assert_eq!(reload.advance(at, Readiness::Busy), Some(Step::Execute));
            assert_eq!(reload.wait_for_paths(at), waits);
        }
        assert!(reload.may_execute(false, true));
        assert_eq!((reload.advance(end, Readiness::Ready), reload.deadline()), (None, None));
    }

    fn pools(name: &str) -> Scope {
        Scope::Pools([name.to_owned()].into())
    }

    #[test]
    fn requests_during_a_check_are_joined_for_the_next_reload() {
        let mut reload = Reload::default();
        let _ = reload.ask(true, pools("a"));
        assert_eq!(reload.advance(START, Readiness::Ready), Some(Step::Begin));
        let _ = reload.ask(true, pools("b"));
        let _ = reload.ask(true, Scope::Changed);
        assert_eq!(reload.scope(), &pools("a"));
        assert_eq!(reload.check_ended(Exit::Code(78), true), Outcome::Refuse(Exit::Code(78)));
        assert_eq!(reload.advance(START, Readiness::Ready), Some(Step::Begin));
        assert_eq!(reload.scope(), &Scope::ChangedAnd(["b".to_owned()].into()));
        let _ = reload.ask(true, Scope::All);
        assert_eq!(reload.check_ended(Exit::Code(0), false), Outcome::CheckAgain);
        assert_eq!(reload.advance(START, Readiness::Ready), Some(Step::Begin));
        assert_eq!(reload.scope(), &Scope::All);
    }

    #[test]
    fn an_execution_answers_the_requests_that_came_during_the_check() {
        let mut reload = Reload::default();
        let _ = reload.ask(true, Scope::Changed);
        assert_eq!(reload.advance(START, Readiness::Ready), Some(Step::Begin));
        let _ = reload.ask(true, pools("a"));
        assert_eq!(reload.check_ended(Exit::Code(0), true), Outcome::Execute);
        assert!(reload.may_execute(false, true));
        assert_eq!(reload.scope(), &Scope::ChangedAnd(["a".to_owned()].into()));
        assert_eq!(reload.advance(START, Readiness::Ready), None);
    }

    #[test]
    fn a_check_that_cannot_be_started_can_be_tried_again() {
        let mut reload = begun();
        reload.check_failed_to_start();
        let _ = reload.ask(true, Scope::All);
        assert_eq!(reload.advance(START, Readiness::Ready), Some(Step::Begin));
    }
}

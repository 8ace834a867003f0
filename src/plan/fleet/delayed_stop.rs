//! A graceful stop that begins later: until then requests are accepted, and health checks learn that they soon won't be.

use std::time::Duration;

use crate::plan::fleet::action::Action;
use crate::plan::fleet::goal::Goal;
use crate::plan::fleet::state::Fleet;
use crate::sys::clock::Moment;

impl Fleet {
    /// The meaning of SIGTERM and SIGINT. `graceful`: `on_sigterm`. A second one ends a fleet that finishes already.
    #[must_use]
    pub(crate) fn goal_of_sigterm(&self, graceful: bool) -> Goal {
        if graceful && self.goal == Goal::Serve { Goal::Finish } else { Goal::Terminate }
    }

    /// Stops. A graceful stop begins after `delay`, unless it is asked for a second time.
    pub(crate) fn stop(&mut self, now: Moment, goal: Goal, delay: Duration) -> Vec<Action> {
        let first = self.goal == Goal::Serve && self.leaving.is_none();
        if first && goal == Goal::Finish && !delay.is_zero() {
            self.leaving = Some(now + delay);
            return vec![Action::StopDelayed(delay)];
        }
        self.leaving = None;
        self.pursue(now, goal)
    }

    /// Begins a stop that was delayed, when it is due.
    pub(crate) fn stop_if_due(&mut self, now: Moment) -> Vec<Action> {
        let due = self.leaving.take_if(|at| *at <= now).is_some();
        if due { self.pursue(now, Goal::Finish) } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fleet::goal::Settings;
    use crate::plan::reload::Readiness;

    const NOW: Moment = Moment::at_millis(1_000);
    const DELAY: Duration = Duration::from_secs(5);

    fn fleet() -> Fleet {
        Fleet::new(Settings::default())
    }

    #[test]
    fn a_graceful_stop_is_delayed_once() {
        let mut fleet = fleet();
        assert_eq!(fleet.stop(NOW, Goal::Finish, DELAY), [Action::StopDelayed(DELAY)]);
        assert_eq!(fleet.readiness(NOW), Readiness::Busy);
        assert!(fleet.stop_if_due(Moment::at_millis(5_999)).is_empty());
        assert_eq!(fleet.deadline(NOW), Some(Moment::at_millis(6_000)));
        assert_eq!(fleet.stop_if_due(Moment::at_millis(6_000)), [Action::Stopping(Goal::Finish)]);
        assert!(fleet.stop_if_due(Moment::at_millis(7_000)).is_empty());
    }

    #[test]
    fn a_second_or_stronger_request_takes_effect_at_once() {
        for goal in [Goal::Finish, Goal::Terminate] {
            let mut fleet = fleet();
            let _ = fleet.stop(NOW, Goal::Finish, DELAY);
            assert_eq!(fleet.stop(NOW, goal, DELAY), [Action::Stopping(goal)]);
            assert!(fleet.stop_if_due(Moment::at_millis(9_000)).is_empty());
        }
        assert_eq!(fleet().stop(NOW, Goal::Terminate, DELAY), [Action::Stopping(Goal::Terminate)]);
        assert_eq!(fleet().stop(NOW, Goal::Finish, Duration::ZERO), [Action::Stopping(Goal::Finish)]);
    }

    #[test]
    fn a_second_sigterm_terminates() {
        let mut fleet = fleet();
        assert_eq!((fleet.goal_of_sigterm(false), fleet.goal_of_sigterm(true)), (Goal::Terminate, Goal::Finish));
        let _ = fleet.stop(NOW, Goal::Finish, Duration::ZERO);
        assert_eq!(fleet.goal_of_sigterm(true), Goal::Terminate);
    }
}

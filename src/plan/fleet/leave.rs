//! A graceful stop that is put off: requests are still accepted, while those who send them hear that they soon won't be.

use serde::{Deserialize, Serialize};

use super::{Fleet, Goal};
use crate::sys::clock::Millis;

/// What is to happen, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Leaving {
    goal: Goal,
    at: Millis,
}

impl Fleet {
    /// Puts a graceful stop off by so many milliseconds. False: it is to be done now, because it isn't graceful, there is no
    /// delay, or it was put off before and is asked for again.
    pub fn put_off(&mut self, now: Millis, goal: Goal, delay: u64) -> bool {
        let first = self.goal == Goal::Serve && self.leaving.is_none();
        let put_off = first && goal == Goal::Finish && delay > 0;
        self.leaving = put_off.then(|| Leaving { goal, at: now.plus(delay) });
        put_off
    }

    /// What was put off and is due.
    pub fn take_leave(&mut self, now: Millis) -> Option<Goal> {
        self.leaving.take_if(|leaving| leaving.at <= now).map(|leaving| leaving.goal)
    }

    pub(super) fn leaving_at(&self) -> Option<Millis> {
        self.leaving.map(|leaving| leaving.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_000);

    #[test]
    fn a_graceful_stop_is_put_off_once() {
        let mut fleet = Fleet::new(0);
        assert!(fleet.put_off(NOW, Goal::Finish, 5_000));
        assert!(!fleet.may_reload());
        assert_eq!((fleet.take_leave(Millis(5_999)), fleet.deadline(NOW)), (None, Some(Millis(6_000))));
        assert_eq!(fleet.take_leave(Millis(6_000)), Some(Goal::Finish));
        assert_eq!(fleet.take_leave(Millis(7_000)), None);
    }

    #[test]
    fn who_asks_again_or_for_more_is_heard_at_once() {
        for goal in [Goal::Finish, Goal::Terminate] {
            let mut fleet = Fleet::new(0);
            assert!(fleet.put_off(NOW, Goal::Finish, 5_000));
            assert!(!fleet.put_off(NOW, goal, 5_000));
            assert_eq!(fleet.take_leave(Millis(9_000)), None);
        }
        assert!(!Fleet::new(0).put_off(NOW, Goal::Terminate, 5_000));
        assert!(!Fleet::new(0).put_off(NOW, Goal::Finish, 0));
    }
}

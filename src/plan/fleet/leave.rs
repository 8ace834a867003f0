//! A graceful stop that is put off: requests are still accepted, while those who send them hear that they soon won't be.

use super::{Fleet, Goal};
use crate::sys::clock::Millis;

impl Fleet {
    /// Puts a graceful stop off by so many milliseconds. False: it is to be done now, because it isn't graceful, there is no
    /// delay, or it was put off before and is asked for again.
    pub fn put_off(&mut self, now: Millis, goal: Goal, delay: u64) -> bool {
        let first = self.goal == Goal::Serve && self.leaving.is_none();
        let put_off = first && goal == Goal::Finish && delay > 0;
        self.leaving = put_off.then(|| now.plus(delay));
        put_off
    }

    /// Whether the stop that was put off is due; once.
    pub fn takes_leave(&mut self, now: Millis) -> bool {
        self.leaving.take_if(|at| *at <= now).is_some()
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
        assert_eq!((fleet.takes_leave(Millis(5_999)), fleet.deadline(NOW)), (false, Some(Millis(6_000))));
        assert!(fleet.takes_leave(Millis(6_000)));
        assert!(!fleet.takes_leave(Millis(7_000)));
    }

    #[test]
    fn who_asks_again_or_for_more_is_heard_at_once() {
        for goal in [Goal::Finish, Goal::Terminate] {
            let mut fleet = Fleet::new(0);
            assert!(fleet.put_off(NOW, Goal::Finish, 5_000));
            assert!(!fleet.put_off(NOW, goal, 5_000));
            assert!(!fleet.takes_leave(Millis(9_000)));
        }
        assert!(!Fleet::new(0).put_off(NOW, Goal::Terminate, 5_000));
        assert!(!Fleet::new(0).put_off(NOW, Goal::Finish, 0));
    }
}

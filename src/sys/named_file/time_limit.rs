//! How long the files of a user may keep the supervisor waiting: a limit for all of a user's files together, in each period.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long a user's files are waited for, together, in one `PERIOD`. A network file system may need that long once.
pub(super) const LIMIT: Duration = Duration::from_secs(10);
/// Each operation gets at least this long, and this part of its time is not counted: a busy machine may need it.
const SHORT: Duration = Duration::from_millis(300);
/// After this time a user has the whole limit again.
const PERIOD: Duration = Duration::from_secs(30);

/// The account of each user.
static SPENT: Mutex<Accounts> = Mutex::new(Accounts(BTreeMap::new()));

/// By uid: when the period began, and the time that was used in it.
struct Accounts(BTreeMap<u32, (Instant, Duration)>);

impl Accounts {
    fn limit(&mut self, user: u32, now: Instant) -> Duration {
        self.0.retain(|_, (since, _)| now.saturating_duration_since(*since) < PERIOD);
        let spent = self.0.get(&user).map_or(Duration::ZERO, |(_, spent)| *spent);
        LIMIT.saturating_sub(spent).max(SHORT)
    }

    fn charge(&mut self, user: u32, waited: Duration, now: Instant) {
        let counts = waited.saturating_sub(SHORT);
        if !counts.is_zero() {
            self.0.entry(user).or_insert((now, Duration::ZERO)).1 += counts;
        }
    }
}

/// The time limit of a user's next operation.
pub(super) fn limit_of(user: u32) -> Duration {
    SPENT.lock().limit(user, Instant::now())
}

/// Counts the time that an operation of a user took.
pub(super) fn charge(user: u32, waited: Duration) {
    SPENT.lock().charge(user, waited, Instant::now());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_of_a_user_share_one_limit() {
        let (mut accounts, now) = (Accounts(BTreeMap::new()), Instant::now());
        (0..100).for_each(|_| accounts.charge(7, SHORT, now));
        assert_eq!(accounts.limit(7, now), LIMIT, "a busy machine");
        accounts.charge(7, Duration::from_millis(6300), now);
        assert_eq!(accounts.limit(7, now), Duration::from_secs(4));
        accounts.charge(7, Duration::from_secs(9), now);
        assert_eq!((accounts.limit(7, now), accounts.limit(8, now)), (SHORT, LIMIT));
        let later = now + Duration::from_secs(29);
        accounts.charge(7, LIMIT, later);
        assert_eq!((accounts.limit(7, later), accounts.limit(7, now + PERIOD)), (SHORT, LIMIT));
    }
}

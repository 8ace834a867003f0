//! How long the places of a user may keep the supervisor waiting: for each once, and for all of them together.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The most that a user's places are waited for, together, in `PERIOD`. A network's file system may need that long once.
pub const LIMIT: Duration = Duration::from_secs(10);
/// A place always gets this long. It counts for nothing: a busy machine may need it.
const SHORT: Duration = Duration::from_millis(300);
/// After that a user's places get the whole limit again.
const PERIOD: Duration = Duration::from_secs(30);

/// By user: since when is counted, and what the places have used.
static SPENT: Mutex<Book> = Mutex::new(Book(BTreeMap::new()));

struct Book(BTreeMap<u32, (Instant, Duration)>);

impl Book {
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

/// What the next place of that user gets.
pub(super) fn limit_of(user: u32) -> Duration {
    SPENT.lock().limit(user, Instant::now())
}

/// A place of that user's was waited for.
pub(super) fn charge(user: u32, waited: Duration) {
    SPENT.lock().charge(user, waited, Instant::now());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_answer_just_in_time_use_the_limit_up_together() {
        let (mut book, now) = (Book(BTreeMap::new()), Instant::now());
        (0..100).for_each(|_| book.charge(7, SHORT, now));
        assert_eq!(book.limit(7, now), LIMIT, "a busy machine");
        book.charge(7, Duration::from_millis(6300), now);
        assert_eq!(book.limit(7, now), Duration::from_secs(4));
        book.charge(7, Duration::from_secs(9), now);
        assert_eq!((book.limit(7, now), book.limit(8, now)), (SHORT, LIMIT));
        let later = now + Duration::from_secs(29);
        book.charge(7, LIMIT, later);
        assert_eq!((book.limit(7, later), book.limit(7, now + PERIOD)), (SHORT, LIMIT));
    }
}

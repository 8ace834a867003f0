//! How long a worker waits for the first byte of a new connection before it looks for another one.
//!
//! A client connects and sends a few microseconds later. A worker that takes up another connection in between, or sleeps for it and
//! for all others, needs several more system calls for the same request, and so does its zygote, which keeps the connection then.
#![forbid(unsafe_code)]

use std::time::Duration;

/// The longest wait. Clients that connect and send nothing take this much of a worker's time, at most `MISSES` times in
/// `MISSES` + `PAUSE` connections.
const LIMIT: Duration = Duration::from_millis(2);
/// After so many waits in a row in vain, the worker pauses.
const MISSES: u32 = 2;
/// For so many new connections it does not wait then.
const PAUSE: u32 = 32;

/// The waits of one worker.
#[derive(Debug, Default)]
pub(super) struct FirstByteWait {
    misses: u32,
    paused: u32,
}

impl FirstByteWait {
    /// The wait for the connection that was just accepted.
    pub(super) fn next(&mut self) -> Duration {
        if self.misses < MISSES {
            return LIMIT;
        }
        self.paused += 1;
        if self.paused >= PAUSE {
            *self = Self { misses: MISSES - 1, paused: 0 };
        }
        Duration::ZERO
    }

    /// Whether the connection has brought a byte, if it was waited for.
    pub(super) fn learn(&mut self, waited: Duration, has_come: bool) {
        if has_come {
            *self = Self::default();
        } else if !waited.is_zero() {
            self.misses += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silent_clients_take_little_of_a_workers_time() {
        let mut waits = FirstByteWait::default();
        let mut waited = 0;
        for _ in 0..1000 {
            let wait = waits.next();
            waited += u32::from(!wait.is_zero());
            waits.learn(wait, false);
        }
        assert!((30..=32).contains(&waited), "{waited}");
    }

    #[test]
    fn one_that_sends_ends_the_pause() {
        let mut waits = FirstByteWait::default();
        for _ in 0..5 {
            let wait = waits.next();
            waits.learn(wait, false);
        }
        assert_eq!(waits.next(), Duration::ZERO);
        waits.learn(Duration::ZERO, true);
        assert_eq!(waits.next(), LIMIT);
    }
}

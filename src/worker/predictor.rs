//! Whether it pays to do something that often does: to hold a connection between two requests, or to wait for the first byte of a
//! new one. A two-bit counter that learns from what has come of it.
#![forbid(unsafe_code)]

/// The counter. It starts in favour.
#[derive(Debug)]
pub(super) struct Predictor {
    confidence: u8,
    cold: u32,
    probe: u32,
}

impl Predictor {
    /// While it is against it, one time in `probe` is a trial.
    pub(super) fn new(probe: u32) -> Self {
        Self { confidence: 3, cold: 0, probe }
    }

    /// It has paid, or would have.
    pub(super) fn paid(&mut self) {
        self.confidence = (self.confidence + 1).min(3);
    }

    /// It was in vain.
    pub(super) fn in_vain(&mut self) {
        self.confidence = self.confidence.saturating_sub(1);
    }

    /// Whether it is likely to pay.
    #[must_use]
    pub(super) fn is_in_favour(&self) -> bool {
        self.confidence >= 2
    }

    /// Whether to do it this time.
    pub(super) fn try_next(&mut self) -> bool {
        if self.is_in_favour() {
            return true;
        }
        self.cold = (self.cold + 1) % self.probe;
        if self.cold == 0 {
            self.confidence = 2;
        }
        self.cold == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBE: u32 = 16;

    #[test]
    fn it_stops_holding_after_two_disappointments_and_probes_later() {
        let mut p = Predictor::new(PROBE);
        p.in_vain();
        assert!(p.try_next());
        p.in_vain();
        let held = (0..PROBE).filter(|_| p.try_next()).count();
        assert_eq!(held, 1);
        assert!(p.is_in_favour());
    }

    #[test]
    fn success_makes_it_confident_again() {
        let mut p = Predictor::new(PROBE);
        (0..5).for_each(|_| p.in_vain());
        (0..2).for_each(|_| p.paid());
        assert!(p.is_in_favour());
    }

    #[test]
    fn silent_clients_take_little_of_a_workers_time() {
        let mut waits = Predictor::new(33);
        let mut waited = 0;
        for _ in 0..1000 {
            if waits.try_next() {
                waited += 1;
                waits.in_vain();
            }
        }
        assert!((30..=32).contains(&waited), "{waited}");
    }

    #[test]
    fn one_that_sends_ends_the_pause() {
        let mut waits = Predictor::new(33);
        for _ in 0..5 {
            if waits.try_next() {
                waits.in_vain();
            }
        }
        assert!(!waits.try_next());
        waits.paid();
        assert!(waits.try_next());
    }
}

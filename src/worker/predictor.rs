//! Whether it pays to hold a connection between two requests: a two-bit counter that learns what has woken the
//! worker.
#![forbid(unsafe_code)]

/// After so many requests without holding, the worker tries it again.
const PROBE: u32 = 16;

/// The counter. It starts in favour of holding.
#[derive(Debug)]
pub(super) struct Predictor {
    confidence: u8,
    cold: u32,
}

impl Default for Predictor {
    fn default() -> Self {
        Self { confidence: 3, cold: 0 }
    }
}

impl Predictor {
    /// The held connection has brought the next request.
    pub(super) fn held_paid(&mut self) {
        self.confidence = (self.confidence + 1).min(3);
    }

    /// Another connection has brought the next request.
    pub(super) fn held_in_vain(&mut self) {
        self.confidence = self.confidence.saturating_sub(1);
    }

    /// Whether holding is likely to pay.
    #[must_use]
    pub(super) fn favours_holding(&self) -> bool {
        self.confidence >= 2
    }

    /// Whether to keep the connection that was just served.
    pub(super) fn hold_next(&mut self) -> bool {
        if self.favours_holding() {
            return true;
        }
        self.cold = (self.cold + 1) % PROBE;
        if self.cold == 0 {
            self.confidence = 2;
        }
        self.cold == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stops_holding_after_two_disappointments_and_probes_later() {
        let mut p = Predictor::default();
        p.held_in_vain();
        assert!(p.hold_next());
        p.held_in_vain();
        let held = (0..PROBE).filter(|_| p.hold_next()).count();
        assert_eq!(held, 1);
        assert!(p.favours_holding());
    }

    #[test]
    fn success_makes_it_confident_again() {
        let mut p = Predictor::default();
        (0..5).for_each(|_| p.held_in_vain());
        (0..2).for_each(|_| p.held_paid());
        assert!(p.favours_holding());
    }
}

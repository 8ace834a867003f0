//! The work at the paths of sockets, as far as it is over.

use std::time::Instant;

use crate::supervisor::sockets::background::Background;
use crate::supervisor::sockets::listeners::Sockets;

impl Sockets {
    /// Whether work goes on that `advance` has to finish.
    #[must_use]
    pub(crate) fn is_busy(&self) -> bool {
        !self.background.is_empty()
    }

    /// Finishes the work that is over.
    pub(crate) fn advance(&mut self) {
        self.finish_until(Instant::now());
    }

    /// Waits briefly for the work that was begun. Nearly always it is over then.
    pub(super) fn wait_briefly(&mut self) {
        let now = Instant::now();
        let until = now + self.waited.left(now);
        self.finish_until(until);
        if self.is_busy() {
            self.waited.add(now.elapsed());
        }
    }

    fn finish_until(&mut self, until: Instant) {
        for mut work in std::mem::take(&mut self.background) {
            if work.is_over(until) {
                work.finish();
            } else {
                self.background.push(work);
            }
        }
    }
}

impl Drop for Sockets {
    /// The process ends: waits for the rest, as long as its users' time limits allow it.
    fn drop(&mut self) {
        self.background.drain(..).for_each(Background::finish);
    }
}

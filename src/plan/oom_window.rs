//! Whether a worker that got SIGKILL is one of those that the kernel has killed for want of memory. Known is only how many processes it
//! has killed, also others than workers. So those count that were killed since a moment at which the worker was alive: the last look
//! or the one before, as the end of a process is noticed a little later.

/// How many processes the kernel had killed at the last looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct OomWindow {
    /// At the look before, and the workers that were found to be among those since.
    before: u64,
    last: u64,
}

impl OomWindow {
    /// A window that begins with that number.
    #[must_use]
    pub(crate) fn new(killed: u64) -> Self {
        Self { before: killed, last: killed }
    }

    /// A look, once a second.
    pub(crate) fn look(&mut self, killed: u64) {
        self.before = self.before.max(self.last);
        self.last = killed;
    }

    /// A worker has got SIGKILL, and so many processes were killed until now. Whether it is one of them.
    pub(crate) fn take(&mut self, killed: u64) -> bool {
        let is_one = self.before < killed;
        self.before += u64::from(is_one);
        is_one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kill_counts_for_one_worker() {
        let mut window = OomWindow::new(3);
        assert_eq!([3, 5, 5, 5].map(|killed| window.take(killed)), [false, true, true, false]);
        window.look(5);
        window.look(5);
        assert!(!window.take(5) && window.take(6) && !window.take(6));
    }

    #[test]
    fn one_of_another_process_is_forgotten_after_two_looks() {
        let mut window = OomWindow::new(0);
        window.look(1);
        assert!(window.take(1), "the worker's end may be noticed after a look");
        let mut window = OomWindow::new(0);
        window.look(1);
        window.look(1);
        assert!(!window.take(1));
    }
}

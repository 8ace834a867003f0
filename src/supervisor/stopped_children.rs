//! Whether children of the supervisor are stopped.

use std::time::Duration;

use crate::sys::clock::Moment;
use crate::sys::process;

/// How often the kernel is asked although it has signalled no change of a child.
const UNSIGNALLED: Duration = Duration::from_secs(8);

/// Whether some child is stopped. The kernel goes through all children to tell, so it is asked only after it has signalled a change
/// (SIGCHLD), while some are stopped, and now and then.
#[derive(Debug, Default)]
pub(super) struct StoppedChildren {
    signalled: bool,
    some: bool,
    next: Moment,
}

impl StoppedChildren {
    /// SIGCHLD has arrived.
    pub(super) fn note_signal(&mut self) {
        self.signalled = true;
    }

    /// Whether one is stopped.
    pub(super) fn look(&mut self, now: Moment) -> bool {
        if std::mem::take(&mut self.signalled) || self.some || self.next <= now {
            self.some = process::some_child_is_stopped();
            self.next = now + UNSIGNALLED;
        }
        self.some
    }
}
